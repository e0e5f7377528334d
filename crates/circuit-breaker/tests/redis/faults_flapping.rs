//! Many workers hammer a store that comes and goes: nothing panics, nothing gets stuck, and rules that only the store
//! decides about hold throughout.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use circuit_breaker::{
    Breaker, Cost, InProcessBreaker, InProcessLimiter, Limiter, Limits, OnOutage, RedisBreaker, RedisLimiter,
    RedisRotation, RedisStore, Rotation, Verdict,
};
use parking_lot::Mutex;
use test_servers::RedisServer;
use tokio::time::{Instant, sleep, timeout};

use crate::cut_proxy::{Flow, Proxy};
use crate::faults_bench::{HOUR, Heard, PATIENCE, ask, brittle, prefix, until};

const PROBES: u32 = 3;
const FLYING: u32 = 4;
const LASTS: Duration = Duration::from_secs(4);

/// Counts what is out, as those see it who hold it.
#[derive(Default)]
struct Auditor {
    /// By the epoch that they were admitted in.
    probes: Mutex<HashMap<u64, u32>>,
    flying: Mutex<u32>,
    most: Mutex<(u32, u32)>,
    probed: AtomicU64,
    flown: AtomicU64,
    stop: AtomicBool,
}

struct Worker {
    store: RedisStore,
    heard: Heard,
    breaker: RedisBreaker,
    limiter: RedisLimiter,
    rotation: RedisRotation,
}

impl Worker {
    fn new(url: String, prefix: &str) -> Arc<Self> {
        let heard = Heard::default();
        let builder = RedisStore::builder(url).prefix(prefix).timeout(Duration::from_millis(100));
        let store = heard.by(builder.staleness(Duration::ZERO));
        let settings = brittle().probes(NonZeroU32::new(PROBES));
        let limits = Limits::default().in_flight(NonZeroU32::new(FLYING).unwrap());
        let limiter = InProcessLimiter::new(limits).max_hold(HOUR);
        Arc::new(Self {
            breaker: RedisBreaker::new(&store, InProcessBreaker::new(settings))
                .on_outage(OnOutage::FailClosed),
            limiter: RedisLimiter::new(&store, limiter).on_outage(OnOutage::FailClosed),
            rotation: RedisRotation::new(&store),
            store,
            heard,
        })
    }

    async fn hammer(&self, auditor: &Auditor) {
        while !auditor.stop.load(Ordering::Relaxed) {
            let limit = Duration::from_micros(fastrand::u64(200..200_000));
            match fastrand::u8(0..4) {
                0 => _ = timeout(limit, self.rotation.next("key")).await,
                1 => self.fly(auditor).await,
                _ => self.call(auditor).await,
            }
            // A store that is lost answers at once.
            sleep(Duration::from_micros(fastrand::u64(0..2000))).await;
        }
    }

