//! The auditor's side: eight workers, the orders that they get, and what they told.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{RedisBreaker, Snapshot};
use parking_lot::Mutex;
use test_servers::RedisServer;
use tokio::time::{Instant, sleep};

use crate::entry::{Entry, Grant, Span, Spending, Why};
use crate::plan::{ENVIRONMENT, KEY, Plan, spell};

pub(crate) const WORKERS: usize = 8;

/// Far more than anything here takes, on any machine.
const LIMIT: Duration = Duration::from_secs(40);

pub(crate) struct Fleet {
    workers: Vec<Process>,
    /// Those who were killed.
    dead: BTreeSet<usize>,
    log: Arc<Mutex<Log>>,
    auditor: RedisBreaker,
    // Last, so that nobody misses it.
    _server: RedisServer,
}

/// What one of the workers told.
pub(crate) type Told = (usize, Entry);

/// Everything told so far.
#[derive(Default, Clone)]
pub(crate) struct Log(pub(crate) Vec<Told>);

struct Process {
    child: Child,
    orders: ChildStdin,
    /// What keeps it frozen.
    frost: Option<Child>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.thaw();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fleet {
    pub(crate) async fn start(mut plan: Plan) -> Self {
        let server = RedisServer::start().await.unwrap();
        plan.url = server.url();
        let log = Arc::default();
        let workers = (0..WORKERS).map(|worker| Process::start(worker, &plan, &log)).collect();
        let store = plan.store();
        let fleet =
            Self { workers, dead: BTreeSet::new(), log, auditor: plan.breaker(&store), _server: server };
        fleet.until_each("ready", |entries| entries.contains(&&Entry::Ready)).await;
        fleet
    }

    pub(crate) fn tell(&mut self, worker: usize, order: &str) {
        writeln!(self.workers[worker].orders, "{order}").unwrap();
    }

    pub(crate) fn tell_all(&mut self, order: &str) {
        (0..WORKERS).for_each(|worker| self.tell(worker, order));
    }

    pub(crate) fn log(&self) -> Log {
        self.log.lock().clone()
    }

    /// What is found in the log, once it is there.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&Log) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT + spell();
        loop {
            let look = Instant::now();
            {
                let log = self.log.lock();
                for (worker, entry) in &log.0 {
                    assert!(*entry != Entry::Lost, "the store did not answer");
                    assert!(
                        *entry != Entry::Gone || self.dead.contains(worker),
                        "worker {worker} has failed"
                    );
                }
                if let Some(found) = find(&log) {
                    return found;
                }
            }
            assert!(Instant::now() < deadline, "still not: {what}");
            // A long log takes long to look at, and workers must not wait until it is free.
            sleep(Duration::from_millis(5).max(look.elapsed() * 20)).await;
        }
    }

    pub(crate) async fn until_each(&self, what: &str, met: impl Fn(&[&Entry]) -> bool) {
        let all = |log: &Log| (0..WORKERS).all(|worker| met(&log.of(worker))).then_some(());
        self.until(what, all).await;
    }

    /// Lets all carry out an order that ends.
    pub(crate) async fn all_carry_out(&mut self, order: &str) -> Log {
        self.tell_all(order);
        self.until_each(order, |entries| entries.contains(&&Entry::Done)).await;
        self.log()
    }

    /// Gives one an order, and returns the first thing that it tells then.
    pub(crate) async fn order(&mut self, worker: usize, order: &str) -> Entry {
        let before = self.log().of(worker).len();
        self.tell(worker, order);
        let done = |log: &Log| {
            let entries = log.of(worker);
            let since = &entries[before..];
            since.contains(&&Entry::Done).then(|| since[0].clone())
        };
        self.until(order, done).await
    }

    pub(crate) async fn ask(&mut self, worker: usize, id: u64, hold: u64) -> Result<Grant, Why> {
        match self.order(worker, &format!("ask {id} {hold}")).await {
            Entry::Granted(grant) => Ok(grant),
            Entry::Refused { why, .. } => Err(why),
            entry => panic!("asked, and told {entry:?}"),
        }
    }

