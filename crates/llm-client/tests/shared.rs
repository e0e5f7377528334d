//! Clients that share a store, each as if it were in a process of its own; and what they do while the store is away.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_protocol::testing::{ScriptedModel, Step};
use llm_client::llm_protocol::{Error, ErrorKind, ModelAdapter};
use llm_client::llm_reliability::circuit_breaker::{
    InProcessLimiter, Limits, Mode, OnOutage, Rate, RedisStore, State, StoreEvent, Transition,
};
use llm_client::llm_reliability::{Attempt, Ended, Observer, Report, ResilientClient};
use llm_client::{Builder, Config, FactoryError, ProviderContext, ProviderFactory, Registry, SharedState};
use parking_lot::Mutex;
use test_servers::RedisServer;
use tokio::time::{Instant, sleep};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Whose models answer, but those that are called `down`.
struct Acme;

fn model(key: &str) -> ScriptedModel {
    let model = ScriptedModel::with_key(key, key);
    if key.contains("down") {
        model.then(Step::error(Error::new(ErrorKind::Server, "out of order")))
    } else {
        model
    }
}

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Ok(Arc::new(model(&context.spec.key())))
    }
}

/// Keeps the transitions that it is told of.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, State)>>>);

impl Observer for Seen {
    fn on_attempt(&self, _attempt: &Attempt) {}

    fn on_transition(&self, transition: &Transition) {
        self.0.lock().push((transition.key.to_string(), transition.to));
    }
}

/// Keeps what it hears of stores.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<StoreEvent>>>);

impl Heard {
    fn registry(&self) -> Registry {
        let heard = self.clone();
        let registry = Registry::empty().provider("acme", Acme);
        registry.on_store_event(move |event| heard.0.lock().push(event.clone()))
    }
}

/// Candidates by their ids, in this order of priority.
fn config(server: &RedisServer, ids: &[&str], store: &str, sections: &str) -> Config {
    let candidate = |(priority, id): (usize, &&str)| {
        format!("[[candidate]]\nprovider = 'acme'\nmodel = 'm'\nid = '{id}'\npriority = {priority}\n")
    };
    let candidates: String = ids.iter().enumerate().map(candidate).collect();
    let text = format!("{sections}\n[store]\nredis = '{}'\n{store}\n{candidates}", server.url());
    Config::from_toml(&text).unwrap()
}

/// It may take its time on a busy machine, and nothing is known from before.
const PATIENT: &str = "timeout = '4s'\nstaleness = '0s'\n";

fn client(server: &RedisServer, ids: &[&str], sections: &str) -> ResilientClient {
    config(server, ids, PATIENT, sections).build(&Heard::default().registry()).unwrap()
}

fn trail(report: &Report) -> Vec<(&str, &str)> {
    report.attempts().iter().map(|it| (&*it.model_key, it.outcome.as_str())).collect()
}

