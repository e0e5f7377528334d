//! The same calls through the backends of the crate.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, Cost, InProcessBreaker, InProcessLimiter, Limiter, Limits, MemcachedRotation, Quota,
    Rate, RedisBreaker, RedisLimiter, RedisRotation, RedisStore, Rotation, Settings, Verdict,
};
use llm_benches::Failure;
use tokio::time::sleep;

use crate::row::{Behind, Calls, Row, Work, now};
use crate::server::Servers;

/// More probes than calls at once.
const PROBES: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// How long a probe, or a reservation, is held at most.
const HOLD: Duration = Duration::from_secs(60);
/// No call has to wait for what others took.
const PLENTY: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();

/// Three failures in a row, and what is said of probes by hand too.
pub(crate) fn settings() -> Settings {
    Settings::default().probes(Some(PROBES)).max_hold(HOLD)
}

/// Requests and tokens, of which there are always enough.
pub(crate) fn limiter(store: &RedisStore) -> RedisLimiter {
    let limits = Limits::default().requests(Rate::per_second(PLENTY)).input_tokens(Rate::per_second(PLENTY));
    RedisLimiter::new(store, InProcessLimiter::new(limits).max_hold(HOLD))
}

/// What a call costs.
pub(crate) const COST: Cost = Cost::REQUEST.with_input_tokens(1000);

/// A store whose answers are waited for, however busy the machine is.
pub(crate) async fn store(servers: &Servers, staleness: Duration) -> Result<RedisStore, Failure> {
    let builder = RedisStore::builder(servers.redis.url()).prefix("by-ours");
    let store = builder.staleness(staleness).timeout(PATIENCE).build()?;
    store.ready(PATIENCE).await?;
    Ok(store)
}

/// Longer than a busy machine takes for anything here. How long it is does not show in any number.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn rows(servers: &Servers) -> Result<Vec<Row>, Failure> {
    let store = store(servers, Duration::ZERO).await?;
    Ok(vec![
        row(
            "ours/ask",
            "RedisBreaker, staleness zero: Circuit::admit to a closed circuit, and Permit::settle with a neutral verdict, \
             which the store does not hear of",
            "floor/ask",
            1,
            ask(&store),
        ),
        row(
            "ours/probe",
            "the same for a half-open circuit that lets 10,000 probes out: the store hears of the verdict, which is not \
             waited for",
            "floor/probe",
            2,
            probe(&store).await?,
        ),
        row(
            "ours/take",
            "RedisLimiter, a rate of requests and one of tokens: Quota::admit of 1,000 tokens, and Slot::settle with as \
             many, which is not waited for",
            "floor/take",
            2,
            take(&store, "exact", COST),
        ),
        row(
            "ours/take-less",
            "ours/take, settled with 800 tokens",
            "floor/take-less",
            2,
            take(&store, "less", Cost::REQUEST.with_input_tokens(800)),
        ),
        Row {
            judged: false,
            ..row("ours/turn", "RedisRotation::next", "floor/turn", 1, turn(RedisRotation::new(&store)))
        },
        Row {
            judged: false,
            ..row("ours/memcached", "MemcachedRotation::next, one connection", "floor/incr", 0, {
                let address = servers.memcached.address().to_string();
                turn(MemcachedRotation::builder(address).timeout(PATIENCE).build()?)
            })
        },
    ])
}

fn row(id: &'static str, what: &'static str, floor: &'static str, scripts: u64, work: Arc<dyn Work>) -> Row {
    Row { id, what, floor: Some(floor), judged: true, scripts, work }
}

fn ask(store: &RedisStore) -> Arc<dyn Work> {
    let breaker: Arc<dyn Breaker> = Arc::new(RedisBreaker::new(store, InProcessBreaker::new(settings())));
    let circuit = Circuit::new(breaker, "provider/model");
    let call = move || {
        let circuit = circuit.clone();
        async move { admitted(&circuit, false).await }
    };
    Arc::new(Calls { call, behind: Behind::Nothing })
}

async fn probe(store: &RedisStore) -> Result<Arc<dyn Work>, Failure> {
    let settings = settings().cooldown(Duration::from_millis(1));
    let breaker: Arc<dyn Breaker> = Arc::new(RedisBreaker::new(store, InProcessBreaker::new(settings)));
    let circuit = Circuit::new(Arc::clone(&breaker), "provider/failing");
    for _ in 0..3 {
        circuit.admit().await?.settle(Verdict::Failure);
    }
    breaker.flush().await;
    let start = now();
    while !circuit.admit().await.is_ok_and(|permit| permit.is_probe()) {
        if start.elapsed() > PATIENCE {
            return Err("the circuit does not become half-open".into());
        }
        sleep(Duration::from_millis(1)).await;
    }
    let call = move || {
        let circuit = circuit.clone();
        async move { admitted(&circuit, true).await }
    };
    Ok(Arc::new(Calls { call, behind: Behind::Breaker(breaker) }))
}

async fn admitted(circuit: &Circuit, as_probe: bool) -> Result<(), Failure> {
    let permit = circuit.admit().await?;
    if permit.degraded() || permit.is_probe() != as_probe {
        return Err(format!("admitted in another way than expected: {permit:?}").into());
    }
    permit.settle(Verdict::Neutral);
    Ok(())
}

fn take(store: &RedisStore, key: &str, actual: Cost) -> Arc<dyn Work> {
    let limiter: Arc<dyn Limiter> = Arc::new(limiter(store));
    let quota = Quota::new(Arc::clone(&limiter), key);
    let call = move || {
        let quota = quota.clone();
        async move {
            let slot = quota.admit(COST).await?;
            if slot.degraded() {
                return Err("admitted without the store".into());
            }
            slot.settle(&actual);
            Ok(())
        }
    };
    Arc::new(Calls { call, behind: Behind::Limiter(limiter) })
}

fn turn(rotation: impl Rotation) -> Arc<dyn Work> {
    let rotation = Arc::new(rotation);
    let call = move || {
        let rotation = Arc::clone(&rotation);
        async move { Ok(rotation.next("hosts").await.map(drop)?) }
    };
    Arc::new(Calls { call, behind: Behind::Nothing })
}
