//! What went wrong here once.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use circuit_breaker::{
    Breaker, Cost, InProcessBreaker, InProcessLimiter, LimitReason, Limiter, Limits, Mode, Percent, Rate,
    Rates, RedisBreaker, RedisLimiter, RedisStore, RedisStoreBuilder, RejectReason, Settings, State,
    StoreEvent, Verdict, Window,
};
use parking_lot::Mutex;
use test_servers::RedisServer;

use crate::faults_bench::{HOUR, PATIENCE, ask, at_once, entries, prefix, until};

const DAY: u64 = 86_400_000_000;

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn builder(server: &RedisServer, prefix: &str) -> RedisStoreBuilder {
    RedisStore::builder(server.url()).prefix(prefix).timeout(Duration::from_secs(1)).staleness(Duration::ZERO)
}

async fn fails(breaker: &RedisBreaker, key: &str) {
    let ask = ask();
    let admission = breaker.acquire(key, &ask).await.unwrap();
    breaker.settle(key, Some(ask.lease), admission, Verdict::Failure.into());
}

async fn is_lost(breaker: &RedisBreaker) {
    until("the store is lost", async || breaker.status("unused").await.degraded).await;
}

#[tokio::test]
async fn a_call_that_ends_first_in_an_outage_counts_once() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).build().unwrap();
    let settings = Settings::default().failure_threshold(n(2)).cooldown(HOUR);
    let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
    let admission = breaker.acquire("key", &ask()).await.unwrap();
    server.freeze().unwrap();
    is_lost(&breaker).await;
    breaker.settle("key", None, admission, Verdict::Failure.into());
    assert_eq!(at_once(breaker.status("key")).state, State::Closed);
    server.thaw().unwrap();
    store.ready(PATIENCE).await.unwrap();
    breaker.flush().await;
    assert_eq!(breaker.status("key").await.state, State::Closed);
}

#[tokio::test]
async fn who_reports_to_a_window_is_forgotten_after_a_day() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).build().unwrap();
    let rates = Rates::failures(Percent::new(100).unwrap(), Window::Calls(n(10)));
    let breaker = RedisBreaker::new(&store, InProcessBreaker::new(Settings::default().trip(rates)));
    fails(&breaker, "key").await;
    breaker.flush().await;
    let [name] = &entries(&server, "br").await[..] else { panic!("there is one") };
    // As somebody would have left it two days ago.
    let who = server.cli(&["ZRANGE", name, "0", "0"]).await.unwrap().elements()[0].text();
    let earlier = format!("-{}", 2 * DAY);
    let newest = server.cli(&["ZSCORE", name, &who]).await.unwrap().text();
    server.cli(&["ZADD", name, &newest, "gone"]).await.unwrap();
    server.cli(&["ZINCRBY", name, &earlier, "gone"]).await.unwrap();
    fails(&breaker, "key").await;
    breaker.flush().await;
    assert_eq!(server.cli(&["ZCARD", name]).await.unwrap().integer(), Some(1));
}

#[tokio::test]
async fn fewer_probes_than_have_reported_are_one() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).build().unwrap();
    let rates = Rates::failures(Percent::new(50).unwrap(), Window::Calls(n(10))).minimum_calls(n(2));
    let settings = Settings::default().trip(rates).cooldown(ms(1)).max_hold(HOUR);
    let of = |settings: Settings| RedisBreaker::new(&store, InProcessBreaker::new(settings));
    let old = of(settings.clone().probes(Some(n(3))));
    for others in [settings.probes(Some(n(1))), Settings::default().cooldown(ms(1))] {
        old.reset("key").await.unwrap();
        fails(&old, "key").await;
        fails(&old, "key").await;
        old.flush().await;
        let probe = ask();
        until("a probe goes out", async || old.acquire("key", &probe).await.is_ok_and(|it| it.probe)).await;
        let admission = old.acquire("key", &probe).await.unwrap();
        old.settle("key", Some(probe.lease), admission, Verdict::Success.into());
        old.flush().await;
        assert_eq!(old.status("key").await.state, State::HalfOpen);
        assert!(of(others).acquire("key", &ask()).await.unwrap().probe);
    }
}