    /// Asks until it is a probe.
    pub(crate) async fn probe(&mut self, worker: usize, id: u64, hold: u64) -> Grant {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            match self.ask(worker, id, hold).await {
                Ok(grant) if grant.probe => return grant,
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
        panic!("worker {worker} never got a probe");
    }

    pub(crate) async fn end(&mut self, worker: usize, id: u64, verdict: &str) -> Span {
        match self.order(worker, &format!("end {id} {verdict}")).await {
            Entry::Ended { told, .. } => told,
            entry => panic!("ended, and told {entry:?}"),
        }
    }

    pub(crate) async fn trip(&mut self, worker: usize, failures: u32) -> Span {
        let before = self.log().tripped().len();
        self.tell(worker, &format!("trip {failures}"));
        self.until("the trip", |log| log.tripped().get(before).copied()).await
    }

    /// Where the circuit stands, in the store.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.auditor.snapshot(KEY).await.unwrap()
    }

    pub(crate) fn kill(&mut self, worker: usize) {
        self.dead.insert(worker);
        self.workers[worker].child.kill().unwrap();
        self.workers[worker].child.wait().unwrap();
    }

    /// Returns when it stands still.
    pub(crate) async fn freeze(&mut self, worker: usize) {
        let stat = format!("/proc/{}/stat", self.workers[worker].child.id());
        self.workers[worker].freeze();
        let stopped = || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        self.until("a frozen worker", |_| stopped().then_some(())).await;
    }

    pub(crate) fn thaw(&mut self, worker: usize) {
        self.workers[worker].thaw();
    }
}

/// Again, where the machine was so busy that too little happened to say anything.
pub(crate) async fn until_telling<F: Future<Output = bool>>(scenario: impl Fn() -> F) {
    for _ in 0..8 {
        if scenario().await {
            return;
        }
    }
    panic!("too little happened, again and again");
}

impl Process {
    fn start(worker: usize, plan: &Plan, log: &Arc<Mutex<Log>>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["worker", "--exact", "--nocapture"])
            .env(ENVIRONMENT, plan.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let log = Arc::clone(log);
        std::thread::spawn(move || {
            let entries = BufReader::new(told).lines().map_while(Result::ok);
            for entry in entries.filter_map(|line| Entry::read(&line)) {
                log.lock().0.push((worker, entry));
            }
            log.lock().0.push((worker, Entry::Gone));
        });
        Self { child, orders, frost: None }
    }

    /// Until it is thawed, or the auditor has gone, whoever killed it: or else it would be left behind.
    fn freeze(&mut self) {
        let id = self.child.id();
        let script = format!("kill -STOP {id}; read _; kill -CONT {id}");
        self.frost = Some(Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap());
    }

    fn thaw(&mut self) {
        if let Some(mut frost) = self.frost.take() {
            let _ = frost.wait();
        }
    }
}

impl Log {
    pub(crate) fn of(&self, worker: usize) -> Vec<&Entry> {
        self.0.iter().filter(|(who, _)| *who == worker).map(|(_, entry)| entry).collect()
    }

    /// All calls that a breaker let through, and by whom they were made.
    pub(crate) fn grants(&self) -> Vec<(usize, Grant)> {
        let grant = |(worker, entry): &Told| match entry {
            Entry::Granted(grant) => Some((*worker, *grant)),
            _ => None,
        };
        self.0.iter().filter_map(grant).collect()
    }

    pub(crate) fn probes(&self) -> Vec<(usize, Grant)> {
        self.grants().into_iter().filter(|(_, grant)| grant.probe).collect()
    }

    /// When calls were ended, by their workers and ids.
    pub(crate) fn all_ended(&self) -> HashMap<(usize, u64), Span> {
        let ended = |(worker, entry): &Told| match entry {
            Entry::Ended { id, told } => Some(((*worker, *id), *told)),
            _ => None,
        };
        self.0.iter().filter_map(ended).collect()
    }

    pub(crate) fn ended(&self, worker: usize, id: u64) -> Option<Span> {
        self.all_ended().get(&(worker, id)).copied()
    }

    /// All calls that a limiter let through.
    pub(crate) fn spent(&self) -> Vec<Spending> {
        let spent = |(_, entry): &Told| match entry {
            Entry::Spent(spending) => Some(*spending),
            _ => None,
        };
        self.0.iter().filter_map(spent).collect()
    }

    fn tripped(&self) -> Vec<Span> {
        let trip = |(_, entry): &Told| match entry {
            Entry::Tripped(told) => Some(*told),
            _ => None,
        };
        self.0.iter().filter_map(trip).collect()
    }
}