    async fn call(&self, auditor: &Auditor) {
        let ask = ask();
        let asked =
            timeout(Duration::from_micros(fastrand::u64(200..400_000)), self.breaker.acquire("key", &ask));
        let Ok(answer) = asked.await else { return self.breaker.abandon("key", ask.lease, None) };
        let Ok(admission) = answer else { return };
        assert!(!admission.degraded);
        if !admission.probe {
            return self.breaker.settle("key", None, admission, Verdict::Failure.into());
        }
        {
            let mut probes = auditor.probes.lock();
            let out = probes.entry(admission.epoch).or_default();
            *out += 1;
            let mut most = auditor.most.lock();
            most.0 = most.0.max(*out);
        }
        auditor.probed.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_micros(fastrand::u64(0..3000))).await;
        // Before it says so: from then on another may have its place.
        *auditor.probes.lock().get_mut(&admission.epoch).unwrap() -= 1;
        match fastrand::u8(0..4) {
            0 => self.breaker.abandon("key", ask.lease, Some(admission)),
            1 => self.breaker.settle("key", Some(ask.lease), admission, Verdict::Neutral.into()),
            2 => self.breaker.settle("key", Some(ask.lease), admission, Verdict::Success.into()),
            _ => self.breaker.settle("key", Some(ask.lease), admission, Verdict::Failure.into()),
        }
    }

    async fn fly(&self, auditor: &Auditor) {
        let ask = ask();
        let limit = Duration::from_micros(fastrand::u64(200..400_000));
        let Ok(answer) = timeout(limit, self.limiter.acquire("key", &ask, &Cost::REQUEST)).await else {
            return self.limiter.abandon("key", ask.lease, None);
        };
        let Ok(slot) = answer else { return };
        assert!(!slot.degraded);
        {
            let mut flying = auditor.flying.lock();
            *flying += 1;
            let mut most = auditor.most.lock();
            most.1 = most.1.max(*flying);
        }
        auditor.flown.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_micros(fastrand::u64(0..3000))).await;
        *auditor.flying.lock() -= 1;
        if fastrand::bool() {
            self.limiter.settle("key", ask.lease, slot, &Cost::REQUEST);
        } else {
            self.limiter.abandon("key", ask.lease, Some(slot));
        }
    }

    /// It is well again, and all that can be had once is to be had.
    async fn is_well(&self, server: &RedisServer) {
        self.store.ready(PATIENCE).await.unwrap();
        until("all that was held is given back", async || {
            self.breaker.flush().await;
            let flying = server.cli(&["KEYS", "*:lc"]).await.unwrap().elements().len();
            let probing = server.cli(&["KEYS", "*:bp"]).await.unwrap().elements().len();
            flying + probing == 0
        })
        .await;
        until("a call is let through", async || self.breaker.acquire("other", &ask()).await.is_ok()).await;
        self.rotation.next("key").await.unwrap();
        assert!(!self.store.is_degraded());
        let heard = self.heard.words();
        let turns = heard.iter().enumerate().all(|(n, word)| (word == "back") == (n % 2 == 1));
        assert!(turns && heard.len().is_multiple_of(2), "losses and recoveries take turns: {heard:?}");
    }
}

/// Two workers with four callers each, while something happens to their store.
async fn hammered(
    server: &RedisServer,
    proxy: &Proxy,
    flap: impl AsyncFn() -> (),
) -> (Arc<Auditor>, [Arc<Worker>; 2]) {
    let (prefix, auditor) = (prefix(), Arc::new(Auditor::default()));
    let workers = [Worker::new(server.url(), &prefix), Worker::new(proxy.url(), &prefix)];
    let callers: Vec<_> = workers
        .iter()
        .flat_map(|worker| std::iter::repeat_n(worker, 4))
        .map(|worker| {
            let (worker, auditor) = (Arc::clone(worker), Arc::clone(&auditor));
            tokio::spawn(async move { worker.hammer(&auditor).await })
        })
        .collect();
    let end = Instant::now() + LASTS;
    while Instant::now() < end {
        flap().await;
    }
    auditor.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        timeout(PATIENCE, caller).await.unwrap().unwrap();
    }
    (auditor, workers)
}

async fn a_moment() {
    sleep(Duration::from_millis(fastrand::u64(1..250))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_probes_are_out_than_may_be_while_the_store_freezes_and_is_cut() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let flap = async || {
        a_moment().await;
        match fastrand::u8(0..4) {
            0 => {
                server.freeze().unwrap();
                a_moment().await;
                server.thaw().unwrap();
            }
            1 => proxy.cut(),
            2 => {
                proxy.set(Flow::LoseAnswers);
                a_moment().await;
                proxy.set(Flow::Pass);
            }
            _ => {
                proxy.set(Flow::Hole);
                a_moment().await;
                proxy.set(Flow::Pass);
            }
        }
    };
    let (auditor, workers) = hammered(&server, &proxy, flap).await;
    for worker in &workers {
        worker.is_well(&server).await;
    }
    let (probes, flying) = *auditor.most.lock();
    assert!(probes <= PROBES && flying <= FLYING, "{probes} probes and {flying} calls were out at once");
    assert!(auditor.probed.load(Ordering::Relaxed) > 10 && auditor.flown.load(Ordering::Relaxed) > 10);
    assert!(workers.iter().any(|worker| !worker.heard.all().is_empty()), "it was lost at times");
}

/// What was in it is gone each time, so that only what comes after counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_is_killed_and_started_over_and_over_is_used_in_between() {
    let server = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let flap = async || {
        a_moment().await;
        server.kill();
        a_moment().await;
        server.restart().await.unwrap();
    };
    let (auditor, workers) = hammered(&server, &proxy, flap).await;
    for worker in &workers {
        worker.is_well(&server).await;
        assert!(!worker.heard.all().is_empty(), "it was lost");
    }
    assert!(auditor.flown.load(Ordering::Relaxed) > 10);
}
