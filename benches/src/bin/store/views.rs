//! Calls that are answered from what a worker knows: by threads, and without asking the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

use circuit_breaker::{Breaker, Circuit, InProcessBreaker, RedisBreaker, RedisStore, Verdict};
use dashmap::DashMap;
use llm_benches::{Body, Failure, Maker, Walk, each};
use tokio::runtime::Runtime;

use crate::ours::{PATIENCE, settings};
use crate::row::now;
use crate::server::Servers;

/// An operation that threads repeat.
pub(crate) struct View {
    pub(crate) id: &'static str,
    /// What is in the number.
    pub(crate) what: &'static str,
    pub(crate) floor: Option<&'static str>,
    pub(crate) peer: Option<&'static str>,
    /// It answers from a view, in so many nanoseconds at most.
    pub(crate) most: Option<f64>,
    make: Maker,
    /// Circuits whose views have to be fresh.
    fresh: Vec<Circuit>,
}

/// With so many threads each is measured.
pub(crate) const THREADS: [usize; 2] = [1, 2];
/// Keys, where there are many: as many as models that a large service calls.
pub(crate) const KEYS: usize = 64;
/// What a view may take.
const MOST: f64 = 300.0;

/// Nanoseconds of a thread for an operation, by row and threads, round by round.
pub(crate) type Series = BTreeMap<(&'static str, usize), Vec<f64>>;

/// A store whose views are as old as they are by default.
pub(crate) async fn store(servers: &Servers) -> Result<RedisStore, Failure> {
    let store = RedisStore::builder(servers.redis.url()).prefix("views").timeout(PATIENCE).build()?;
    store.ready(PATIENCE).await?;
    Ok(store)
}

pub(crate) fn circuits(breaker: &Arc<dyn Breaker>, keys: usize) -> Vec<Circuit> {
    names(keys).map(|name| Circuit::new(Arc::clone(breaker), name)).collect()
}

fn names(keys: usize) -> impl Iterator<Item = String> {
    (0..keys).map(|number| format!("provider/model-{number:02}"))
}

pub(crate) async fn views(servers: &Servers) -> Result<Vec<View>, Failure> {
    let store = store(servers).await?;
    let shared =
        || -> Arc<dyn Breaker> { Arc::new(RedisBreaker::new(&store, InProcessBreaker::new(settings()))) };
    let alone = || -> Arc<dyn Breaker> { Arc::new(InProcessBreaker::new(settings())) };
    let floor = |id, what, keys| look_up(keys).map(|make| View::new(id, what, make));
    Ok(vec![
        floor(
            "floor/look-up",
            "a look at the clock, and DashMap get by string among one, as any view by key takes",
            1,
        )?,
        floor("floor/look-up-64", "the same among 64 keys in turn", KEYS)?,
        View::of("local/one", "InProcessBreaker: Circuit::try_admit, and Permit::settle with a success", {
            circuits(&alone(), 1)
        })?
        .beside("floor/look-up", None),
        View::of("local/64", "local/one with 64 keys in turn", circuits(&alone(), KEYS))?
            .beside("floor/look-up-64", None),
        View {
            most: Some(MOST),
            ..View::of("view/one", "RedisBreaker, closed, its view fresh: the same", circuits(&shared(), 1))?
                .beside("floor/look-up", Some("local/one"))
        },
        View {
            most: Some(MOST),
            ..View::of("view/64", "view/one with 64 keys in turn", circuits(&shared(), KEYS))?
                .beside("floor/look-up-64", Some("local/64"))
        },
    ])
}

impl View {
    fn new(id: &'static str, what: &'static str, make: Maker) -> Self {
        Self { id, what, floor: None, peer: None, most: None, make, fresh: Vec::new() }
    }

    fn of(id: &'static str, what: &'static str, circuits: Vec<Circuit>) -> Result<Self, Failure> {
        let walk = circuits.clone();
        let make = each(move |thread| {
            let mut circuits = Walk::new(walk.clone(), thread);
            move || circuits.step().is_some_and(through)
        })?;
        Ok(Self { fresh: circuits, ..Self::new(id, what, make) })
    }

    fn beside(self, floor: &'static str, peer: Option<&'static str>) -> Self {
        Self { floor: Some(floor), peer, ..self }
    }

    /// Every view is as fresh as can be.
    fn refresh(&self, runtime: &Runtime) {
        runtime.block_on(async {
            for circuit in &self.fresh {
                let _seen = circuit.status().await;
            }
        });
    }
}

/// A check where that needs no wait, and a success.
#[inline]
pub(crate) fn through(circuit: &Circuit) -> bool {
    match circuit.try_admit() {
        Some(Ok(permit)) if !permit.degraded() => {
            permit.settle(Verdict::Success);
            true
        }
        _ => false,
    }
}

fn look_up(keys: usize) -> Result<Maker, Failure> {
    let map: Arc<DashMap<String, u64>> = Arc::new(names(keys).map(|name| (name, 1)).collect());
    let start = now();
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(names(keys).collect(), thread));
        move || {
            let young = now().saturating_duration_since(start) < Duration::from_secs(24 * 3600);
            young && keys.step().is_some_and(|key| map.get(&**key).is_some_and(|value| *value == 1))
        }
    })
}

