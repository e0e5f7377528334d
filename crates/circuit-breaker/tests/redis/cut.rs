//! What a network can do to the connections between a server and those who use it.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Breaker, Limiter, Rotation, StoreCause, Verdict};
use futures::future::join_all;
use test_servers::RedisServer;
use tokio::time::timeout;

use crate::cut_proxy::{Flow, Proxy};
use crate::faults_bench::{Bench, PATIENCE, ask, at_once, lost, lost_and_back, refused, until};

const TIMEOUT: Duration = Duration::from_millis(500);
/// Longer than a test has the patience for: what ends earlier was not waited for.
const ENDLESS: Duration = Duration::from_secs(120);

async fn proxied(timeout: Duration) -> (RedisServer, Proxy, Bench) {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let bench = Bench::new(proxy.url(), timeout);
    (server, proxy, bench)
}

#[tokio::test]
async fn connections_that_are_cut_or_reset_are_made_again() {
    for end in [Proxy::cut, Proxy::reset] {
        let (_server, proxy, bench) = proxied(ENDLESS).await;
        bench.serves().await;
        proxy.set(Flow::Refuse);
        end(&proxy);
        timeout(PATIENCE, bench.loses()).await.unwrap();
        bench.leaves_it_alone(1000).await;
        proxy.set(Flow::Pass);
        bench.comes_back().await;
        assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Connection));
        assert_eq!(bench.rotation.next("key").await.unwrap(), 2, "turns go on");
    }
}

#[tokio::test]
async fn a_network_that_swallows_everything_costs_one_timeout() {
    let (_server, proxy, bench) = proxied(TIMEOUT).await;
    bench.store.ready(PATIENCE).await.unwrap();
    proxy.set(Flow::Hole);
    bench.loses().await;
    bench.leaves_it_alone(1000).await;
    assert_eq!(bench.heard.words(), lost(&StoreCause::Timeout));
    // The connection that was in use stays dead: new ones are made.
    proxy.set(Flow::Pass);
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Timeout));
    until("old connections are closed", async || proxy.connections() == 1).await;
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_is_like_none() {
    let (_server, proxy, bench) = proxied(TIMEOUT).await;
    proxy.set(Flow::Hole);
    bench.loses().await;
    bench.leaves_it_alone(1000).await;
    assert_eq!(bench.heard.words(), lost(&StoreCause::NotConnected));
    proxy.set(Flow::Pass);
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::NotConnected));
}

#[tokio::test]
async fn answers_that_are_no_redis_s_are_an_outage() {
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\0\xff\xfe\r\n", b"$abc\r\n"] {
        let (_server, proxy, bench) = proxied(Duration::from_secs(2)).await;
        bench.serves().await;
        proxy.set(Flow::Say(garbage));
        bench.loses().await;
        bench.leaves_it_alone(1000).await;
        proxy.set(Flow::Pass);
        bench.comes_back().await;
        let heard = bench.heard.words();
        assert!(heard.len() == 2 && heard[1] == "back", "{garbage:?}: {heard:?}");
    }
}

/// It answers each time, so nobody has to wait for it, but says nothing.
#[tokio::test]
async fn answers_that_mean_nothing_are_no_answers() {
    let (_server, proxy, bench) = proxied(Duration::from_secs(10)).await;
    bench.serves().await;
    proxy.set(Flow::Say(b"+YES\r\n"));
    for _ in 0..20 {
        let rejection = bench.breaker.acquire("key", &ask()).await.unwrap_err();
        assert!(rejection.degraded);
        bench.rotation.next("key").await.unwrap_err();
    }
    proxy.set(Flow::Pass);
    proxy.cut();
    bench.comes_back().await;
}

#[tokio::test]
async fn slow_answers_are_waited_for_within_the_timeout_only() {
    let (_server, proxy, bench) = proxied(Duration::from_secs(5)).await;
    proxy.set(Flow::Slow(Duration::from_millis(50)));
    bench.serves().await;
    assert_eq!(bench.heard.words(), Vec::<String>::new());
    let (_server, proxy, bench) = proxied(TIMEOUT).await;
    bench.store.ready(PATIENCE).await.unwrap();
    proxy.set(Flow::Slow(Duration::from_secs(60)));
    bench.loses().await;
    bench.leaves_it_alone(100).await;
    assert_eq!(bench.heard.words(), lost(&StoreCause::Timeout));
}

/// What was asked took place, and nobody was told: the lease is given back, so that its place is not lost.
#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_given_back() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let heard = crate::faults_bench::Heard::default();
    let builder = circuit_breaker::RedisStore::builder(proxy.url()).timeout(Duration::from_secs(10));
    let store = heard.by(builder.staleness(Duration::ZERO));
    let local = circuit_breaker::InProcessBreaker::new(crate::faults_bench::brittle());
    let breaker =
        circuit_breaker::RedisBreaker::new(&store, local).on_outage(circuit_breaker::OnOutage::FailClosed);
    let limits = circuit_breaker::Limits::default().in_flight(std::num::NonZeroU32::MIN);
    let limiter = circuit_breaker::RedisLimiter::new(&store, circuit_breaker::InProcessLimiter::new(limits))
        .on_outage(circuit_breaker::OnOutage::FailClosed);
    let admission = breaker.acquire("key", &ask()).await.unwrap();
    breaker.settle("key", None, admission, Verdict::Failure.into());
    breaker.flush().await;
    let cost = circuit_breaker::Cost::REQUEST;
    for _ in 0..3 {
        // The one probe, and the one call in flight, for an hour.
        proxy.set(Flow::LoseAnswers);
        breaker.acquire("key", &ask()).await.unwrap_err();
        proxy.set(Flow::Pass);
        let probe = ask();
        until("the probe's place is free", async || {
            breaker.acquire("key", &probe).await.is_ok_and(|it| it.probe)
        })
        .await;
        breaker.abandon("key", probe.lease, None);
        proxy.set(Flow::LoseAnswers);
        limiter.acquire("key", &ask(), &cost).await.unwrap_err();
        proxy.set(Flow::Pass);
        let call = ask();
        until("the place in flight is free", async || limiter.acquire("key", &call, &cost).await.is_ok())
            .await;
        limiter.abandon("key", call.lease, None);
    }
    breaker.flush().await;
    for suffix in ["bp", "lc", "lh"] {
        assert_eq!(crate::faults_bench::entries(&server, suffix).await, Vec::<String>::new());
    }
}

