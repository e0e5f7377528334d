//! A Redis Cluster: which node serves which slot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use redis::{Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, sleep, timeout};

use super::key::SLOTS;
use super::node::{Address, Node, Turns};

/// The nodes, each with a connection of its own, so that none of them holds up what is for another.
pub(super) struct Cluster {
    /// Where the Cluster is looked for, and how everything in it is connected to.
    seeds: Vec<ConnectionInfo>,
    known: Mutex<Known>,
    looking: Turns,
}

/// What is known of the nodes. It may be wrong, which they say.
#[derive(Default)]
struct Known {
    nodes: HashMap<Address, Arc<Node>>,
    /// By slot; empty as long as nobody has looked.
    owners: Vec<Option<Arc<Node>>>,
    looked: Option<Instant>,
    stale: bool,
}

/// How often a command follows those who say that another node has its key.
const REDIRECTIONS: usize = 6;
/// For so long, a command waits that finds only some of its keys, as the others are on their way to another node.
const ON_THE_WAY: Duration = Duration::from_millis(4);
/// Who is asked for the slots has so much of a head start.
const HEAD_START: Duration = Duration::from_millis(100);
/// Many who find a node gone make one look, and not sooner than this after the last one.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// A node that takes longer than this for a single write is connected to anew.
const LONGEST_WRITE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Nothing is connected to yet. `None` when the nodes differ in more than where they are.
    pub(super) fn new(seeds: Vec<ConnectionInfo>) -> Option<Self> {
        let first = seeds.first()?;
        let alike = seeds.iter().all(|seed| {
            let (one, other) = (first.redis_settings(), seed.redis_settings());
            one.username() == other.username()
                && one.password() == other.password()
                && one.db() == other.db()
                && one.protocol() == other.protocol()
                && Address::of(seed.addr())
                    .is_some_and(|address| address.within(first.addr()) == *seed.addr())
        });
        alike.then(|| Self { seeds, known: Mutex::default(), looking: Turns::default() })
    }

    /// Finds out who has the slots, unless that is known well enough.
    pub(super) async fn look(&self) -> RedisResult<()> {
        let fresh = || {
            let known = self.known.lock();
            let recently = known.looked.is_some_and(|looked| looked.elapsed() < BETWEEN_LOOKS);
            !known.owners.is_empty() && (!known.stale || recently)
        };
        let look = async {
            let ranges = self.ask_around().await;
            self.learn(ranges?);
            Ok(())
        };
        self.looking.once(|| fresh().then_some(()), look).await
    }

    /// Sends a command to whoever has the slot, wherever that has gone.
    pub(super) async fn send(&self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        let answer = self.follow(slot, command).await;
        if answer.is_err() {
            self.known.lock().stale = true;
        }
        answer
    }

    async fn follow(&self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        // Who is to be asked for once, as the key may be there already while its slot is not.
        let mut ask: Option<Arc<Node>> = None;
        for _ in 0..REDIRECTIONS {
            let asking = ask.is_some();
            let node = ask.take().or_else(|| self.owner(slot)).ok_or_else(nobody)?;
            let error = match node.send(command, asking).await {
                Err(error) => error,
                answer => return answer,
            };
            let to = error.redirect_node().and_then(|(to, _)| Address::parse(to, node.address()));
            match (error.kind(), to) {
                (ErrorKind::Server(ServerErrorKind::Moved), Some(to)) => self.moved(slot, to)?,
                (ErrorKind::Server(ServerErrorKind::Ask), Some(to)) => ask = Some(self.node(to)?),
                (ErrorKind::Server(ServerErrorKind::TryAgain), _) => sleep(ON_THE_WAY).await,
                _ => return Err(error),
            }
        }
        let node = self.owner(slot).ok_or_else(nobody)?;
        node.send(command, false).await
    }

    /// Whether every node that has some of these slots takes what is written. `name` makes names, and says what slot each
    /// is in.
    pub(super) async fn probe(
        &self,
        slots: std::ops::Range<u16>,
        name: impl Fn(u32) -> (u16, String),
        write: impl Fn(&str) -> Cmd,
    ) -> RedisResult<()> {
        self.look().await?;
        let mut owners = self.owners(slots.clone());
        if owners.is_empty() {
            // Who was asked may not have known, or the slots are still to be given to somebody.
            self.known.lock().stale = true;
            return Err(nobody());
        }
        let mut writes = FuturesUnordered::new();
        // It takes some ten times as many tries to meet every slot there is.
        for number in 0..10 * u32::from(SLOTS) {
            if owners.is_empty() {
                break;
            }
            let (slot, name) = name(number);
            let owner = self.owner(slot).filter(|_| slots.contains(&slot));
            let Some(place) = owner.and_then(|owner| owners.iter().position(|one| Arc::ptr_eq(one, &owner)))
            else {
                continue;
            };
            let (owner, command) = (owners.swap_remove(place), write(&name));
            writes.push(async move {
                let connection = owner.number();
                let written = timeout(LONGEST_WRITE, self.send(slot, &command)).await;
                written.unwrap_or_else(|_| {
                    // A connection can be dead and not know it.
                    owner.forget(connection);
                    self.known.lock().stale = true;
                    Err(RedisError::from((ErrorKind::Io, "no answer")))
                })
            });
        }
        while let Some(written) = writes.next().await {
            written?;
        }
        Ok(())
    }

    fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        self.known.lock().owners.get(usize::from(slot))?.clone()
    }

    fn owners(&self, slots: std::ops::Range<u16>) -> Vec<Arc<Node>> {
        let known = self.known.lock();
        let mut owners: Vec<Arc<Node>> = Vec::new();
        for owner in slots.filter_map(|slot| known.owners.get(usize::from(slot))?.as_ref()) {
            if !owners.iter().any(|one| Arc::ptr_eq(one, owner)) {
                owners.push(Arc::clone(owner));
            }
        }
        owners
    }

    /// The node at an address, also one that nobody has heard of so far.
    fn node(&self, address: Address) -> RedisResult<Arc<Node>> {
        let mut known = self.known.lock();
        self.node_in(&mut known.nodes, address)
    }

    fn node_in(&self, nodes: &mut HashMap<Address, Arc<Node>>, address: Address) -> RedisResult<Arc<Node>> {
        if let Some(node) = nodes.get(&address) {
            return Ok(Arc::clone(node));
        }
        let seed = self.seeds.first().ok_or_else(nobody)?;
        let info = seed.clone().set_addr(address.within(seed.addr()));
        let node = Arc::new(Node::new(info, address.clone())?);
        nodes.insert(address, Arc::clone(&node));
        Ok(node)
    }

    fn moved(&self, slot: u16, to: Address) -> RedisResult<()> {
        let known = &mut *self.known.lock();
        let node = self.node_in(&mut known.nodes, to)?;
        if let Some(owner) = known.owners.get_mut(usize::from(slot)) {
            *owner = Some(node);
        }
        Ok(())
    }

    fn learn(&self, ranges: Vec<(usize, usize, Address)>) {
        let known = &mut *self.known.lock();
        let mut owners = vec![None; usize::from(SLOTS)];
        let mut serving = HashSet::new();
        for (first, last, address) in ranges {
            let Ok(node) = self.node_in(&mut known.nodes, address.clone()) else { continue };
            serving.insert(address);
            let range = owners.iter_mut().take(last.saturating_add(1)).skip(first);
            range.for_each(|owner| *owner = Some(Arc::clone(&node)));
        }
        known.nodes.retain(|address, _| serving.contains(address));
        (known.owners, known.stale, known.looked) = (owners, false, Some(Instant::now()));
    }

    /// Who has which slots, as the first says who answers.
    async fn ask_around(&self) -> RedisResult<Vec<(usize, usize, Address)>> {
        let mut nodes: Vec<Arc<Node>> = self.known.lock().nodes.values().cloned().collect();
        fastrand::shuffle(&mut nodes);
        for seed in &self.seeds {
            let address =
                Address::of(seed.addr()).filter(|seed| nodes.iter().all(|node| node.address() != seed));
            nodes.extend(address.and_then(|address| Node::new(seed.clone(), address).ok()).map(Arc::new));
        }
        let mut nodes = nodes.into_iter();
        let mut asked = FuturesUnordered::new();
        let mut refused = nobody();
        loop {
            let next = nodes.next();
            let last = next.is_none();
            asked.extend(next.map(ranges));
            let answer = if last {
                Ok(asked.next().await)
            } else {
                // Who does not answer does not hold up the next.
                timeout(HEAD_START, asked.next()).await
            };
            match answer {
                Ok(Some(Ok(ranges))) if !ranges.is_empty() => return Ok(ranges),
                Ok(Some(Err(error))) => refused = error,
                Ok(None) if last => return Err(refused),
                _ => {}
            }
        }
    }
}

fn nobody() -> RedisError {
    RedisError::from((ErrorKind::Io, "no node is known for this"))
}

/// What a node knows of who has which slots.
async fn ranges(node: Arc<Node>) -> RedisResult<Vec<(usize, usize, Address)>> {
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    let Value::Array(ranges) = node.send(&slots, false).await? else { return Ok(Vec::new()) };
    Ok(ranges.iter().filter_map(|range| parse(range, node.address())).collect())
}

fn parse(range: &Value, asked: &Address) -> Option<(usize, usize, Address)> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else { return None };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    let address = Address::new(host, u16::try_from(*port).ok()?, asked)?;
    Some((usize::try_from(*first).ok()?, usize::try_from(*last).ok()?, address))
}
