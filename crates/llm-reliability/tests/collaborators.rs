//! What the strategies ask of a breaker and a limiter that are handed in, and what they tell them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]
#![allow(clippy::struct_excessive_bools, reason = "a store has that many ways to misbehave")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Seen, builder, failing, secs, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, Cost, LeaseId, LimitReason, Limited, Limiter, RejectReason, Rejection,
    Reservation, Settlement, State, Status, Transition, async_trait,
};
use llm_reliability::{Attempt, Call, Ended, Observer, Policy, Timeouts};
use parking_lot::Mutex;

/// A store that writes down what it is asked and told, and answers as it was set up to.
#[derive(Default)]
struct Store {
    said: Mutex<Vec<String>>,
    held: Mutex<Vec<LeaseId>>,
    /// For how long it was asked, and what it was told of how long it took.
    asked: Mutex<Vec<Option<Duration>>>,
    took: Mutex<Vec<Option<Duration>>>,
    degraded: bool,
    rejects: Option<RejectReason>,
    limits: Option<LimitReason>,
    hangs: bool,
    panics: bool,
    panics_when_told: bool,
    panics_when_dropped: bool,
    /// It is asked how a circuit stands, and does not say so, or panics.
    says_nothing: bool,
    knows_nothing: bool,
    slow: Duration,
}

impl Store {
    fn say(&self, what: impl Into<String>) {
        self.said.lock().push(what.into());
    }

    fn end(&self, lease: LeaseId) {
        self.held.lock().retain(|held| *held != lease);
    }

    async fn think(&self) {
        let _trap = self.panics_when_dropped.then(|| Trap);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(self.slow).await;
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock())
    }
}

/// What a store's future may hold.
struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("a store that cannot even be dropped");
    }
}