/// Starts calls that get no answer, and does something that one of them notices: all have to end.
async fn all_end(ends: impl Fn(&Proxy)) -> Bench {
    let (_server, proxy, bench) = proxied(ENDLESS).await;
    let bench = Arc::new(bench);
    bench.serves().await;
    proxy.set(Flow::Hole);
    let asks: Vec<_> = (0..40).map(|_| ask()).collect();
    let mut calls = Box::pin(join_all(asks.iter().map(|ask| bench.breaker.acquire("key", ask))));
    let mut turns = Box::pin(join_all((0..40).map(|_| bench.rotation.next("key"))));
    // All of them are under way: the connection takes so many at a time.
    for _ in 0..100 {
        assert!(futures::poll!(&mut calls).is_pending() && futures::poll!(&mut turns).is_pending());
        tokio::task::yield_now().await;
    }
    ends(&proxy);
    let (calls_ended, turns_ended) = timeout(PATIENCE, async { tokio::join!(calls, turns) }).await.unwrap();
    assert!(calls_ended.iter().all(|answer| answer.is_err_and(|rejection| rejection.degraded)));
    assert!(turns_ended.iter().all(Result::is_err));
    proxy.set(Flow::Pass);
    bench.comes_back().await;
    drop(asks);
    Arc::into_inner(bench).unwrap()
}

#[tokio::test]
async fn all_who_wait_are_released_when_the_connection_breaks() {
    let bench = all_end(Proxy::cut).await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Connection));
}

/// The first of them is told that the server is of no use; nothing more is ever said to the others.
#[tokio::test]
async fn all_who_wait_are_released_when_one_finds_the_store_lost() {
    let bench = all_end(|proxy| proxy.say(b"-LOADING the data set\r\n")).await;
    assert_eq!(bench.heard.words(), lost_and_back(&refused("LOADING")));
}

/// New connections work at once.
#[tokio::test]
async fn all_who_wait_are_released_also_when_it_is_back_at_once() {
    let bench = all_end(|proxy| {
        proxy.set(Flow::Pass);
        proxy.say(b"-LOADING the data set\r\n");
    })
    .await;
    assert_eq!(bench.heard.words(), lost_and_back(&refused("LOADING")));
}

#[tokio::test]
async fn a_store_that_flaps_is_told_of_once_for_each_time() {
    let (_server, proxy, bench) = proxied(ENDLESS).await;
    let mut expected = Vec::new();
    for _ in 0..6 {
        bench.serves().await;
        proxy.set(Flow::Refuse);
        proxy.cut();
        until("it is lost", async || bench.rotation.next("key").await.is_err()).await;
        at_once(bench.rotation.next("key")).unwrap_err();
        proxy.set(Flow::Pass);
        bench.comes_back().await;
        expected.extend(lost_and_back(&StoreCause::Connection));
        assert_eq!(bench.heard.words(), expected);
    }
}

/// What was asked arrives after it was taken back, at a circuit that was closed then and is half-open now.
#[tokio::test]
async fn a_request_that_comes_late_is_granted_nothing() {
    use circuit_breaker::{InProcessBreaker, OnOutage, RedisBreaker, RedisStore};
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let prefix = crate::faults_bench::prefix();
    let breaker = |url, timeout| {
        let builder = RedisStore::builder(url).prefix(&*prefix).timeout(timeout).staleness(Duration::ZERO);
        let store = builder.build().unwrap();
        let local = InProcessBreaker::new(crate::faults_bench::brittle());
        (RedisBreaker::new(&store, local).on_outage(OnOutage::FailClosed), store)
    };
    let (late, store) = breaker(proxy.url(), TIMEOUT);
    store.ready(PATIENCE).await.unwrap();
    proxy.set(Flow::Late);
    late.acquire("key", &ask()).await.unwrap_err();
    // The first worker goes on by another way.
    let (other, _store) = breaker(server.url(), PATIENCE);
    let admission = other.acquire("key", &ask()).await.unwrap();
    assert!(!admission.probe);
    // What it takes back is told by another connection, and arrives first.
    proxy.set(Flow::Pass);
    store.ready(PATIENCE).await.unwrap();
    late.flush().await;
    other.settle("key", None, admission, Verdict::Failure.into());
    other.flush().await;
    // The cooldown of a millisecond is over then.
    tokio::time::sleep(Duration::from_millis(20)).await;
    proxy.release();
    for _ in 0..20 {
        until("the probe is to be had", async || {
            let probe = ask();
            let granted = other.acquire("key", &probe).await.is_ok();
            other.abandon("key", probe.lease, None);
            granted
        })
        .await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
