//! Futures that are dropped, at any point and whatever the store does, leave nothing behind.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, Cost, InProcessBreaker, InProcessLimiter, Limiter, Limits, Mode, OnOutage, Percent,
    Quota, Rates, RedisBreaker, RedisLimiter, RedisRotation, RedisStore, Rotation, Settings, Verdict, Window,
};
use test_servers::RedisServer;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::cut_proxy::{Flow, Proxy};
use crate::faults_bench::{Bench, HOUR, PATIENCE, brittle, connections, entries, prefix, until};

/// What drives a connection.
const TASKS: usize = 2;
/// What accepts, and what carries a connection.
const PROXIES: usize = 2;

/// A circuit that is half-open with one probe, for an hour, and an account with one call in flight.
struct Scarce {
    store: RedisStore,
    breaker: Arc<RedisBreaker>,
    circuit: Circuit,
    quota: Quota,
    rotation: RedisRotation,
}

impl Scarce {
    async fn new(url: String, timeout: Duration) -> Self {
        let builder = RedisStore::builder(url).prefix(prefix()).timeout(timeout);
        let store = builder.staleness(Duration::ZERO).build().unwrap();
        let breaker =
            RedisBreaker::new(&store, InProcessBreaker::new(brittle())).on_outage(OnOutage::FailClosed);
        let breaker = Arc::new(breaker);
        let limits = Limits::default().in_flight(NonZeroU32::MIN);
        let limiter = InProcessLimiter::new(limits).max_hold(HOUR);
        let limiter = RedisLimiter::new(&store, limiter).on_outage(OnOutage::FailClosed);
        let circuit = Circuit::new(Arc::clone(&breaker) as Arc<dyn Breaker>, "key");
        let quota = Quota::new(Arc::new(limiter), "key");
        store.ready(PATIENCE).await.unwrap();
        let scarce = Self { rotation: RedisRotation::new(&store), store, breaker, circuit, quota };
        until("it fails", async || match scarce.circuit.admit().await {
            Ok(permit) => {
                permit.settle(Verdict::Failure);
                true
            }
            Err(_) => false,
        })
        .await;
        scarce.breaker.flush().await;
        scarce.are_free().await;
        scarce
    }

    /// What is to be had once can be had, long before it ends by itself.
    async fn are_free(&self) {
        until("the probe is to be had", async || self.circuit.admit().await.is_ok_and(|it| it.is_probe()))
            .await;
        until("the place in flight is to be had", async || self.quota.admit(Cost::REQUEST).await.is_ok())
            .await;
    }

    /// Starts one of everything that waits, has each polled so many times, and drops it.
    async fn drop_after(&self, polls: usize) {
        give_up(self.circuit.admit(), polls).await;
        give_up(self.quota.admit(Cost::REQUEST), polls).await;
        give_up(self.rotation.next("key"), polls).await;
        give_up(self.rotation.reset("key"), polls).await;
        give_up(self.circuit.status(), polls).await;
        give_up(self.breaker.set_mode("other", Mode::Disabled), polls).await;
        give_up(self.breaker.snapshot("other"), polls).await;
        give_up(self.breaker.flush(), polls).await;
        give_up(self.store.ready(PATIENCE), polls).await;
    }

