//! What is told to the store and not waited for: it arrives, once, in order, and within bounds.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use circuit_breaker::{
    Breaker, Cost, InProcessBreaker, InProcessLimiter, Limiter, Limits, OnOutage, Percent, Rate, Rates,
    RedisBreaker, RedisLimiter, RedisStore, Settings, State, StoreEvent, Verdict, Window,
};
use test_servers::RedisServer;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::cut_proxy::{Flow, Proxy};
use crate::faults_bench::{Bench, HOUR, Heard, PATIENCE, ask, at_once, brittle, entries, prefix, until};

const TIMEOUT: Duration = Duration::from_millis(500);
/// As many reports wait at most.
const ROOM: usize = 8192;

#[tokio::test]
async fn what_there_is_no_room_for_is_told_and_the_rest_arrives() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    bench.serves().await;
    bench.limiter.flush().await;
    server.kill();
    bench.loses().await;
    for key in 0..ROOM + 9 {
        bench.limiter.defer(&key.to_string(), HOUR);
        if key % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let dropped = bench.heard.all().into_iter().filter_map(|event| match event {
        StoreEvent::Dropped { reports, .. } => Some(reports),
        _ => None,
    });
    assert_eq!(dropped.collect::<Vec<_>>(), [1, 2, 4, 8]);
    server.restart().await.unwrap();
    bench.store.ready(PATIENCE).await.unwrap();
    bench.limiter.flush().await;
    // One place was taken by what the breaker takes back.
    assert_eq!(entries(&server, "l").await.len(), ROOM - 1, "all that there was room for");
    bench.limiter.defer("one more", HOUR);
    bench.limiter.flush().await;
    assert_eq!(entries(&server, "l").await.len(), ROOM, "and there is room again");
}

/// Nobody calls any more, and nobody flushes.
#[tokio::test]
async fn what_was_told_during_an_outage_arrives_by_itself() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    bench.store.ready(PATIENCE).await.unwrap();
    server.freeze().unwrap();
    bench.loses().await;
    bench.leaves_it_alone(10).await;
    bench.limiter.defer("first", HOUR);
    tokio::task::yield_now().await;
    bench.limiter.defer("second", HOUR);
    server.thaw().unwrap();
    until("both arrived", async || entries(&server, "l").await.len() >= 2).await;
}

/// And so does what was on its way when the store went.
#[tokio::test]
async fn what_was_under_way_arrives_by_itself() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    bench.store.ready(PATIENCE).await.unwrap();
    server.freeze().unwrap();
    bench.limiter.defer("first", HOUR);
    until("it is lost", async || bench.store.is_degraded()).await;
    server.kill();
    server.restart().await.unwrap();
    until("it arrived", async || entries(&server, "l").await.len() == 1).await;
}

fn counting(store: &RedisStore) -> RedisBreaker {
    let window = Window::Calls(NonZeroU32::new(100_000).unwrap());
    let rates = Rates::failures(Percent::new(100).unwrap(), window);
    let rates = rates.minimum_calls(NonZeroU32::new(100_000).unwrap());
    RedisBreaker::new(store, InProcessBreaker::new(Settings::default().trip(rates)))
}

/// Connections break at all times: before requests arrive, and between their work and their answers.
#[tokio::test]
async fn reports_count_once_and_in_order_over_cuts() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let heard = Heard::default();
    let store = heard.by(RedisStore::builder(proxy.url()).prefix(prefix()).timeout(Duration::from_secs(10)));
    let breaker = counting(&store);
    store.ready(PATIENCE).await.unwrap();
    let admission = breaker.acquire("key", &ask()).await.unwrap();
    let mut told = 0;
    for round in 0..8 {
        store.ready(PATIENCE).await.unwrap();
        let before = heard.all().len();
        if round % 2 == 0 {
            proxy.set(Flow::LoseAnswers);
        }
        for _ in 0..50 {
            // Each on its own, as failures do not wait for others to go with.
            breaker.settle("key", None, admission, Verdict::Failure.into());
            told += 1;
            if told % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        if round % 2 == 0 {
            until("an answer is lost", async || heard.all().len() > before).await;
            proxy.set(Flow::Pass);
        } else {
            proxy.cut();
        }
    }
    until("all arrived", async || {
        breaker.flush().await;
        breaker.snapshot("key").await.is_ok_and(|snapshot| snapshot.counts.failures >= told)
    })
    .await;
    let counts = breaker.snapshot("key").await.unwrap().counts;
    assert_eq!((counts.calls, counts.failures), (told, told));
}

