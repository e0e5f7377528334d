//! A Redis Cluster.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::{
    error::ServerError,
    instance::{LIMIT, POLL},
    redis::RedisServer,
    redis_builder::RedisBuilder,
    resp::Reply,
};

/// How many slots there are.
const SLOTS: usize = 16_384;

/// A Redis Cluster of our own, with the slots spread evenly over its masters.
///
/// Each node is a [`RedisServer`] that can be broken by itself. A node that is started again has nothing in it, but is
/// the node that it was. The others take a node for dead when it has not answered for a second (directive
/// `cluster-node-timeout`), and its replica then takes over within about two more.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    /// What the nodes call themselves.
    names: Vec<String>,
    password: Option<String>,
}

/// What a node thinks of the cluster: the first and the last slot and the name of the master, of every range.
type View = Vec<(i64, i64, String)>;

impl RedisCluster {
    /// Starts so many masters, of which Redis wants at least three for failovers, and so many replicas of each, and waits
    /// until all agree on the slots and all replicas are in step.
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start(masters: usize, replicas: usize) -> Result<Self, ServerError> {
        Self::start_with(RedisServer::builder(), masters, replicas).await
    }

    /// Starts a cluster whose nodes are all as this says, but for the port: each has a free one.
    pub async fn start_with(
        options: RedisBuilder,
        masters: usize,
        replicas: usize,
    ) -> Result<Self, ServerError> {
        if masters == 0 {
            return Err(ServerError::NoNode(0));
        }
        let options = options.for_cluster()?;
        let mut cluster = Self { nodes: Vec::new(), names: Vec::new(), password: options.password.clone() };
        for epoch in 1..=masters * (1 + replicas) {
            let node = options.clone().start().await?;
            cluster.names.push(node.cli(&["CLUSTER", "MYID"]).await?.text());
            // Two masters of one epoch would have to settle that first.
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]).await?;
            cluster.nodes.push(node);
        }
        for (index, node) in cluster.nodes.iter().take(masters).enumerate() {
            let first = (index * SLOTS / masters).to_string();
            let last = ((index + 1) * SLOTS / masters - 1).to_string();
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
        }
        cluster.meet().await?;
        for (index, replica) in cluster.nodes.iter().enumerate().skip(masters) {
            replica.cli(&["CLUSTER", "REPLICATE", cluster.name(index % masters)?]).await?;
        }
        for replica in cluster.nodes.iter().skip(masters) {
            let in_step = || async {
                let told = replica.cli(&["INFO", "replication"]).await?.text();
                Ok(told.contains("master_link_status:up"))
            };
            eventually("a replica's first copy of its master", LIMIT, in_step).await?;
        }
        cluster.wait_until_ok().await?;
        Ok(cluster)
    }

    /// The nodes: at the start, the masters come first, and then the replicas, one of each master in turn.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The nodes' URLs, in the same order.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Waits until all nodes that are neither dead nor frozen find that all slots are served, and by the same masters.
    pub async fn wait_until_ok(&self) -> Result<(), ServerError> {
        eventually("agreement of the nodes on who serves the slots", LIMIT, || self.is_ok()).await
    }

    async fn is_ok(&self) -> Result<bool, ServerError> {
        let mut views: Vec<View> = Vec::new();
        for node in self.awake() {
            let told = node.cli(&["CLUSTER", "INFO"]).await?.text();
            let good = |line: &str| told.lines().any(|other| other == line);
            if !good("cluster_state:ok") || !good("cluster_slots_ok:16384") {
                return Ok(false);
            }
            views.push(view(node).await?);
        }
        Ok(!views.is_empty() && views.windows(2).all(|two| two.first() == two.last()))
    }

    /// The slot of a key.
    pub async fn slot_of(&self, key: &str) -> Result<u16, ServerError> {
        let slot = self.any()?.cli(&["CLUSTER", "KEYSLOT", key]).await?.integer();
        Ok(slot.and_then(|slot| u16::try_from(slot).ok()).unwrap_or_default())
    }

    /// The index of the node that serves a slot, as those that are neither dead nor frozen see it.
    pub async fn owner_of(&self, slot: u16) -> Result<usize, ServerError> {
        let view = view(self.any()?).await?;
        let range = view.iter().find(|(first, last, _)| (*first..=*last).contains(&i64::from(slot)));
        let owner = range.and_then(|(_, _, name)| self.names.iter().position(|other| other == name));
        owner.ok_or(ServerError::NotRunning)
    }

    /// Waits until the owner of a slot is one that this accepts: another than the one that was killed, for example.
    pub async fn wait_until_owned(
        &self,
        slot: u16,
        accepts: impl Fn(usize) -> bool + Send + Sync,
    ) -> Result<(), ServerError> {
        let is_owned = || async { Ok(accepts(self.owner_of(slot).await?)) };
        eventually("another owner of a slot", LIMIT, is_owned).await
    }

    /// Moves a slot to the node of this index, which must be a master, with the keys that are in it.
    pub async fn move_slot(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        self.begin_move(slot, to).await?;
        self.finish_move(slot, to).await
    }

    /// Begins to move a slot: it stays with the master that has it, which asks clients to look for the keys that it lacks
    /// at the node of this index (ASK).
    pub async fn begin_move(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        let from = self.owner_of(slot).await?;
        if from == to {
            return Ok(());
        }
        let slot = slot.to_string();
        self.node(to)?.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", self.name(from)?]).await?;
        self.node(from)?.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", self.name(to)?]).await?;
        Ok(())
    }

    /// Moves the keys of a slot whose move was begun, and then the slot.
    pub async fn finish_move(&self, slot: u16, to: usize) -> Result<(), ServerError> {
        let source = self.node(self.owner_of(slot).await?)?;
        let target = self.node(to)?;
        let (slot, port) = (slot.to_string(), target.port().to_string());
        loop {
            let keys = source.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await?;
            if keys.elements().is_empty() {
                break;
            }
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
            command.extend(self.password.as_deref().into_iter().flat_map(|password| ["AUTH", password]));
            let keys: Vec<String> = keys.elements().iter().map(Reply::text).collect();
            command.push("KEYS");
            command.extend(keys.iter().map(String::as_str));
            source.cli(&command).await?;
        }
        // The new master first: if the old one went first, nobody would have the slot for a moment.
        target.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", self.name(to)?]).await?;
        for other in self.awake().filter(|other| other.port() != target.port()) {
            if other.cli(&["ROLE"]).await?.elements().first().is_some_and(|role| role.text() == "master") {
                other.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", self.name(to)?]).await?;
            }
        }
        self.wait_until_ok().await
    }

    /// Makes the nodes know each other.
    async fn meet(&self) -> Result<(), ServerError> {
        const AGAIN: Duration = Duration::from_secs(1);
        let first = self.node(0)?;
        let deadline = Instant::now() + LIMIT;
        loop {
            for node in self.nodes.iter().skip(1) {
                first.cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string()]).await?;
            }
            // On a slow machine a meeting can time out, and then it takes another.
            match eventually("the meeting of all nodes", AGAIN, || self.have_met()).await {
                Err(ServerError::Late { .. }) if Instant::now() < deadline => {}
                met => return met,
            }
        }
    }

    async fn have_met(&self) -> Result<bool, ServerError> {
        for node in &self.nodes {
            let told = node.cli(&["CLUSTER", "NODES"]).await?.text();
            if told.contains("handshake") || !self.names.iter().all(|name| told.contains(name)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn awake(&self) -> impl Iterator<Item = &RedisServer> {
        self.nodes.iter().filter(|node| node.is_awake())
    }

    fn any(&self) -> Result<&RedisServer, ServerError> {
        self.awake().next().ok_or(ServerError::NotRunning)
    }

    fn node(&self, index: usize) -> Result<&RedisServer, ServerError> {
        self.nodes.get(index).ok_or(ServerError::NoNode(index))
    }

    fn name(&self, index: usize) -> Result<&str, ServerError> {
        self.names.get(index).map(String::as_str).ok_or(ServerError::NoNode(index))
    }
}

async fn view(node: &RedisServer) -> Result<View, ServerError> {
    let slots = node.cli(&["CLUSTER", "SLOTS"]).await?;
    let mut view = View::new();
    for range in slots.elements() {
        if let [first, last, master, ..] = range.elements() {
            let name = master.elements().get(2).map(Reply::text).unwrap_or_default();
            view.push((first.integer().unwrap_or(-1), last.integer().unwrap_or(-1), name));
        }
    }
    view.sort();
    Ok(view)
}

/// Looks until something is so. What cannot be found out yet is not so yet.
async fn eventually<F: Future<Output = Result<bool, ServerError>>>(
    what: &'static str,
    limit: Duration,
    mut is_so: impl FnMut() -> F,
) -> Result<(), ServerError> {
    let looking = timeout(limit, async {
        while !is_so().await.unwrap_or(false) {
            sleep(POLL).await;
        }
    });
    looking.await.map_err(|_| ServerError::Late { what: what.to_owned(), limit })
}