/// Measures all of them, in turns.
pub(crate) fn measure(
    views: &[&View],
    rounds: u32,
    slice: Duration,
    runtime: &Runtime,
) -> Result<Series, Failure> {
    let mut turns: Vec<_> =
        views.iter().flat_map(|view| THREADS.map(|threads| (*view, threads, 1_u32))).collect();
    for (view, threads, times) in &mut turns {
        *times = calibrate(view, *threads, slice, runtime)?;
    }
    let mut series = Series::new();
    let mut order = fastrand::Rng::with_seed(0);
    for _ in 0..rounds {
        order.shuffle(&mut turns);
        for &(view, threads, times) in &turns {
            let took = pass(view, threads, times, runtime)?;
            series.entry((view.id, threads)).or_default().push(took);
        }
    }
    Ok(series)
}

/// How many operations take as long as `slice`.
fn calibrate(view: &View, threads: usize, slice: Duration, runtime: &Runtime) -> Result<u32, Failure> {
    let took = pass(view, threads, 64 * CHUNK, runtime)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded")]
    let times = (slice.as_secs_f64() * 1e9 / took).clamp(1.0, 1e9) as u32;
    Ok(times)
}

/// Between two looks at whether another thread has finished.
const CHUNK: u32 = 64;
/// So often a pass is tried, as a thread that had no processor for a while may find its view too old.
const TRIES: u32 = 10;

/// Nanoseconds of a thread for an operation.
fn pass(view: &View, threads: usize, times: u32, runtime: &Runtime) -> Result<f64, Failure> {
    for _ in 0..TRIES {
        view.refresh(runtime);
        let (barrier, finished) = (Barrier::new(threads), AtomicBool::new(false));
        let (barrier, finished) = (&barrier, &finished);
        let took: Vec<_> = scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        let mut body = (view.make)(thread);
                        // A quarter ahead, so that the caches are its own.
                        let warm = body.check(times / 4 + CHUNK);
                        barrier.wait();
                        let took = repeat(&mut *body, times, finished);
                        finished.store(true, Ordering::Relaxed);
                        took.filter(|_| warm)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
        });
        if let Some(took) = took.iter().copied().sum::<Option<f64>>() {
            #[expect(clippy::cast_precision_loss, reason = "there are two")]
            return Ok(took / threads as f64);
        }
    }
    Err(format!("{} with {threads} threads: it was not answered from a view", view.id).into())
}

/// Whoever is done first ends it for all.
fn repeat(body: &mut dyn Body, times: u32, finished: &AtomicBool) -> Option<f64> {
    let (start, mut done) = (now(), 0);
    loop {
        if !body.check(CHUNK) {
            return None;
        }
        done += CHUNK;
        if done >= times || finished.load(Ordering::Relaxed) {
            return Some(start.elapsed().as_secs_f64() * 1e9 / f64::from(done));
        }
    }
}

/// What a profiler runs.
pub(crate) fn count(view: &View, times: u32, runtime: &Runtime) {
    view.refresh(runtime);
    let mut body = (view.make)(0);
    let mut left = times;
    while left > 0 {
        let chunk = left.min(CHUNK);
        if !body.check(chunk) {
            view.refresh(runtime);
        }
        left -= chunk;
    }
}
