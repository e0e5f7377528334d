//! One circuit under one key that all threads share, ours and others'.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use circuit_breaker::{InProcessBreaker, LocalCircuit, Percent, Rates, Settings, Verdict, Window};
use failsafe::CircuitBreaker as _;
use futures::future::{Ready, poll_fn, ready};
use llm_benches::{Failure, Group, Maker, Row, Target, each};
use recloser::Recloser;
use tower_resilience_circuitbreaker::{CircuitBreaker, CircuitBreakerLayer, DefaultClassifier};
use tower_service::Service;

use crate::shared::{DAY, Glance, THRESHOLD, call, complete};

const CALLS: Window = Window::Calls(NonZeroU32::new(100).unwrap());
const TIME: Window = Window::Time(Duration::from_secs(10));
const HALF: Percent = Percent::new(50).unwrap();

pub(crate) fn group() -> Group {
    let window = |row: Row| {
        row.floor("floor/count")
            .peer("recloser/one")
            .target(Target::Nanoseconds { threads: 1, most: 25.0, stretch: None })
            .target(Target::Nanoseconds { threads: 2, most: 60.0, stretch: None })
    };
    let clocked = |row: Row| row.floor("floor/count").peer("recloser/one");
    Group {
        title: "One circuit, closed, shared by all threads",
        rows: vec![
            Row::new(
                "ours/handle",
                "LocalCircuit::admit and LocalPermit::settle, three failures in a row",
                || ours(Settings::default()),
            )
            .floor("floor/loads")
            .peer("failsafe/one")
            .target(Target::Nanoseconds { threads: 1, most: 5.0, stretch: Some(2.0) })
            .target(Target::Nanoseconds { threads: 2, most: 5.0, stretch: Some(2.0) })
            .target(Target::Flat { most: 1.25 }),
            window(Row::new(
                "ours/calls-window",
                "LocalCircuit::admit_at and settle_at, half of the last 100 calls; the clock is read every 256th time",
                || ours_at(rates(CALLS)),
            )),
            window(Row::new(
                "ours/time-window",
                "LocalCircuit::admit_at and settle_at, half of the calls of 10 s; the clock is read every 256th time; the \
                 peer has a window of calls, not of time",
                || ours_at(rates(TIME)),
            )),
            clocked(Row::new(
                "ours/calls-window-clock",
                "LocalCircuit::admit and settle, half of the last 100 calls; it reads the clock itself",
                || ours(rates(CALLS)),
            )),
            clocked(Row::new(
                "ours/time-window-clock",
                "LocalCircuit::admit and settle, half of the calls of 10 s; it reads the clock itself; the peer has a window \
                 of calls, not of time",
                || ours(rates(TIME)),
            )),
            Row::new("failsafe/one", "failsafe: call, three failures in a row", failsafe_one),
            Row::new(
                "recloser/one",
                "recloser: call, half of the last 100 calls (it has no failures in a row)",
                recloser_one,
            ),
            Row::new(
                "tower/one",
                "tower-resilience-circuitbreaker: the whole call of the service (ready, boxed call, two clock readings), \
                 three failures in a row; each thread has its clone",
                tower_one,
            ),
        ],
    }
}

pub(crate) fn rates(window: Window) -> Settings {
    Settings::default().trip(Rates::failures(HALF, window))
}

fn circuit(settings: Settings) -> LocalCircuit {
    Arc::new(InProcessBreaker::new(settings)).circuit("provider/model")
}

/// A check, the call, and what became of it.
#[inline]
pub(crate) fn through(circuit: &LocalCircuit) -> bool {
    let Ok(permit) = circuit.admit() else { return false };
    let result = call();
    permit.settle(Verdict::of(&result));
    result.is_ok()
}

#[inline]
fn through_at(circuit: &LocalCircuit, now: Instant) -> bool {
    let Ok(permit) = circuit.admit_at(now) else { return false };
    let result = call();
    permit.settle_at(Verdict::of(&result), now);
    result.is_ok()
}

fn ours(settings: Settings) -> Result<Maker, Failure> {
    let circuit = circuit(settings);
    each(move |_| {
        let circuit = circuit.clone();
        move || through(black_box(&circuit))
    })
}

fn ours_at(settings: Settings) -> Result<Maker, Failure> {
    let circuit = circuit(settings);
    each(move |_| {
        let (circuit, mut clock) = (circuit.clone(), Glance::new());
        move || through_at(black_box(&circuit), clock.now())
    })
}

pub(crate) type Failsafe =
    failsafe::StateMachine<failsafe::failure_policy::ConsecutiveFailures<failsafe::backoff::Constant>, ()>;

pub(crate) fn failsafe() -> Failsafe {
    let backoff = failsafe::backoff::constant(DAY);
    let policy = failsafe::failure_policy::consecutive_failures(THRESHOLD.get(), backoff);
    failsafe::Config::new().failure_policy(policy).build()
}

fn failsafe_one() -> Result<Maker, Failure> {
    let breaker = failsafe();
    each(move |_| {
        let breaker = breaker.clone();
        move || black_box(&breaker).call(call).is_ok()
    })
}

pub(crate) fn recloser() -> Recloser {
    Recloser::custom().error_rate(0.5).closed_len(100).build()
}

fn recloser_one() -> Result<Maker, Failure> {
    let breaker = Arc::new(recloser());
    each(move |_| {
        let breaker = Arc::clone(&breaker);
        move || black_box(&*breaker).call(call).is_ok()
    })
}

/// The service behind a breaker: [`call`].
#[derive(Clone, Copy)]
pub(crate) struct Instantly;

impl Service<()> for Instantly {
    type Response = u32;
    type Error = ();
    type Future = Ready<Result<u32, ()>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(call())
    }
}

pub(crate) type Tower = CircuitBreaker<Instantly, DefaultClassifier>;

pub(crate) fn tower() -> Result<Tower, Failure> {
    let threshold = usize::try_from(THRESHOLD.get())?;
    Ok(CircuitBreakerLayer::builder().consecutive_failures(threshold).build()?.layer_fn(Instantly))
}

fn tower_one() -> Result<Maker, Failure> {
    let service = tower()?;
    each(move |_| {
        let mut service = service.clone();
        move || {
            let service = black_box(&mut service);
            complete(async {
                poll_fn(|context| service.poll_ready(context)).await.is_ok() && service.call(()).await.is_ok()
            })
        }
    })
}
