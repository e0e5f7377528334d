//! What random programs on a real server share: a clock that they set, what was sent, and what lies in the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use circuit_breaker::{RedisStore, StoreEvent};
use parking_lot::Mutex;
use proptest::test_runner::Config;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Value, cmd, from_redis_value};
use test_servers::RedisServer;

/// Where the clock begins, in microseconds.
pub(crate) const TODAY: u64 = 1_700_000_000_000_000;

/// A server of its own, its clock, and a second way to it.
pub(crate) struct Bench {
    server: RedisServer,
    connection: MultiplexedConnection,
    clock: Arc<AtomicU64>,
    events: Arc<Mutex<Vec<StoreEvent>>>,
}

/// A script as it was sent: the words after `EVALSHA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) words: Vec<Vec<u8>>,
    /// By the clock of the bench.
    pub(crate) at: u64,
}

impl Sent {
    fn keys(&self) -> usize {
        String::from_utf8_lossy(&self.words[1]).parse().unwrap()
    }

    /// One of the script's arguments, of which Lua calls the first `ARGV[1]`.
    pub(crate) fn argument(&mut self, number: usize) -> &mut Vec<u8> {
        let at = 1 + self.keys() + number;
        &mut self.words[at]
    }

    pub(crate) fn arguments(&self) -> usize {
        self.words.len() - 2 - self.keys()
    }
}

/// So many programs, unless `PROPTEST_CASES` says how many.
pub(crate) fn programs(unless_set: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: cases.unwrap_or(unless_set), failure_persistence: None, ..Config::default() }
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let builder = RedisServer::builder().config("slowlog-log-slower-than", "0");
        let server = builder.config("slowlog-max-len", "1000").start().await.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        // However slow the machine is.
        let patient = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        let clock = Arc::new(AtomicU64::new(TODAY));
        Self { server, connection, clock, events: Arc::default() }
    }

    /// Another way to the same state, as another worker has it. Every answer comes from the server.
    pub(crate) fn store(&self, prefix: &str) -> RedisStore {
        let (clock, events) = (Arc::clone(&self.clock), Arc::clone(&self.events));
        let builder = RedisStore::builder(self.server.url()).prefix(prefix).staleness(Duration::ZERO);
        let builder =
            builder.timeout(Duration::from_secs(30)).on_event(move |event| events.lock().push(event.clone()));
        builder.clock(move || clock.load(Ordering::SeqCst)).build().unwrap()
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, micros: u64) {
        self.clock.store(micros, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    /// Of all stores that were lost, and are back.
    pub(crate) fn events(&self) -> Vec<StoreEvent> {
        self.events.lock().clone()
    }

    pub(crate) async fn ask(&self, command: &Cmd) -> Value {
        let mut connection = self.connection.clone();
        command.query_async(&mut connection).await.unwrap()
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Value {
        let mut command = Cmd::new();
        for word in words {
            command.arg(*word);
        }
        self.ask(&command).await
    }

    pub(crate) async fn number(&self, words: &[&str]) -> i64 {
        from_redis_value(self.run(words).await).unwrap()
    }

    /// How many scripts ended with an error, since the server was started.
    pub(crate) async fn errors(&self) -> i64 {
        let text: String = from_redis_value(self.run(&["INFO", "everything"]).await).unwrap();
        let count = |name: &str, field: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            let count = line.split([':', ',']).find_map(|part| part.strip_prefix(field));
            count.map_or(0, |count| count.parse::<i64>().unwrap())
        };
        let failed = count("cmdstat_evalsha:", "failed_calls=") + count("cmdstat_eval:", "failed_calls=");
        // Of a script that the server does not know yet, it gets the text.
        failed - count("errorstat_NOSCRIPT:", "count=")
    }

    /// The scripts that were sent since it was last asked for, in order.
    pub(crate) async fn sent(&self) -> Vec<Sent> {
        let log = self.run(&["SLOWLOG", "GET", "-1"]).await;
        self.run(&["SLOWLOG", "RESET"]).await;
        let entries: Vec<Vec<Value>> = from_redis_value(log).unwrap();
        let mut sent: Vec<Sent> = Vec::new();
        for mut entry in entries.into_iter().rev() {
            let mut words: Vec<Vec<u8>> = from_redis_value(entry.swap_remove(3)).unwrap();
            let how = words.remove(0);
            let now = Sent { words, at: self.now() };
            match &how[..] {
                b"EVALSHA" => sent.push(now),
                // The server did not know it by its name.
                b"EVAL" => {
                    let told = |sent: &Sent| sent.words[4 + sent.keys()..].to_vec();
                    sent.retain(|sent| sent.keys() != now.keys() || told(sent) != told(&now));
                }
                _ => {}
            }
        }
        sent
    }

    /// Sends it again, as somebody would who never heard the answer.
    pub(crate) async fn again(&self, sent: &Sent) -> Vec<i64> {
        let mut sent = sent.clone();
        let told: u64 = String::from_utf8_lossy(sent.argument(2)).parse().unwrap();
        let age = told + self.now().saturating_sub(sent.at);
        *sent.argument(1) = self.now().to_string().into_bytes();
        *sent.argument(2) = age.to_string().into_bytes();
        from_redis_value(self.ask(&as_is(&sent)).await).unwrap()
    }

    /// All entries, and for how many milliseconds they are kept. Each is kept for some time only, and says which version
    /// of it this is.
    pub(crate) async fn entries(&self) -> BTreeMap<String, i64> {
        let names: Vec<String> = from_redis_value(self.run(&["KEYS", "*"]).await).unwrap();
        let mut entries = BTreeMap::new();
        for name in names.into_iter().filter(|name| !name.ends_with(":probe")) {
            let kept = self.number(&["PTTL", &name]).await;
            assert!(kept > 0, "{name} is kept for {kept}");
            if name.ends_with(":b") || name.ends_with(":l") {
                let version: Option<String> =
                    from_redis_value(self.run(&["HGET", &name, "v"]).await).unwrap();
                assert_eq!(version.as_deref(), Some("1"), "version of {name}");
            }
            entries.insert(name, kept);
        }
        entries
    }

    pub(crate) async fn forget_all(&self) {
        self.run(&["FLUSHALL"]).await;
        self.run(&["SLOWLOG", "RESET"]).await;
    }
}

pub(crate) fn as_is(sent: &Sent) -> Cmd {
    let mut command = cmd("EVALSHA");
    for word in &sent.words {
        command.arg(word);
    }
    command
}
