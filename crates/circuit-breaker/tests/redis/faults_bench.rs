//! What the tests of faults have in common: a store that is listened to, backends of all kinds on it, and patience.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Ask, Breaker, Cost, InProcessBreaker, InProcessLimiter, LeaseId, Limiter, Limits, OnOutage, RedisBreaker,
    RedisLimiter, RedisRotation, RedisStore, RedisStoreBuilder, RejectReason, Rotation, Settings, StoreCause,
    StoreEvent,
};
use parking_lot::Mutex;
use test_servers::RedisServer;
use tokio::time::{Instant, sleep};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// Far more than anything takes here, also on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn prefix() -> String {
    format!("faults-{}", LeaseId::new())
}

pub(crate) fn ask() -> Ask {
    Ask::new(LeaseId::new())
}

/// Looks until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// What a store told.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<StoreEvent>>>);

impl Heard {
    pub(crate) fn by(&self, builder: RedisStoreBuilder) -> RedisStore {
        let heard = Arc::clone(&self.0);
        builder.on_event(move |event| heard.lock().push(event.clone())).build().unwrap()
    }

    pub(crate) fn all(&self) -> Vec<StoreEvent> {
        self.0.lock().clone()
    }

    /// Losses and recoveries, each by a word.
    pub(crate) fn words(&self) -> Vec<String> {
        let word = |event: &StoreEvent| match event {
            StoreEvent::Lost { cause, .. } => format!("lost: {cause}"),
            StoreEvent::Back { .. } => "back".to_owned(),
            other => format!("{other:?}"),
        };
        self.0.lock().iter().map(word).collect()
    }
}

pub(crate) fn lost(cause: &StoreCause) -> Vec<String> {
    vec![format!("lost: {cause}")]
}

pub(crate) fn lost_and_back(cause: &StoreCause) -> Vec<String> {
    vec![format!("lost: {cause}"), "back".to_owned()]
}

pub(crate) fn refused(code: &str) -> StoreCause {
    StoreCause::Refused(code.into())
}

/// Opens with the first failure, and never stays open for long.
pub(crate) fn brittle() -> Settings {
    Settings::default()
        .failure_threshold(NonZeroU32::MIN)
        .cooldown(Duration::from_millis(1))
        .probes(Some(NonZeroU32::MIN))
        .max_hold(HOUR)
}

/// One of each kind on one store, all of which ask it every time, and say so where they cannot.
pub(crate) struct Bench {
    pub(crate) store: RedisStore,
    pub(crate) heard: Heard,
    pub(crate) breaker: RedisBreaker,
    pub(crate) limiter: RedisLimiter,
    pub(crate) rotation: RedisRotation,
}

impl Bench {
    pub(crate) fn new(url: impl Into<String>, timeout: Duration) -> Self {
        Self::on(RedisStore::builder(url).prefix(prefix()).timeout(timeout))
    }

    pub(crate) fn on(builder: RedisStoreBuilder) -> Self {
        let heard = Heard::default();
        let store = heard.by(builder.staleness(Duration::ZERO));
        let breaker = RedisBreaker::new(&store, InProcessBreaker::new(Settings::default()));
        let limits = Limits::default().in_flight(NonZeroU32::MAX);
        let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits));
        Self {
            breaker: breaker.on_outage(OnOutage::FailClosed),
            limiter: limiter.on_outage(OnOutage::FailClosed),
            rotation: RedisRotation::new(&store),
            store,
            heard,
        }
    }

    /// All of them are served by the store.
    pub(crate) async fn serves(&self) {
        let admission = self.breaker.acquire("key", &ask()).await.unwrap();
        assert!(!admission.degraded && !self.breaker.status("key").await.degraded);
        let ask = ask();
        let reservation = self.limiter.acquire("key", &ask, &Cost::REQUEST).await.unwrap();
        assert!(!reservation.degraded);
        self.limiter.settle("key", ask.lease, reservation, &Cost::REQUEST);
        self.rotation.next("key").await.unwrap();
        assert!(!self.store.is_degraded());
    }

    /// The next call finds that the store is lost, and says so.
    pub(crate) async fn loses(&self) {
        let rejection = self.breaker.acquire("key", &ask()).await.unwrap_err();
        assert!(rejection.reason == RejectReason::StoreUnavailable && rejection.degraded, "{rejection:?}");
        assert!(self.store.is_degraded());
    }

    /// Nobody waits for a store that is lost: every call has its answer with its first poll, and says how it was come by.
    pub(crate) async fn leaves_it_alone(&self, calls: usize) {
        for _ in 0..calls {
            let tried = self.breaker.try_acquire("key").expect("an answer without a wait").unwrap_err();
            assert!(tried.reason == RejectReason::StoreUnavailable && tried.degraded);
            let ask = ask();
            let asked = at_once(self.breaker.acquire("key", &ask)).unwrap_err();
            assert!(asked.reason == RejectReason::StoreUnavailable && asked.degraded);
            assert!(at_once(self.breaker.status("key")).degraded);
            let limited = at_once(self.limiter.acquire("key", &ask, &Cost::REQUEST)).unwrap_err();
            assert!(limited.degraded && limited.reason == circuit_breaker::LimitReason::StoreUnavailable);
            at_once(self.rotation.next("key")).unwrap_err();
            at_once(self.rotation.reset("key")).unwrap_err();
            at_once(self.breaker.set_mode("key", circuit_breaker::Mode::Disabled)).unwrap_err();
            // The others have their turn too, as they would in a program.
            tokio::task::yield_now().await;
        }
        assert!(self.store.is_degraded());
    }

    /// It is used again without anybody doing anything about it.
    pub(crate) async fn comes_back(&self) {
        until("the store is back", async || self.breaker.acquire("key", &ask()).await.is_ok()).await;
        self.serves().await;
    }
}

/// The answer of a future that has it with its first poll.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(future).expect("an answer with the first poll")
}

/// How many connections over TCP a server has.
pub(crate) async fn connections(server: &RedisServer) -> usize {
    let clients = server.cli(&["CLIENT", "LIST"]).await.unwrap().text();
    clients.lines().filter(|client| client.contains(" addr=127.0.0.1:")).count()
}

/// The names of a server's entries that end so.
pub(crate) async fn entries(server: &RedisServer, suffix: &str) -> Vec<String> {
    let keys = server.cli(&["KEYS", &format!("*:{suffix}")]).await.unwrap();
    keys.elements().iter().map(test_servers::Reply::text).collect()
}
