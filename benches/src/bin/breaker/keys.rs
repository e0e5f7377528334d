//! 10,000 keys, taken in turn in a shuffled order, ours and others'.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use circuit_breaker::{Ask, Breaker, Circuit, InProcessBreaker, LeaseId, Settings, Verdict, Window};
use dashmap::DashMap;
use failsafe::CircuitBreaker as _;
use futures::future::poll_fn;
use llm_benches::{Failure, Group, Maker, Row, Target, Walk, each};
use recloser::Recloser;
use tower_service::Service;

use crate::breakers::{Failsafe, failsafe, rates, recloser, through, tower};
use crate::shared::{DAY, KEYS, THRESHOLD, call, complete, is_down, keys};

pub(crate) fn group() -> Group {
    let rows = ours().into_iter().chain(peers()).map(|row| row.whole(KEYS));
    Group { title: "10,000 keys in turn, closed", rows: rows.collect() }
}

fn ours() -> [Row; 9] {
    let beside = |row: Row, peer| row.floor("floor/dashmap-10k").peer(peer);
    let asked = |row: Row, peer| {
        let share = |threads| Target::OfPeer { threads, most: 0.6 };
        beside(row, peer).target(share(1)).target(share(2))
    };
    let healthy = |row: Row| asked(row, "failsafe/boxed-10k");
    let some_open = |row: Row| asked(row, "failsafe/boxed-10k-open");
    [
        Row::new(
            "ours/handles-10k",
            "LocalCircuit::admit and settle, 10,000 handles of one breaker",
            handles,
        )
        .floor("floor/loads-10k")
        .peer("failsafe/10k"),
        beside(
            Row::new("ours/try-10k", "dyn Breaker: try_acquire and settle, by string", try_acquire),
            "failsafe/10k",
        ),
        healthy(Row::new(
            "ours/circuit-10k",
            "Circuit::admit (async) and Permit::settle, a Circuit for each key",
            || circuits(&breaker(false)?),
        )),
        healthy(Row::new(
            "ours/acquire-10k",
            "dyn Breaker: the boxed acquire with one lease for all calls, and settle, by string",
            || acquire(false, one_lease()),
        )),
        healthy(Row::new(
            "ours/acquire-lease-10k",
            "ours/acquire-10k with LeaseId::new() for each call",
            || acquire(false, LeaseId::new),
        )),
        some_open(Row::new("ours/circuit-10k-open", "ours/circuit-10k with 1 % of the keys open", || {
            circuits(&breaker(true)?)
        })),
        some_open(Row::new("ours/acquire-10k-open", "ours/acquire-10k with 1 % of the keys open", || {
            acquire(true, one_lease())
        })),
        some_open(Row::new(
            "ours/acquire-lease-10k-open",
            "ours/acquire-lease-10k with 1 % of the keys open",
            || acquire(true, LeaseId::new),
        )),
        beside(
            Row::new(
                "ours/circuit-10k-window",
                "ours/circuit-10k with half of the calls of 10 s: every success is counted, and the clock read; the peer \
                 counts failures in a row",
                || circuits(&Arc::new(InProcessBreaker::new(rates(Window::Time(Duration::from_secs(10)))))),
            ),
            "failsafe/boxed-10k",
        ),
    ]
}

fn peers() -> [Row; 5] {
    [
        Row::new(
            "failsafe/10k",
            "failsafe in a DashMap, three failures in a row; the entry is held during the call",
            failsafe_10k,
        ),
        Row::new("failsafe/boxed-10k", "failsafe/10k inside one boxed future of an async_trait", || {
            failsafe_boxed(false)
        }),
        Row::new("failsafe/boxed-10k-open", "failsafe/boxed-10k with 1 % of the keys open", || {
            failsafe_boxed(true)
        }),
        Row::new(
            "recloser/10k",
            "recloser in a DashMap, half of the last 100 calls; the entry is held during the call",
            recloser_10k,
        ),
        Row::new(
            "tower/10k",
            "tower-resilience-circuitbreaker in a DashMap, three failures in a row; the entry is held for ready and \
             call, and not while it is awaited",
            tower_10k,
        ),
    ]
}

/// A breaker, with some circuits open if asked for.
fn breaker(some_down: bool) -> Result<Arc<InProcessBreaker>, Failure> {
    let breaker = Arc::new(InProcessBreaker::new(
        Settings::default().failure_threshold(THRESHOLD).cooldown(DAY).max_hold(DAY),
    ));
    for key in keys().iter().filter(|key| some_down && is_down(key)) {
        let circuit = breaker.circuit(Arc::clone(key));
        for _ in 0..THRESHOLD.get() {
            circuit.admit()?.settle(Verdict::Failure);
        }
        if circuit.admit().is_ok() {
            return Err("a circuit did not open".into());
        }
    }
    Ok(breaker)
}

