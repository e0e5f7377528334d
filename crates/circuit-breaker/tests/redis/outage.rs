//! What is answered while the store is away, and what the store hears of it afterwards.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use circuit_breaker::{
    Breaker, Cost, InProcessBreaker, InProcessLimiter, LimitReason, Limiter, Limits, Mode, OnOutage, Rate,
    RedisBreaker, RedisLimiter, RedisRotation, RedisStore, RejectReason, Rotation, RotationError, Settings,
    State, Verdict,
};
use test_servers::RedisServer;
use tokio::time::sleep;

use crate::faults_bench::{HOUR, PATIENCE, ask, at_once, brittle, prefix, until};

const TIMEOUT: Duration = Duration::from_millis(200);
/// So long that a test has no patience for it.
const COOLDOWN: Duration = Duration::from_secs(600);

/// A server, and two workers that share a prefix. The second one is there to see what the first one told.
struct Fleet {
    server: RedisServer,
    prefix: String,
}

impl Fleet {
    async fn start() -> Self {
        Self { server: RedisServer::start().await.unwrap(), prefix: prefix() }
    }

    fn store(&self) -> RedisStore {
        let builder = RedisStore::builder(self.server.url()).prefix(&*self.prefix).timeout(TIMEOUT);
        builder.staleness(Duration::ZERO).build().unwrap()
    }

    fn breaker(&self, settings: Settings) -> (RedisStore, RedisBreaker) {
        let store = self.store();
        let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
        (store, breaker)
    }

    async fn freeze(&self, breaker: &RedisBreaker) {
        self.server.freeze().unwrap();
        until("it is lost", async || breaker.status("unused").await.degraded).await;
    }

    /// Thaws it, and waits until what was told has arrived.
    async fn thaw(&self, store: &RedisStore, breaker: &RedisBreaker) {
        self.server.thaw().unwrap();
        store.ready(PATIENCE).await.unwrap();
        breaker.flush().await;
    }

    /// What another worker sees, on a busy machine too.
    async fn seen(&self, key: &str) -> circuit_breaker::Snapshot {
        let builder = RedisStore::builder(self.server.url()).prefix(&*self.prefix).timeout(PATIENCE);
        let store = builder.staleness(Duration::ZERO).build().unwrap();
        RedisBreaker::new(&store, InProcessBreaker::default()).snapshot(key).await.unwrap()
    }
}

fn three() -> Settings {
    Settings::default().failure_threshold(NonZeroU32::new(3).unwrap()).cooldown(COOLDOWN)
}

async fn ends(breaker: &RedisBreaker, key: &str, verdict: Verdict) -> bool {
    let ask = ask();
    let admission = breaker.acquire(key, &ask).await.unwrap();
    breaker.settle(key, Some(ask.lease), admission, verdict.into());
    admission.degraded
}

#[tokio::test]
async fn an_open_circuit_stays_open_for_its_rest() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    store.ready(PATIENCE).await.unwrap();
    for _ in 0..3 {
        assert!(!ends(&breaker, "key", Verdict::Failure).await);
    }
    breaker.flush().await;
    let before = breaker.snapshot("key").await.unwrap().status.retry_after.unwrap();
    fleet.freeze(&breaker).await;
    let rejection = at_once(breaker.acquire("key", &ask())).unwrap_err();
    assert!(rejection.reason == RejectReason::Open && rejection.degraded);
    assert!(rejection.retry_after.is_some_and(|rest| rest <= before && rest > before / 2));
    let status = at_once(breaker.status("key"));
    assert!((status.state, status.failures, status.degraded) == (State::Open, 3, true), "{status:?}");
    fleet.thaw(&store, &breaker).await;
    let rejection = breaker.acquire("key", &ask()).await.unwrap_err();
    assert!(rejection.reason == RejectReason::Open && !rejection.degraded);
}

#[tokio::test]
async fn after_its_rest_it_is_probed_by_this_worker_alone() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three().cooldown(Duration::from_secs(1)).max_hold(HOUR));
    store.ready(PATIENCE).await.unwrap();
    for _ in 0..3 {
        ends(&breaker, "key", Verdict::Failure).await;
    }
    breaker.flush().await;
    fleet.freeze(&breaker).await;
    let mut probe = ask();
    until("a probe goes out", async || {
        probe = ask();
        at_once(breaker.acquire("key", &probe)).is_ok_and(|admission| admission.probe && admission.degraded)
    })
    .await;
    let second = at_once(breaker.acquire("key", &ask())).unwrap_err();
    assert!(second.reason == RejectReason::ProbesTaken && second.degraded, "one at a time");
    breaker.abandon("key", probe.lease, Some(circuit_breaker::Admission::probe(0).with_degraded(true)));
    let probe = ask();
    let admission = at_once(breaker.acquire("key", &probe)).unwrap();
    assert!(admission.probe, "what was given back is free");
    breaker.settle("key", Some(probe.lease), admission, Verdict::Success.into());
    assert!(ends(&breaker, "key", Verdict::Success).await, "closed, for this worker");
    fleet.thaw(&store, &breaker).await;
    assert_eq!(fleet.seen("key").await.status.state, State::Open, "the store was told nothing");
}