/// What is charged beyond what was reserved is charged once, though the store hears of it twice.
#[tokio::test]
async fn a_settlement_that_is_sent_twice_is_charged_once() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let heard = Heard::default();
    let builder = RedisStore::builder(proxy.url()).prefix(prefix()).timeout(Duration::from_secs(10));
    let store = heard.by(builder);
    let limits = Limits::default().input_tokens(Rate::new(NonZeroU64::new(1000).unwrap(), HOUR * 1000));
    let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits)).on_outage(OnOutage::FailClosed);
    let first = ask();
    let slot = limiter.acquire("key", &first, &Cost::REQUEST.with_input_tokens(100)).await.unwrap();
    proxy.set(Flow::LoseAnswers);
    limiter.settle("key", first.lease, slot, &Cost::REQUEST.with_input_tokens(300));
    until("the answer was lost", async || !heard.all().is_empty()).await;
    proxy.set(Flow::Pass);
    store.ready(PATIENCE).await.unwrap();
    limiter.flush().await;
    let rest = ask();
    let more = limiter.acquire("key", &ask(), &Cost::REQUEST.with_input_tokens(701)).await;
    assert!(more.is_err(), "300 of 1000 are gone");
    assert!(
        limiter.acquire("key", &rest, &Cost::REQUEST.with_input_tokens(700)).await.is_ok(),
        "and not more"
    );
}

#[tokio::test]
async fn a_flush_ends_when_all_has_arrived() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    at_once(bench.limiter.flush());
    for key in 0..200 {
        bench.limiter.defer(&key.to_string(), HOUR);
    }
    bench.store.ready(PATIENCE).await.unwrap();
    bench.limiter.flush().await;
    assert_eq!(entries(&server, "l").await.len(), 200);
    server.freeze().unwrap();
    bench.limiter.defer("one more", HOUR);
    let mut flushes = Box::pin(futures::future::join_all((0..5).map(|_| bench.limiter.flush())));
    until("the store is lost", async || {
        assert!(futures::poll!(flushes.as_mut()).is_pending(), "it has not arrived");
        bench.store.is_degraded()
    })
    .await;
    assert!(futures::poll!(flushes.as_mut()).is_pending(), "it has not arrived");
    server.thaw().unwrap();
    timeout(PATIENCE, flushes).await.unwrap();
    assert_eq!(entries(&server, "l").await.len(), 201);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// In a thread of its own, without a runtime.
fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, end) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    end.recv_timeout(PATIENCE).unwrap()
}

struct Unpark(thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn without_a_runtime<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        thread::park();
    }
}

#[test]
fn a_store_outlives_its_runtime_with_all_that_waits() {
    let aside = runtime();
    let server = aside.block_on(RedisServer::start()).unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    let first = runtime();
    first.block_on(bench.store.ready(PATIENCE)).unwrap();
    first.block_on(bench.serves());
    first.block_on(bench.limiter.flush());
    // It ends in the middle of sending: what is on its way is not answered.
    server.freeze().unwrap();
    first.block_on(async {
        for key in 0..100 {
            bench.limiter.defer(&key.to_string(), HOUR);
        }
        tokio::task::yield_now().await;
    });
    drop(first);
    server.thaw().unwrap();
    bench.limiter.defer("between the runtimes", HOUR);
    let second = runtime();
    // Nothing but calls: what waits goes with them.
    second.block_on(bench.comes_back());
    second.block_on(until("all arrived", async || entries(&server, "l").await.len() >= 102));
    drop(second);
    runtime().block_on(bench.comes_back());
}

#[test]
fn a_runtime_that_ends_during_an_outage_leaves_nothing_stuck() {
    let aside = runtime();
    let server = aside.block_on(RedisServer::start()).unwrap();
    server.kill();
    let bench = Bench::new(server.url(), TIMEOUT);
    let first = runtime();
    first.block_on(async {
        bench.loses().await;
        bench.limiter.defer("one", HOUR);
        // It is parked, and the store is probed.
        bench.leaves_it_alone(10).await;
    });
    drop(first);
    bench.limiter.defer("another", HOUR);
    let second = runtime();
    second.block_on(async {
        bench.leaves_it_alone(10).await;
        server.restart().await.unwrap();
        bench.store.ready(PATIENCE).await.unwrap();
        until("all arrived", async || entries(&server, "l").await.len() == 2).await;
    });
}

#[test]
fn reports_from_threads_without_a_runtime_arrive() {
    let server_runtime = runtime();
    let server = server_runtime.block_on(RedisServer::start()).unwrap();
    let heard = Heard::default();
    let store = heard.by(RedisStore::builder(server.url()).prefix(prefix()).staleness(Duration::ZERO));
    let breaker = Arc::new(RedisBreaker::new(&store, InProcessBreaker::new(brittle().cooldown(HOUR))));
    // Nobody can send it yet, and nobody waits until somebody can.
    let teller = Arc::clone(&breaker);
    apart(move || {
        teller.settle("key", None, circuit_breaker::Admission::closed(0), Verdict::Failure.into());
        teller.abandon("key", ask().lease, None);
        without_a_runtime(teller.flush());
    });
    let first = runtime();
    first.block_on(async {
        store.ready(PATIENCE).await.unwrap();
        until("it arrived", async || breaker.status("key").await.state == State::Open).await;
    });
    // Now there is a runtime that it goes out in.
    let teller = Arc::clone(&breaker);
    apart(move || {
        teller.settle("other", None, circuit_breaker::Admission::closed(0), Verdict::Failure.into());
    });
    first.block_on(until("it arrived", async || entries(&server, "b").await.len() == 2));
    drop(first);
    let teller = Arc::clone(&breaker);
    apart(move || {
        teller.settle("third", None, circuit_breaker::Admission::closed(0), Verdict::Failure.into());
        without_a_runtime(teller.flush());
    });
}