fn handles() -> Result<Maker, Failure> {
    let breaker = breaker(false)?;
    let circuits: Vec<_> = keys().into_iter().map(|key| breaker.circuit(key)).collect();
    each(move |thread| {
        let mut circuits = Walk::new(circuits.clone(), thread);
        move || circuits.step().is_some_and(through)
    })
}

fn try_acquire() -> Result<Maker, Failure> {
    let breaker: Arc<dyn Breaker> = breaker(false)?;
    let keys = keys();
    each(move |thread| {
        let (breaker, mut keys) = (Arc::clone(&breaker), Walk::new(keys.clone(), thread));
        move || {
            let Some(key) = keys.step() else { return false };
            let Some(Ok(admission)) = breaker.try_acquire(key) else { return false };
            let result = call();
            breaker.settle(key, None, admission, Verdict::of(&result).into());
            result.is_ok()
        }
    })
}

/// Each does what it should where it lets a call through, or keeps it away under a key that is down.
fn circuits(breaker: &Arc<InProcessBreaker>) -> Result<Maker, Failure> {
    let circuits: Vec<_> =
        keys().into_iter().map(|key| Circuit::new(Arc::clone(breaker) as Arc<dyn Breaker>, key)).collect();
    each(move |thread| {
        let mut circuits = Walk::new(circuits.clone(), thread);
        move || {
            let Some(circuit) = circuits.step() else { return false };
            complete(async {
                let Ok(permit) = circuit.admit().await else { return is_down(circuit.key()) };
                let result = call();
                permit.settle(Verdict::of(&result));
                result.is_ok()
            })
        }
    })
}

fn one_lease() -> impl Fn() -> LeaseId + Copy + Send + Sync + 'static {
    let lease = LeaseId::new();
    move || lease
}

fn acquire(
    some_down: bool,
    lease: impl Fn() -> LeaseId + Copy + Send + Sync + 'static,
) -> Result<Maker, Failure> {
    let breaker: Arc<dyn Breaker> = breaker(some_down)?;
    let keys = keys();
    each(move |thread| {
        let (breaker, mut keys) = (Arc::clone(&breaker), Walk::new(keys.clone(), thread));
        move || {
            let Some(key) = keys.step() else { return false };
            let ask = Ask::new(lease());
            complete(async {
                let Ok(admission) = breaker.acquire(key, &ask).await else { return is_down(key) };
                let result = call();
                breaker.settle(key, Some(ask.lease), admission, Verdict::of(&result).into());
                result.is_ok()
            })
        }
    })
}

/// A breaker for each key.
fn map<B>(new: impl Fn(&str) -> B) -> Arc<DashMap<String, B>> {
    Arc::new(keys().iter().map(|key| (key.to_string(), new(key))).collect())
}

fn failsafe_map(some_down: bool) -> Arc<DashMap<String, Failsafe>> {
    map(|key| {
        let breaker = failsafe();
        for _ in 0..THRESHOLD.get() {
            if some_down && is_down(key) {
                breaker.on_error();
            }
        }
        breaker
    })
}

fn failsafe_10k() -> Result<Maker, Failure> {
    let (map, keys) = (failsafe_map(false), keys());
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(keys.clone(), thread));
        move || keys.step().and_then(|key| map.get(&**key)).is_some_and(|breaker| breaker.call(call).is_ok())
    })
}

/// What one would put before it to be able to put a store there later.
#[async_trait]
trait Guard: Send + Sync {
    async fn call(&self, key: &str) -> bool;
}

#[async_trait]
impl Guard for DashMap<String, Failsafe> {
    async fn call(&self, key: &str) -> bool {
        self.get(key).is_some_and(|breaker| breaker.call(call).is_ok() || is_down(key))
    }
}

fn failsafe_boxed(some_down: bool) -> Result<Maker, Failure> {
    let (map, keys): (Arc<dyn Guard>, _) = (failsafe_map(some_down), keys());
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(keys.clone(), thread));
        move || keys.step().is_some_and(|key| complete(map.call(key)))
    })
}

fn recloser_10k() -> Result<Maker, Failure> {
    let (map, keys): (Arc<DashMap<_, Recloser>>, _) = (map(|_| recloser()), keys());
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(keys.clone(), thread));
        move || keys.step().and_then(|key| map.get(&**key)).is_some_and(|breaker| breaker.call(call).is_ok())
    })
}

fn tower_10k() -> Result<Maker, Failure> {
    let map = Arc::new(DashMap::new());
    let keys = keys();
    for key in &keys {
        map.insert(key.to_string(), tower()?);
    }
    each(move |thread| {
        let (map, mut keys) = (Arc::clone(&map), Walk::new(keys.clone(), thread));
        move || {
            let Some(mut service) = keys.step().and_then(|key| map.get_mut(&**key)) else { return false };
            if complete(poll_fn(|context| service.poll_ready(context))).is_err() {
                return false;
            }
            let response = service.call(());
            drop(service);
            complete(response).is_ok()
        }
    })
}