#[async_trait]
impl Breaker for Store {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.say(format!("may {key}?"));
        self.asked.lock().push(ask.hold);
        assert!(!self.panics, "the store is broken");
        self.think().await;
        if let Some(reason) = self.rejects {
            return Err(Rejection::new(reason).with_retry_after(secs(3)).with_degraded(self.degraded));
        }
        self.held.lock().push(ask.lease);
        Ok(Admission::closed(1).with_degraded(self.degraded))
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, _: Admission, settlement: Settlement) {
        self.end(lease.unwrap());
        self.took.lock().push(settlement.latency);
        self.say(format!("{key}: {:?}", settlement.verdict));
        assert!(!self.panics_when_told, "the store is broken");
    }

    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Admission>) {
        self.end(lease);
        self.say(format!("{key}: abandoned"));
    }

    async fn status(&self, _: &str) -> Status {
        self.think().await;
        assert!(!self.knows_nothing, "the store is broken");
        if self.says_nothing {
            let _trap = Trap;
            std::future::pending::<()>().await;
        }
        Status::default()
    }

    async fn flush(&self) {
        self.say("flush");
        if self.hangs {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Limiter for Store {
    async fn acquire(&self, _: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        self.asked.lock().push(ask.hold);
        self.think().await;
        if let Some(reason) = self.limits {
            return Err(Limited::new(reason).with_retry_after(secs(5)));
        }
        self.held.lock().push(ask.lease);
        Ok(Reservation::new(*cost))
    }

    fn settle(&self, _: &str, lease: LeaseId, _: Reservation, actual: &Cost) {
        self.end(lease);
        self.say(format!("cost {:?} {:?}", actual.input_tokens, actual.output_tokens));
        assert!(!self.panics_when_told, "the store is broken");
    }

    fn abandon(&self, _: &str, lease: LeaseId, _: Option<Reservation>) {
        self.end(lease);
        self.say("refunded");
    }

    fn defer(&self, key: &str, delay: Duration) {
        self.say(format!("{key}: away for {delay:?}"));
        assert!(!self.panics_when_told, "the store is broken");
    }
}

async fn run(store: Store, step: Step) -> (Vec<String>, Vec<String>, Arc<Store>) {
    let store = Arc::new(store);
    let client = builder(&[ScriptedModel::new("p:a").then(step)])
        .breaker(Arc::<Store>::clone(&store))
        .limiter(Arc::<Store>::clone(&store))
        .build()
        .unwrap();
    let report = client.failover("hi").await.unwrap();
    assert!(store.held.lock().is_empty(), "a lease is still held");
    (trail(&report), store.take(), store)
}

#[tokio::test(start_paused = true)]
async fn verdict_and_cost_follow_what_happened() {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(9));
    let table = [
        (Step::answer("one two"), vec!["p:a: Success", "cost Some(10) Some(2)"]),
        (failing(ErrorKind::Server), vec!["p:a: Failure", "cost None None"]),
        (failing(ErrorKind::Authentication), vec!["p:a: Failure", "cost None None"]),
        (failing(ErrorKind::BadRequest), vec!["p:a: Neutral", "cost None None"]),
        (Step::error(hinted), vec!["p:a: Neutral", "cost None None", "p:a: away for 9s"]),
        (failing(ErrorKind::QuotaExhausted), vec!["p:a: Neutral", "cost None None", "p:a: away for 300s"]),
        (Step::panic(), vec!["p:a: Neutral", "cost None None"]),
        // What never reached the provider costs nothing there.
        (Step::connect_error(Error::new(ErrorKind::Connection, "")), vec!["p:a: Failure", "refunded"]),
        (Step::prepare_error(Error::unsupported("seed")), vec!["p:a: Neutral", "refunded"]),
    ];
    for (step, told) in table {
        let shown = format!("{step:?}");
        let (_, said, _) = run(Store::default(), step).await;
        assert_eq!(said, [vec!["may p:a?"], told].concat(), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_rejected_holds_nothing() {
    let (trail, said, _) =
        run(Store { rejects: Some(RejectReason::Open), ..Store::default() }, Step::default()).await;
    assert_eq!((trail, said), (vec!["p:a preempted_open".to_owned()], vec!["may p:a?".to_owned()]));
    let (trail, said, _) =
        run(Store { limits: Some(LimitReason::Rate), ..Store::default() }, Step::default()).await;
    assert_eq!(trail, ["p:a preempted_limited"]);
    assert_eq!(said, ["may p:a?", "p:a: Neutral"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_there_shows_on_the_attempt() {
    for (rejects, degraded) in [(None, true), (Some(RejectReason::StoreUnavailable), true), (None, false)] {
        let store = Arc::new(Store { rejects, degraded: degraded && rejects.is_none(), ..Store::default() });
        let client = builder(&[ScriptedModel::new("p:a")]).breaker(store).build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(report.attempts()[0].degraded, degraded, "{rejects:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_nothing_up_for_long() {
    let model = ScriptedModel::new("p:a");
    for limiter in [false, true] {
        let hanging = Arc::new(Store { hangs: true, ..Store::default() });
        let builder = builder(&[model.clone()]);
        let client = if limiter {
            builder.limiter(Arc::<Store>::clone(&hanging))
        } else {
            builder.breaker(Arc::<Store>::clone(&hanging))
        };
        let client = client.build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!((report.ended(), report.elapsed()), (Ended::StoreUnavailable, secs(5)));
        assert!(report.attempts()[0].degraded);
        // Asked and gone away: the lease is given back by name, in case it is granted after all.
        let said = if limiter { vec!["refunded"] } else { vec!["may p:a?", "p:a: abandoned"] };
        assert_eq!(hanging.take(), said);
        assert_eq!(client.fan_out("hi").await.unwrap().elapsed(), secs(5));
        let call = Call::new("hi").timeouts(Timeouts::new().total(secs(4)));
        let report = client.failover(call).await.unwrap();
        assert_eq!((report.ended(), report.elapsed()), (Ended::TotalTimeout, secs(4)));
        assert_eq!(trail(&report), ["p:a failed timeout/total"]);
        assert_eq!(client.status().await[0].1.degraded, !limiter);
    }
    assert_eq!(model.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_say_how_a_circuit_stands_holds_no_retry_up_for_long() {
    for (store, pause) in [
        (Store { says_nothing: true, ..Store::default() }, Duration::from_millis(250)),
        (Store { knows_nothing: true, ..Store::default() }, Duration::ZERO),
        (Store::default(), Duration::ZERO),
    ] {
        let model = ScriptedModel::new("p:a").then(failing(ErrorKind::Server)).then(Step::answer("ok"));
        let policy = Policy::default().transient_retries(1).backoff(Duration::ZERO, Duration::ZERO);
        let client = builder(&[model]).breaker(Arc::new(store)).policy(policy).build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), ["p:a failed server @first_token", "p:a success @stream"]);
        let elapsed = report.elapsed();
        assert!((pause..pause + Duration::from_millis(10)).contains(&elapsed), "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_when_it_is_given_up_never_unwinds_the_call() {
    let store = || Arc::new(Store { hangs: true, panics_when_dropped: true, ..Store::default() });
    let seen = Seen::default();
    let client =
        builder(&[ScriptedModel::new("p:a")]).breaker(store()).observer(seen.clone()).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::StoreUnavailable);
    assert_eq!(seen.take(), ["p:a preempted_open"]);
    assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err());
    assert_eq!(seen.take(), ["p:a cancelled"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_never_unwinds_the_call() {
    let (trail, said, _) = run(Store { panics: true, ..Store::default() }, Step::default()).await;
    assert_eq!(trail, ["p:a failed other"]);
    assert_eq!(said, ["may p:a?", "p:a: abandoned"]);

    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(9));
    let (trail, said, _) =
        run(Store { panics_when_told: true, ..Store::default() }, Step::error(hinted)).await;
    assert_eq!(trail, ["p:a deferred_backpressure rate_limited @first_token"]);
    // Whose settlement panicked gets the lease back; everyone else is told all the same.
    let told =
        ["may p:a?", "p:a: Neutral", "p:a: abandoned", "cost None None", "refunded", "p:a: away for 9s"];
    assert_eq!(said, told);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_while_a_store_thinks_and_whenever_else() {
    let slow = Step::answer("one two")
        .prepared_after(secs(1))
        .connected_after(secs(1))
        .delayed(secs(1))
        .paced(secs(1));
    for strategy in ["failover", "failover_stream", "fan_out"] {
        for moment in 0..60 {
            let store = Arc::new(Store { slow: Duration::from_millis(700), ..Store::default() });
            let seen = Seen::default();
            let models =
                [ScriptedModel::new("p:a").then(slow.clone()), ScriptedModel::new("p:b").then(slow.clone())];
            let client = builder(&models)
                .breaker(Arc::<Store>::clone(&store))
                .limiter(Arc::<Store>::clone(&store))
                .observer(seen.clone())
                .build()
                .unwrap();
            let limit = Duration::from_millis(moment * 120);
            let ended = match strategy {
                "failover" => tokio::time::timeout(limit, client.failover("hi")).await.is_ok(),
                "failover_stream" => tokio::time::timeout(limit, client.failover_stream("hi")).await.is_ok(),
                _ => tokio::time::timeout(limit, client.fan_out("hi")).await.is_ok(),
            };
            let said = store.take();
            let place = format!("{strategy} dropped after {limit:?}: {said:?}");
            assert!(store.held.lock().is_empty(), "{place}: a lease is still held");
            assert!(models.iter().all(|model| model.in_flight() == 0), "{place}: a call is still out");
            let begun = said.iter().filter(|line| line.starts_with("may")).count();
            let told = seen.take();
            assert_eq!(told.len(), begun, "{place}: {told:?}");
            let cancelled = told.iter().filter(|line| line.contains("cancelled")).count();
            assert_eq!(cancelled, if ended && strategy != "failover_stream" { 0 } else { begun }, "{place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_and_does_not_wait_for_ever() {
    let (quick, stuck) = (Arc::new(Store::default()), Arc::new(Store { hangs: true, ..Store::default() }));
    for (store, flushed) in [(quick, true), (stuck, false)] {
        let client =
            builder(&[ScriptedModel::new("p:a")]).breaker(Arc::<Store>::clone(&store)).build().unwrap();
        assert_eq!(client.shutdown().await, flushed);
        assert_eq!(store.take(), ["flush"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_observer_hears_of_every_transition_of_the_clients_own_breaker() {
    #[derive(Clone, Default)]
    struct Transitions(Arc<Mutex<Vec<(String, State, State)>>>);
    impl Observer for Transitions {
        fn on_attempt(&self, _: &Attempt) {}
        fn on_transition(&self, transition: &Transition) {
            self.0.lock().push((transition.key.to_string(), transition.from, transition.to));
        }
    }
    let heard = Transitions::default();
    let model =
        ScriptedModel::new("p:a").then_times(3, failing(ErrorKind::Overloaded)).then(Step::answer("back"));
    let client = builder(&[model]).observer(heard.clone()).build().unwrap();
    for _ in 0..4 {
        client.failover("hi").await.unwrap();
    }
    tokio::time::advance(secs(120)).await;
    assert!(client.failover("hi").await.unwrap().succeeded());
    let expected =
        [(State::Closed, State::Open), (State::Open, State::HalfOpen), (State::HalfOpen, State::Closed)];
    assert_eq!(*heard.0.lock(), expected.map(|(from, to)| ("p:a".to_owned(), from, to)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_is_out_keeps_its_cost() {
    let store = Arc::new(Store::default());
    let seen = Seen::default();
    let client = builder(&[ScriptedModel::new("p:a").then(Step::answer("one").then_stall())])
        .breaker(Arc::<Store>::clone(&store))
        .limiter(Arc::<Store>::clone(&store))
        .observer(seen.clone())
        .build()
        .unwrap();
    assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err());
    assert_eq!(store.take(), ["may p:a?", "p:a: Neutral", "cost None None"]);
    assert_eq!(seen.take(), ["p:a cancelled @stream"]);
}

#[tokio::test(start_paused = true)]
async fn stores_are_asked_for_as_long_as_it_may_take_and_told_how_long_it_took() {
    let store = Arc::new(Store { slow: secs(2), ..Store::default() });
    let client = builder(&[ScriptedModel::new("p:a").then(Step::answer("one").delayed(secs(3)))])
        .breaker(Arc::<Store>::clone(&store))
        .limiter(Arc::<Store>::clone(&store))
        .timeouts(Timeouts::new().attempt(secs(100)).cleanup(secs(10)))
        .build()
        .unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
    // The attempt, the time to tell of its end, and what the stores themselves may take before it begins.
    assert_eq!(*store.asked.lock(), [Some(secs(115)); 2]);
    assert_eq!(*store.took.lock(), [Some(secs(3))]);

    let limited = Arc::new(Store { limits: Some(LimitReason::Rate), ..Store::default() });
    let client = builder(&[ScriptedModel::new("p:a")])
        .breaker(Arc::<Store>::clone(&limited))
        .limiter(Arc::<Store>::clone(&limited))
        .build()
        .unwrap();
    client.failover("hi").await.unwrap();
    assert_eq!(*limited.took.lock(), [None], "it never went out");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_takes_longer_than_the_breakers_own_hold_still_closes_its_circuit() {
    let model = ScriptedModel::new("p:a")
        .then_times(3, failing(ErrorKind::Overloaded))
        .then(Step::answer("at last").delayed(secs(700)));
    let half_an_hour = Timeouts::new().attempt(secs(1800)).first_token(secs(1800)).total(secs(3600));
    let client = builder(&[model]).timeouts(half_an_hour).build().unwrap();
    for _ in 0..3 {
        client.failover("hi").await.unwrap();
    }
    assert_eq!(client.status().await[0].1.state, State::Open);
    tokio::time::advance(secs(120)).await;
    let report = client.failover("hi").await.unwrap();
    assert!(report.succeeded() && report.elapsed() >= secs(700), "{:?}", trail(&report));
    assert_eq!(client.status().await[0].1.state, State::Closed);
}