#[tokio::test]
async fn keys_that_failed_once_make_room() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).build().unwrap();
    let settings = Settings::default().failure_threshold(n(2)).cooldown(ms(20)).max_hold(ms(20)).max_keys(4);
    let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
    store.ready(PATIENCE).await.unwrap();
    for key in ["a", "b", "c", "d"] {
        fails(&breaker, key).await;
    }
    until("another key opens", async || {
        fails(&breaker, "e").await;
        fails(&breaker, "e").await;
        breaker.flush().await;
        breaker.snapshot("e").await.unwrap().openings > 0
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_refused_is_no_outage() {
    let server = RedisServer::start().await.unwrap();
    let prefix = prefix();
    let (store, other) =
        (builder(&server, &prefix).build().unwrap(), builder(&server, &prefix).build().unwrap());
    let of = |store| RedisBreaker::new(store, InProcessBreaker::new(Settings::default().cooldown(HOUR)));
    let (breaker, other) = (of(&store), of(&other));
    breaker.reset("key").await.unwrap();
    let name = &entries(&server, "b").await[0];
    server.cli(&["RENAME", name, "aside"]).await.unwrap();
    server.cli(&["SET", name, "x"]).await.unwrap();
    assert!(breaker.acquire("key", &ask()).await.unwrap().degraded);
    server.cli(&["RENAME", "aside", name]).await.unwrap();
    for _ in 0..3 {
        fails(&other, "key").await;
    }
    other.flush().await;
    assert_eq!(breaker.acquire("key", &ask()).await.unwrap_err().reason, RejectReason::Open);
    server.freeze().unwrap();
    is_lost(&breaker).await;
    assert_eq!(at_once(breaker.acquire("key", &ask())).unwrap_err().reason, RejectReason::Open);
}

#[tokio::test]
async fn a_clock_that_is_put_right_keeps_nobody_away() {
    let server = RedisServer::start().await.unwrap();
    let now = Arc::new(AtomicU64::new(1_700_000_000_000_000 + DAY));
    let clock = Arc::clone(&now);
    let store = builder(&server, &prefix()).clock(move || clock.load(Ordering::SeqCst)).build().unwrap();
    let limits = Limits::default().requests(Rate::per_minute(NonZeroU64::new(60).unwrap()));
    let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits));
    let breaker =
        RedisBreaker::new(&store, InProcessBreaker::new(Settings::default().failure_threshold(n(1))));
    fails(&breaker, "key").await;
    breaker.flush().await;
    limiter.acquire("key", &ask(), &Cost::REQUEST).await.unwrap();
    limiter.defer("deferred", HOUR);
    limiter.flush().await;
    now.fetch_sub(DAY, Ordering::SeqCst);
    while limiter.acquire("key", &ask(), &Cost::REQUEST).await.is_ok() {}
    assert_eq!(breaker.acquire("key", &ask()).await.unwrap_err().reason, RejectReason::Open);
    limiter.acquire("deferred", &ask(), &Cost::REQUEST).await.unwrap_err();
    now.fetch_add(121_000_000, Ordering::SeqCst);
    limiter.acquire("key", &ask(), &Cost::REQUEST).await.unwrap();
    assert!(breaker.acquire("key", &ask()).await.unwrap().probe);
    now.fetch_add(3_600_000_000, Ordering::SeqCst);
    limiter.acquire("deferred", &ask(), &Cost::REQUEST).await.unwrap();
}

#[tokio::test]
async fn what_a_person_switched_off_does_not_open_in_an_outage() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).build().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let local =
        InProcessBreaker::default().on_transition(move |moved| heard.lock().push((moved.to, moved.mode)));
    let breaker = RedisBreaker::new(&store, local);
    breaker.set_mode("key", Mode::Disabled).await.unwrap();
    server.freeze().unwrap();
    is_lost(&breaker).await;
    for _ in 0..4 {
        fails(&breaker, "key").await;
    }
    assert_eq!(*told.lock(), [(State::Closed, Mode::Disabled)]);
}

#[tokio::test]
async fn a_look_does_not_hide_what_is_being_reported() {
    let server = RedisServer::start().await.unwrap();
    let store = builder(&server, &prefix()).staleness(HOUR).build().unwrap();
    let settings = Settings::default().failure_threshold(n(1)).cooldown(HOUR);
    let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
    for key in 0..50 {
        let key = key.to_string();
        fails(&breaker, &key).await;
        // It may come before the report does.
        breaker.status(&key).await;
        assert_eq!(breaker.try_acquire(&key).unwrap().unwrap_err().reason, RejectReason::Open);
    }
}

#[tokio::test]
async fn hints_hold_for_keys_with_limits_too() {
    let server = RedisServer::start().await.unwrap();
    let prefix = prefix();
    let limits = Limits::default().requests(Rate::per_minute(NonZeroU64::new(60).unwrap()));
    let of = |store: &RedisStore| RedisLimiter::new(store, InProcessLimiter::new(limits));
    let (one, two) = (builder(&server, &prefix).build().unwrap(), builder(&server, &prefix).build().unwrap());
    let (one, other) = (of(&one), of(&two));
    one.acquire("key", &ask(), &Cost::REQUEST).await.unwrap();
    one.defer("key", HOUR);
    let refused = one.acquire("key", &ask(), &Cost::REQUEST).await.unwrap_err();
    assert_eq!(refused.reason, LimitReason::Deferred, "at once for who was told");
    one.flush().await;
    assert_eq!(entries(&server, "lc").await.len(), 1, "and nothing is held for it");
    other.acquire("key", &ask(), &Cost::REQUEST).await.unwrap_err();
    server.freeze().unwrap();
    until("it is lost", async || {
        other.acquire("x", &ask(), &Cost::REQUEST).await.is_ok_and(|it| it.degraded)
    })
    .await;
    let refused = at_once(other.acquire("key", &ask(), &Cost::REQUEST)).unwrap_err();
    assert!(refused.reason == LimitReason::Deferred && refused.degraded, "also without the store");
}

#[tokio::test]
async fn a_hint_may_be_of_any_length() {
    let store = RedisStore::builder("redis://127.0.0.1:1").build().unwrap();
    let limiter = RedisLimiter::new(&store, InProcessLimiter::default().longest_deferral(Duration::MAX));
    limiter.defer("key", Duration::MAX);
    assert_eq!(
        limiter.try_acquire("key", &Cost::REQUEST).unwrap().unwrap_err().reason,
        LimitReason::Deferred
    );
}

#[tokio::test]
async fn what_does_not_matter_any_more_takes_no_room() {
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    let hear = move |event: &StoreEvent| {
        if let StoreEvent::Dropped { reports, .. } = event {
            count.store(*reports, Ordering::SeqCst);
        }
    };
    let store = RedisStore::builder("redis://127.0.0.1:1").on_event(hear).build().unwrap();
    let limiter = RedisLimiter::new(&store, InProcessLimiter::default());
    for key in 0..8192 {
        limiter.defer(&key.to_string(), ms(1));
    }
    until("there is room again", async || {
        let before = dropped.load(Ordering::SeqCst);
        for key in 0..=before {
            limiter.defer(&format!("matters {key}"), HOUR);
        }
        dropped.load(Ordering::SeqCst) == before
    })
    .await;
}