#[tokio::test]
async fn failures_in_a_row_go_on_and_what_opens_is_published() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    store.ready(PATIENCE).await.unwrap();
    // Its epoch is not the first one.
    breaker.reset("key").await.unwrap();
    let epoch = breaker.snapshot("key").await.unwrap().epoch;
    for _ in 0..2 {
        assert!(!ends(&breaker, "key", Verdict::Failure).await);
    }
    fleet.freeze(&breaker).await;
    assert!(ends(&breaker, "key", Verdict::Failure).await);
    let rejection = at_once(breaker.acquire("key", &ask())).unwrap_err();
    assert!(rejection.reason == RejectReason::Open && rejection.degraded, "the third in a row");
    let opened = tokio::time::Instant::now();
    sleep(Duration::from_millis(300)).await;
    fleet.thaw(&store, &breaker).await;
    let seen = fleet.seen("key").await;
    assert!(seen.status.state == State::Open && seen.epoch > epoch, "{seen:?}");
    let rest = seen.status.retry_after.unwrap();
    assert!(
        rest + Duration::from_millis(300) <= COOLDOWN,
        "since it opened, and not since it was told: {rest:?}"
    );
    assert!(rest + opened.elapsed() + Duration::from_millis(1) >= COOLDOWN, "{rest:?}");
}

#[tokio::test]
async fn a_call_that_began_with_the_store_and_fails_without_it_counts_once() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    store.ready(PATIENCE).await.unwrap();
    let mut admitted = Vec::new();
    for _ in 0..3 {
        admitted.push(breaker.acquire("key", &ask()).await.unwrap());
    }
    fleet.freeze(&breaker).await;
    for (failures, admission) in (1..).zip(admitted) {
        assert!(at_once(breaker.acquire("key", &ask())).is_ok());
        breaker.settle("key", None, admission, Verdict::Failure.into());
        assert_eq!(at_once(breaker.status("key")).failures, failures);
    }
    at_once(breaker.acquire("key", &ask())).unwrap_err();
    fleet.thaw(&store, &breaker).await;
    let seen = fleet.seen("key").await;
    assert!(seen.status.state == State::Open && seen.openings == 1, "told twice, opened once: {seen:?}");
}

/// Much else is asked for meanwhile, so that what is old is forgotten.
#[tokio::test]
async fn what_opened_without_the_store_stays_open_until_it_is_back() {
    let fleet = Fleet::start().await;
    let (_store, breaker) = fleet.breaker(three().failure_threshold(NonZeroU32::MIN));
    fleet.server.kill();
    assert!(ends(&breaker, "key", Verdict::Failure).await);
    at_once(breaker.acquire("key", &ask())).unwrap_err();
    for other in 0..40_000 {
        at_once(breaker.acquire(&format!("other {other}"), &ask())).unwrap();
    }
    let rejection = at_once(breaker.acquire("key", &ask())).unwrap_err();
    assert_eq!(rejection.reason, RejectReason::Open);
}

#[tokio::test]
async fn what_a_person_decided_holds() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    store.ready(PATIENCE).await.unwrap();
    let modes = [("open", Mode::ForcedOpen), ("closed", Mode::ForcedClosed), ("off", Mode::Disabled)];
    for (key, mode) in modes {
        breaker.set_mode(key, mode).await.unwrap();
    }
    fleet.freeze(&breaker).await;
    for _ in 0..10 {
        let rejection = at_once(breaker.acquire("open", &ask())).unwrap_err();
        assert!(rejection.reason == RejectReason::ForcedOpen && rejection.degraded);
        for key in ["closed", "off"] {
            assert!(ends(&breaker, key, Verdict::Failure).await, "it stays closed");
        }
    }
    for (key, mode) in modes {
        let status = at_once(breaker.status(key));
        assert!(status.mode == mode && status.degraded, "{status:?}");
    }
    fleet.thaw(&store, &breaker).await;
    for (key, mode) in modes {
        assert_eq!(fleet.seen(key).await.status.mode, mode);
    }
}

#[tokio::test]
async fn whoever_fails_open_lets_everything_through_and_leaves_nothing_behind() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(brittle().cooldown(COOLDOWN));
    let breaker = breaker.on_outage(OnOutage::FailOpen);
    let limiter =
        RedisLimiter::new(&store, InProcessLimiter::new(Limits::default().in_flight(NonZeroU32::MIN)));
    let limiter = limiter.on_outage(OnOutage::FailOpen);
    store.ready(PATIENCE).await.unwrap();
    ends(&breaker, "key", Verdict::Failure).await;
    breaker.flush().await;
    breaker.acquire("key", &ask()).await.unwrap_err();
    fleet.freeze(&breaker).await;
    for _ in 0..10 {
        assert!(ends(&breaker, "key", Verdict::Failure).await);
        assert!(at_once(breaker.status("key")).degraded);
        let ask = ask();
        let slot = at_once(limiter.acquire("key", &ask, &Cost::REQUEST)).unwrap();
        assert!(slot.degraded && limiter.try_acquire("key", &Cost::REQUEST).unwrap().unwrap().degraded);
        limiter.settle("key", ask.lease, slot, &Cost::REQUEST);
    }
    fleet.thaw(&store, &breaker).await;
    let seen = fleet.seen("key").await;
    assert!((seen.status.state, seen.openings) == (State::Open, 1), "{seen:?}");
    let slot = limiter.acquire("key", &ask(), &Cost::REQUEST).await.unwrap();
    assert!(!slot.degraded);
}