    /// Nothing is held in the store, and all that is left are a connection, the task that drives it, and the one that keeps it in use.
    async fn leaves_nothing(&self, server: &RedisServer, tasks: usize) {
        self.are_free().await;
        until("nothing is held", async || {
            self.breaker.flush().await;
            let mut held = 0;
            for suffix in ["bp", "lc", "lh"] {
                held += entries(server, suffix).await.len();
            }
            held == 0
        })
        .await;
        until("no connection is left over", async || connections(server).await == 1).await;
        until(&format!("no task is left over of {}", alive()), async || alive() == tasks).await;
    }
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Polls it so many times, while others have their turn, and drops it.
async fn give_up<T>(future: impl Future<Output = T>, polls: usize) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if futures::poll!(&mut future).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropped_after_any_number_of_polls_with_a_store_that_answers() {
    let server = RedisServer::start().await.unwrap();
    let scarce = Scarce::new(server.url(), Duration::from_secs(10)).await;
    for polls in (0..30).chain([50, 100, 200]) {
        scarce.drop_after(polls).await;
        scarce.are_free().await;
    }
    scarce.leaves_nothing(&server, TASKS).await;
}

#[tokio::test]
async fn dropped_at_any_time_with_a_store_that_answers() {
    let server = RedisServer::start().await.unwrap();
    let scarce = Scarce::new(server.url(), Duration::from_secs(10)).await;
    for _ in 0..300 {
        let limit = Duration::from_micros(fastrand::u64(0..800));
        let held = async {
            let _permit = scarce.circuit.admit().await;
            let _slot = scarce.quota.admit(Cost::REQUEST).await;
            sleep(Duration::from_micros(fastrand::u64(0..500))).await;
        };
        let _ = tokio::time::timeout(limit, held).await;
    }
    scarce.leaves_nothing(&server, TASKS).await;
}

#[tokio::test]
async fn dropped_while_the_store_is_frozen() {
    let server = RedisServer::start().await.unwrap();
    let scarce = Scarce::new(server.url(), Duration::from_millis(300)).await;
    for polls in 0..6 {
        server.freeze().unwrap();
        scarce.drop_after(polls).await;
        server.thaw().unwrap();
        scarce.are_free().await;
    }
    scarce.leaves_nothing(&server, TASKS).await;
}

#[tokio::test]
async fn dropped_while_connections_are_cut() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let scarce = Scarce::new(proxy.url(), Duration::from_millis(300)).await;
    for polls in (0..6).chain([20, 40]) {
        proxy.set(Flow::LoseAnswers);
        scarce.drop_after(polls).await;
        proxy.set(Flow::Pass);
        scarce.drop_after(polls).await;
        proxy.cut();
    }
    scarce.leaves_nothing(&server, TASKS + PROXIES).await;
}

/// In all states that a store can be in, its last handle takes everything along.
#[tokio::test]
async fn the_last_handle_takes_tasks_and_connections_along() {
    let server = RedisServer::start().await.unwrap();
    for state in ["idle", "in use", "frozen", "dead", "never there"] {
        let timeout = if state == "idle" { Duration::from_secs(60) } else { Duration::from_millis(100) };
        let bench = Bench::new(server.url(), timeout);
        if state != "never there" {
            bench.store.ready(PATIENCE).await.unwrap();
        }
        match state {
            "in use" => bench.limiter.defer("key", HOUR),
            "frozen" => server.freeze().unwrap(),
            "idle" => bench.serves().await,
            _ => server.kill(),
        }
        if !["idle", "in use"].contains(&state) {
            bench.loses().await;
            bench.limiter.defer("key", HOUR);
            bench.leaves_it_alone(5).await;
            assert!(alive() > 0, "{state}: it is probed");
        }
        drop(bench);
        until(&format!("{state}: its tasks have ended"), async || alive() == 0).await;
        if state == "frozen" {
            server.thaw().unwrap();
        }
        if ["dead", "never there"].contains(&state) {
            server.restart().await.unwrap();
        }
        until(&format!("{state}: its connection is closed"), async || connections(&server).await == 0).await;
    }
}

/// Views are looked after in the background, and windows gather: neither keeps a store that nobody has.
#[tokio::test]
async fn background_work_ends_with_the_last_handle() {
    let server = RedisServer::start().await.unwrap();
    let store = RedisStore::builder(server.url()).prefix(prefix()).timeout(PATIENCE).build().unwrap();
    let window = Window::Calls(NonZeroU32::new(10).unwrap());
    let settings = Settings::default().trip(Rates::failures(Percent::new(50).unwrap(), window));
    let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings));
    let limiter = RedisLimiter::new(&store, InProcessLimiter::default());
    let circuit = Circuit::new(Arc::new(breaker), "key");
    circuit.admit().await.unwrap().settle(Verdict::Success);
    limiter.acquire("key", &crate::faults_bench::ask(), &Cost::REQUEST).await.unwrap();
    until("it is looked at in the background", async || {
        drop(circuit.try_admit());
        alive() > TASKS
    })
    .await;
    drop((circuit, limiter, store));
    until("all tasks have ended", async || alive() == 0).await;
    until("its connection is closed", async || connections(&server).await == 0).await;
}
