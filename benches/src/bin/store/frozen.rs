//! A store that stands still in the midst of calls, and goes on: how long admissions take meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use circuit_breaker::{
    Breaker, Circuit, InProcessBreaker, Limiter, Quota, RedisBreaker, RedisStore, Verdict,
};
use llm_benches::{Failure, percentile};
use tokio::time::sleep;

use crate::load::microseconds;
use crate::ours::{COST, PATIENCE, limiter, settings};
use crate::pace::{Pace, Sample, Told};
use crate::row::now;
use crate::server::Servers;

/// Who asks.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    backend: Backend,
}

#[derive(Debug, Clone, Copy)]
enum Backend {
    Alone,
    Views,
    Asking,
    Limiter,
}

/// Which all others are compared with.
pub(crate) const ALONE: &str = "frozen/alone";

pub(crate) const KINDS: [Kind; 4] = [
    Kind {
        id: ALONE,
        what: "InProcessBreaker, which has no store: what is in the number of any row because a thread and a task have to \
               be woken",
        backend: Backend::Alone,
    },
    Kind { id: "frozen/views", what: "RedisBreaker as it is by default", backend: Backend::Views },
    Kind {
        id: "frozen/asking",
        what: "RedisBreaker, staleness zero: every call asks",
        backend: Backend::Asking,
    },
    Kind {
        id: "frozen/limiter",
        what: "RedisLimiter with a rate of requests and one of tokens: every call asks",
        backend: Backend::Limiter,
    },
];

/// How long each part lasts, at least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) episodes: u32,
    pub(crate) before: Duration,
    pub(crate) without: Duration,
    pub(crate) behind: Duration,
}

/// The parts of an episode, in their order.
pub(crate) const PARTS: [&str; 4] = ["before", "until it is noticed", "without", "thawed"];

/// What was measured in one episode.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    /// The calls that were due in each of the [`PARTS`], where those that were out when it was frozen belong to the second.
    pub(crate) parts: [Part; 4],
    /// Milliseconds from the freeze until the store counted as lost.
    pub(crate) lost: Option<f64>,
    /// Milliseconds from the thaw until the last answer without the store.
    pub(crate) back: Option<f64>,
}

/// Microseconds from when a call was due until it was admitted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) calls: usize,
    /// Answered without the store.
    pub(crate) degraded: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) most: f64,
}

pub(crate) async fn measure(kind: &Kind, plan: Plan, servers: &Servers) -> Result<Measured, Failure> {
    let builder = RedisStore::builder(servers.redis.url()).prefix(kind.id);
    let builder = match kind.backend {
        Backend::Asking => builder.staleness(Duration::ZERO),
        _ => builder,
    };
    let store = builder.build()?;
    store.ready(PATIENCE).await?;
    let breaker: Arc<dyn Breaker> = match kind.backend {
        Backend::Alone => Arc::new(InProcessBreaker::new(settings())),
        _ => Arc::new(RedisBreaker::new(&store, InProcessBreaker::new(settings()))),
    };
    let pace = if matches!(kind.backend, Backend::Limiter) {
        let limiter: Arc<dyn Limiter> = Arc::new(limiter(&store));
        let quota = Quota::new(limiter, "account");
        Pace::start(move || reserve(quota.clone()))
    } else {
        let circuit = Circuit::new(breaker, "provider/model");
        Pace::start(move || admit(circuit.clone()))
    };
    sleep(plan.before).await;
    if matches!(kind.backend, Backend::Alone) {
        sleep(plan.without).await;
        let samples = pace.stop().await?;
        let parts = [part(samples.iter()), Part::default(), Part::default(), Part::default()];
        return Ok(Measured { parts, ..Measured::default() });
    }
    let times = interrupt(plan, servers, &store).await;
    // Whatever happened, the next one finds a server that answers.
    servers.redis.thaw()?;
    let samples = pace.stop().await?;
    Ok(told(&samples, &times?))
}

/// When the store stood still, when that was noticed, and when it went on.
struct Times {
    frozen: Instant,
    lost: Instant,
    thawed: Instant,
}

async fn interrupt(plan: Plan, servers: &Servers, store: &RedisStore) -> Result<Times, Failure> {
    // A machine that is busy with something else may have lost it for a moment.
    until(|| !store.is_degraded(), store).await?;
    let frozen = now();
    servers.redis.freeze()?;
    until(|| store.is_degraded(), store).await?;
    let lost = now();
    sleep(plan.without).await;
    let thawed = now();
    servers.redis.thaw()?;
    until(|| !store.is_degraded(), store).await?;
    sleep(plan.behind).await;
    Ok(Times { frozen, lost, thawed })
}

/// Waits until it is so.
async fn until(so: impl Fn() -> bool, store: &RedisStore) -> Result<(), Failure> {
    let start = now();
    while !so() {
        if start.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {store:?}").into());
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn admit(circuit: Circuit) -> Result<Told, Failure> {
    let permit = circuit.admit().await?;
    let told = Told { at: now(), degraded: permit.degraded() };
    permit.settle(Verdict::Success);
    Ok(told)
}

async fn reserve(quota: Quota) -> Result<Told, Failure> {
    let slot = quota.admit(COST).await?;
    let told = Told { at: now(), degraded: slot.degraded() };
    slot.settle(&COST);
    Ok(told)
}

fn told(samples: &[Sample], times: &Times) -> Measured {
    let &Times { frozen, lost, thawed } = times;
    let ended = |sample: &Sample| sample.due + sample.took;
    // Those that were out when it was frozen have to wait as those do that come later.
    let of = |nth: usize| {
        let within = move |sample: &&Sample| {
            nth == match sample.due {
                due if due >= thawed => 3,
                due if due >= lost => 2,
                _ if ended(sample) >= frozen => 1,
                _ => 0,
            }
        };
        part(samples.iter().filter(within))
    };
    let last = samples.iter().filter(|sample| sample.degraded).map(ended).max();
    Measured {
        parts: [of(0), of(1), of(2), of(3)],
        lost: Some(milliseconds(lost - frozen)),
        back: last.map(|last| milliseconds(last.saturating_duration_since(thawed))),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn part<'a>(samples: impl Iterator<Item = &'a Sample>) -> Part {
    let (mut degraded, mut took) = (0, Vec::new());
    for sample in samples {
        degraded += usize::from(sample.degraded);
        took.push(microseconds(sample.took));
    }
    took.sort_unstable_by(f64::total_cmp);
    let of = |percent| percentile(&took, percent).unwrap_or(f64::NAN);
    Part { calls: took.len(), degraded, p50: of(50), p99: of(99), most: of(100) }
}