#[tokio::test]
async fn hints_hold_that_were_known_or_come_meanwhile() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    let limits = Limits::default().in_flight(NonZeroU32::MIN);
    for (name, limiter) in [("refused", InProcessLimiter::new(limits)), ("free", InProcessLimiter::default())]
    {
        let limiter = RedisLimiter::new(&store, limiter);
        let names = [format!("known {name}"), format!("meanwhile {name}")];
        let [known, meanwhile] = names.each_ref();
        store.ready(PATIENCE).await.unwrap();
        limiter.defer(known, COOLDOWN);
        limiter.flush().await;
        fleet.freeze(&breaker).await;
        limiter.defer(meanwhile, COOLDOWN);
        for key in [known, meanwhile] {
            let refused = at_once(limiter.acquire(key, &ask(), &Cost::REQUEST)).unwrap_err();
            assert!(refused.reason == LimitReason::Deferred, "{key}: {refused:?}");
            assert!(refused.retry_after.is_some_and(|rest| rest <= COOLDOWN && rest > COOLDOWN / 2));
        }
        let ask = ask();
        let slot = at_once(limiter.acquire(&format!("other {name}"), &ask, &Cost::REQUEST)).unwrap();
        assert!(slot.degraded);
        fleet.thaw(&store, &breaker).await;
        let store = fleet.store();
        store.ready(PATIENCE).await.unwrap();
        let other = RedisLimiter::new(&store, InProcessLimiter::new(limits)).on_outage(OnOutage::FailOpen);
        for key in [known, meanwhile] {
            let refused = other.acquire(key, &crate::faults_bench::ask(), &Cost::REQUEST).await.unwrap_err();
            assert!(refused.reason == LimitReason::Deferred && !refused.degraded, "{key}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn each_worker_keeps_to_the_limits_alone() {
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    let two = NonZeroU64::new(2).unwrap();
    let limits = Limits::default().requests(Rate::new(two, HOUR)).in_flight(NonZeroU32::MIN);
    let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits));
    store.ready(PATIENCE).await.unwrap();
    fleet.freeze(&breaker).await;
    for reason in [None, None, Some(LimitReason::RequestRate)] {
        let first = ask();
        match (at_once(limiter.acquire("key", &first, &Cost::REQUEST)), reason) {
            (Ok(slot), None) => {
                assert!(slot.degraded);
                let refused = at_once(limiter.acquire("key", &ask(), &Cost::REQUEST)).unwrap_err();
                assert!(refused.reason == LimitReason::InFlight && refused.degraded);
                limiter.settle("key", first.lease, slot, &Cost::REQUEST);
            }
            (Err(refused), Some(reason)) => assert!(refused.reason == reason && refused.degraded),
            (answer, _) => panic!("{answer:?}"),
        }
    }
    fleet.thaw(&store, &breaker).await;
    let slot = limiter.acquire("key", &ask(), &Cost::REQUEST).await.unwrap();
    assert!(!slot.degraded, "the store was told nothing of them");
}

#[tokio::test]
async fn turns_without_the_store_are_none_or_drawn() {
    const DRAWS: usize = 3000;
    let fleet = Fleet::start().await;
    let (store, breaker) = fleet.breaker(three());
    let closed = RedisRotation::new(&store);
    store.ready(PATIENCE).await.unwrap();
    assert_eq!(closed.next("key").await.unwrap(), 0);
    fleet.freeze(&breaker).await;
    assert_eq!(at_once(closed.next("key")), Err(RotationError::StoreUnavailable));
    assert_eq!(at_once(closed.reset("key")), Err(RotationError::StoreUnavailable));
    for on_outage in [OnOutage::LocalFallback, OnOutage::FailOpen] {
        let rotation = RedisRotation::new(&store).on_outage(on_outage);
        let mut shares = [0_usize; 3];
        for _ in 0..DRAWS {
            shares[usize::try_from(at_once(rotation.next("key")).unwrap() % 3).unwrap()] += 1;
        }
        // Each is expected 1,000 times, within 26 mostly: this is eight times as far.
        assert!(shares.iter().all(|share| share.abs_diff(DRAWS / 3) < 208), "{shares:?}");
    }
    fleet.thaw(&store, &breaker).await;
    assert_eq!(closed.next("key").await.unwrap(), 1);
}