/// The keys of the attempts of one call, in order.
async fn asked(client: &ResilientClient) -> String {
    let report = client.failover("hi").await.unwrap();
    report.attempts().iter().map(|it| it.model_key.replace("down-", "")).collect()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trips_the_breaker_and_all_pass_the_candidate_over() {
    let server = RedisServer::start().await.unwrap();
    let config = config(&server, &["down", "well"], PATIENT, "breaker.cooldown = '1h'");
    let [seen_by_one, seen_by_another] = [Seen::default(), Seen::default()];
    let observed = |seen: &Seen| {
        let builder = config.client_builder(&Heard::default().registry()).unwrap();
        builder.observer(seen.clone()).build().unwrap()
    };
    let (one, another) = (observed(&seen_by_one), observed(&seen_by_another));
    for _ in 0..3 {
        let report = one.failover("hi").await.unwrap();
        assert_eq!(trail(&report), [("down", "failed"), ("well", "success")]);
        assert!(report.attempts().iter().all(|attempt| !attempt.degraded));
    }
    assert!(one.shutdown().await);
    let report = another.failover("hi").await.unwrap();
    assert_eq!(trail(&report), [("down", "preempted_open"), ("well", "success")]);
    for seen in [seen_by_one, seen_by_another] {
        assert_eq!(*seen.0.lock(), [("down".to_owned(), State::Open)]);
    }
    for client in [one, another] {
        let seen = client.status().await;
        let states: Vec<_> = seen.iter().map(|(key, status)| (&**key, status.state)).collect();
        assert_eq!(states, [("down", State::Open), ("well", State::Closed)]);
        assert!(seen.iter().all(|(_, status)| !status.degraded));
    }
}

/// Failures in a row are each client's own, but shares of the calls are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_has_the_calls_of_all_once_they_have_shut_down() {
    let server = RedisServer::start().await.unwrap();
    let section = "breaker = { failure_rate = 50, window_calls = 10, minimum_calls = 2, cooldown = '1h' }";
    let new = || {
        config(&server, &["x"], PATIENT, section).client_builder(&Registry::empty().provider("acme", Acme))
    };
    let script = |step: Step| ScriptedModel::new("shared").then(step);
    let client = |model| new().unwrap().candidate(model).build().unwrap();
    let good = client(script(Step::answer("ok")));
    let bad = client(script(Step::error(Error::new(ErrorKind::Server, "out of order"))));
    // `x` is there for the configuration only.
    for client in [&good, &bad] {
        let report = client.fan_out("hi").await.unwrap();
        assert_eq!(report.attempts().len(), 2);
        assert!(client.shutdown().await);
    }
    let third = client(script(Step::answer("ok")));
    let report = third.fan_out("hi").await.unwrap();
    assert_eq!(trail(&report), [("x", "success"), ("shared", "preempted_open")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_those_of_all_together() {
    let server = RedisServer::start().await.unwrap();
    let section = "limits.first.requests_per_minute = 2\nlimits.first.requests_burst = 2";
    let [one, another] = [0, 1].map(|_| client(&server, &["first", "second"], section));
    for client in [&one, &another] {
        assert_eq!(trail(&client.failover("hi").await.unwrap()), [("first", "success")]);
    }
    for client in [&one, &another] {
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), [("first", "preempted_limited"), ("second", "success")]);
        assert!(report.attempts().iter().all(|attempt| !attempt.degraded));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_taken_together_and_fallback_follows_the_priorities() {
    let server = RedisServer::start().await.unwrap();
    let ids = ["down-A", "down-B", "down-C"];
    let section = "failover.order = 'round_robin'\nbreaker.failure_threshold = 1000";
    let clients = [0, 1].map(|_| client(&server, &ids, section));
    let mut orders = Vec::new();
    for call in 0..5 {
        orders.push(asked(&clients[call % 2]).await);
    }
    assert_eq!(orders, ["ABC", "BAC", "CAB", "ABC", "BAC"]);
    // Others have turns of their own.
    let prefix = format!("{PATIENT}prefix = 'other'");
    let other = config(&server, &ids, &prefix, section).build(&Heard::default().registry()).unwrap();
    assert_eq!(asked(&other).await, "ABC");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_the_store_is_away_and_say_so() {
    let server = RedisServer::start().await.unwrap();
    let heard = Heard::default();
    let client = config(&server, &["down", "well"], PATIENT, "breaker.cooldown = '1h'")
        .build(&heard.registry())
        .unwrap();
    let degraded = async || {
        let report = client.failover("hi").await.unwrap();
        assert!(report.succeeded());
        let json = serde_json::to_value(&report).unwrap();
        let shown: BTreeSet<_> =
            json["attempts"].as_array().unwrap().iter().map(|it| it["degraded"].as_bool().unwrap()).collect();
        assert_eq!(shown.len(), 1, "all of a call, or none: {json}");
        (trail(&report).iter().map(|it| it.1.to_owned()).collect::<Vec<_>>(), shown.contains(&true))
    };
    let failed = vec!["failed".to_owned(), "success".to_owned()];
    assert_eq!(degraded().await, (failed.clone(), false));
    server.kill();
    // It is known that it failed once: three in a row open the circuit, with the store or without.
    assert_eq!(degraded().await, (failed.clone(), true));
    assert_eq!(degraded().await, (failed.clone(), true));
    let passed_over = vec!["preempted_open".to_owned(), "success".to_owned()];
    assert_eq!(degraded().await, (passed_over.clone(), true));
    assert!(client.status().await.iter().all(|(_, status)| status.degraded));
    assert!(matches!(&heard.0.lock()[..], [StoreEvent::Lost { .. }]));

    server.restart().await.unwrap();
    until("the store is used again", async || !degraded().await.1).await;
    assert!(matches!(&heard.0.lock()[..], [StoreEvent::Lost { .. }, StoreEvent::Back { .. }]));
    // What opened meanwhile has been told to the store.
    assert!(client.shutdown().await);
    until("the store knows", async || degraded().await == (passed_over.clone(), false)).await;
}

/// Nothing answers, and nothing is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_store_holds_nobody_up() {
    let server = RedisServer::start().await.unwrap();
    let quick = "timeout = '50ms'\nstaleness = '0s'";
    let client = config(&server, &["down", "well"], quick, "").build(&Heard::default().registry()).unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
    server.freeze().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), [("down", "failed"), ("well", "success")]);
    assert!(report.attempts().iter().all(|attempt| attempt.degraded));
    // Without a limit of the store's own, each candidate would be waited for five seconds.
    assert!(report.elapsed() < Duration::from_secs(4), "{:?}", report.elapsed());
    assert!(!client.shutdown().await, "not everything has arrived");
    server.thaw().unwrap();
    until("the store is used again", async || {
        let report = client.failover("hi").await.unwrap();
        report.attempts().iter().all(|attempt| !attempt.degraded)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_end_calls_where_that_is_set() {
    let server = RedisServer::start().await.unwrap();
    let ids = ["a", "b", "c"];
    let turns = "failover.order = 'round_robin'";
    let new = |store: &str, sections: &str| {
        let store = format!("{PATIENT}{store}");
        config(&server, &ids, &store, sections).build(&Heard::default().registry()).unwrap()
    };
    let [by_default, closed] = ["", "rotation_on_outage = 'fail_closed'"].map(|setting| new(setting, turns));
    let [alone, open] =
        ["local_fallback", "fail_open"].map(|word| new(&format!("rotation_on_outage = '{word}'"), turns));
    let nobody = new("on_outage = 'fail_closed'", "");
    for client in [&by_default, &closed, &alone, &open, &nobody] {
        assert!(client.failover("hi").await.unwrap().succeeded());
    }
    server.kill();
    for client in [by_default, closed] {
        let report = client.failover("hi").await.unwrap();
        assert_eq!((report.ended(), report.attempts().len()), (Ended::StoreUnavailable, 0));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["ended"], &json["succeeded"]), (&"store_unavailable".into(), &false.into()));
    }
    for client in [alone, open] {
        let mut begun = BTreeSet::new();
        for _ in 0..60 {
            let report = client.failover("hi").await.unwrap();
            assert!(report.succeeded() && report.attempts()[0].degraded);
            begun.insert(report.attempts()[0].model_key.to_string());
        }
        assert!(begun.iter().eq(ids), "each in its turn, at random: {begun:?}");
    }
    let report = nobody.failover("hi").await.unwrap();
    assert_eq!(report.ended(), Ended::StoreUnavailable);
    assert_eq!(trail(&report), ids.map(|id| (id, "preempted_open")));
    assert!(report.attempts().iter().all(|attempt| attempt.degraded));
    assert!(report.attempts()[0].to_string().contains("preempted_open"), "{}", report.attempts()[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_out_where_outages_fail_open() {
    let server = RedisServer::start().await.unwrap();
    let store = format!("{PATIENT}on_outage = 'fail_open'");
    let section = "breaker.failure_threshold = 1\nlimits.requests_per_minute = 1";
    let client = config(&server, &["down"], &store, section).build(&Heard::default().registry()).unwrap();
    assert_eq!(trail(&client.failover("hi").await.unwrap()), [("down", "failed")]);
    server.kill();
    for _ in 0..3 {
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), [("down", "failed")]);
        assert!(report.attempts()[0].degraded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_want_a_password() {
    let server = RedisServer::builder().password("hunter2").start().await.unwrap();
    let url = server.url();
    assert!(url.contains("hunter2"));
    let registry = Heard::default().registry();
    let registry = registry.credentials(move |name| (name == "REDIS_URL").then(|| format!("{url}\n").into()));
    let config = format!(
        "[store]\nredis_env = 'REDIS_URL'\n{PATIENT}[[candidate]]\nprovider = 'acme'\nmodel = 'm'\napi_key_env = 'X'"
    );
    let config = Config::from_toml(&config.replace("api_key_env = 'X'", "")).unwrap();
    let client = config.build(&registry).unwrap();
    let report = client.failover("hi").await.unwrap();
    assert!(report.succeeded() && !report.attempts()[0].degraded);
    let shown = format!("{config:?} {client:?} {registry:?} {report:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn builders_share_a_store_as_configurations_do() {
    let server = RedisServer::start().await.unwrap();
    let store = || {
        let builder = RedisStore::builder(server.url()).timeout(Duration::from_secs(5));
        SharedState::new(builder.staleness(Duration::ZERO).build().unwrap()).on_outage(OnOutage::FailClosed)
    };
    let limits = Limits::default().requests(Rate::per_minute(std::num::NonZeroU64::MIN));
    let ids = ["down-A", "down-B", "down-C"];
    let new = || {
        let shared = store();
        let builder =
            ids.into_iter().fold(Builder::new().store(shared.clone()), |builder, id| builder.add(model(id)));
        let limiter = shared.limiter(InProcessLimiter::default().limits_for("down-C", limits));
        let builder = builder.client_builder().unwrap();
        builder.order(shared.round_robin()).limiter(Arc::new(limiter)).build().unwrap()
    };
    let [one, another] = [new(), new()];
    assert_eq!((asked(&one).await, asked(&another).await), ("ABC".to_owned(), "BAC".to_owned()));
    let report = one.failover("hi").await.unwrap();
    assert_eq!(trail(&report), [("down-C", "preempted_limited"), ("down-A", "failed"), ("down-B", "failed")]);
    // A person's hand on a circuit reaches all of them.
    another.set_mode("down-A", Mode::ForcedOpen).await.unwrap();
    for client in [&one, &another] {
        let report = client.fan_out("hi").await.unwrap();
        assert_eq!(trail(&report)[0], ("down-A", "preempted_open"));
    }
    one.set_mode("down-A", Mode::Automatic).await.unwrap();
    // What was decided holds on for who has not heard otherwise.
    another.status().await;
    server.kill();
    for client in [one, another] {
        // The rotation's default.
        assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::StoreUnavailable);
        let report = client.fan_out("hi").await.unwrap();
        assert_eq!(report.ended(), Ended::StoreUnavailable);
        assert_eq!(trail(&report), ids.map(|id| (id, "preempted_open")));
    }
}
