//! `Circuit::call`: what it runs, what it settles, what it gives back.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use circuit_breaker::{
    CallError, InProcessBreaker, Percent, Rates, RejectReason, Settings, State, Verdict, Window,
};
use common::{Door, circuit};

const COOLDOWN: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn the_future_runs_only_under_a_permit() {
    let circuit = circuit(InProcessBreaker::default());
    let ran = Cell::new(0);
    let work = async || {
        ran.set(ran.get() + 1);
        if ran.get() == 1 { Ok("fine") } else { Err("broken") }
    };
    assert_eq!(circuit.call(work(), Verdict::of).await, Ok("fine"));
    for _ in 0..3 {
        assert_eq!(circuit.call(work(), Verdict::of).await, Err(CallError::Failed("broken")));
    }
    let error = circuit.call(work(), Verdict::of).await.unwrap_err();
    assert_eq!(error.to_string(), "key: circuit open, try again in 120.0s");
    let CallError::CircuitOpen { key, retry_after, reason, .. } = error else { panic!("{error}") };
    assert_eq!((&*key, retry_after, reason), ("key", Some(COOLDOWN), RejectReason::Open));
    assert_eq!(ran.get(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_classification_decides() {
    let circuit = circuit(InProcessBreaker::default());
    let bad_request = || circuit.call(async { Err::<(), _>("bad request") }, |_| Verdict::Neutral);
    for _ in 0..5 {
        assert_eq!(bad_request().await, Err(CallError::Failed("bad request")));
    }
    assert_eq!(circuit.status().await.failures, 0);
    for _ in 0..3 {
        let empty = circuit.call(async { Ok::<_, Infallible>("") }, |_| Verdict::Failure).await;
        assert_eq!(empty, Ok(""), "what counts against the service is still the caller's answer");
    }
    assert_eq!(circuit.status().await.state, State::Open);
}

const STEPS: usize = 4;

/// Takes so many polls, and may panic at one of them.
async fn steps(panics_at: Option<usize>) -> Result<(), ()> {
    let mut polls = 0;
    poll_fn(|_| {
        if panics_at == Some(polls) {
            resume_unwind(Box::new("in the middle of the call"));
        }
        polls += 1;
        if polls > STEPS { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<(), CallError<()>>> + 'a>>;

fn call(door: &Door, panics_at: Option<usize>) -> Call<'_> {
    match door {
        Door::Key(circuit, _) => Box::pin(circuit.call(steps(panics_at), Verdict::of)),
        Door::Handle(circuit) => Box::pin(circuit.call(steps(panics_at), Verdict::of)),
    }
}

fn poll(call: &mut Call<'_>) -> bool {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A call that goes away at any of its polls, by either way to the key: all slots are free again.
#[test]
fn a_call_that_ends_at_any_poll_leaves_no_slot_taken() {
    for slots in [1, 3] {
        let window = Window::Calls(NonZeroU32::new(4).unwrap());
        let rates = Rates::failures(Percent::new(100).unwrap(), window).minimum_calls(NonZeroU32::MIN);
        let consecutive = Settings::default().failure_threshold(NonZeroU32::MIN);
        for settings in [consecutive, Settings::default().trip(rates)] {
            let settings = settings.cooldown(Duration::ZERO).probes(NonZeroU32::new(slots));
            for (polls, panics) in (0..=STEPS).flat_map(|polls| [(polls, false), (polls, true)]) {
                for door in Door::each(&settings) {
                    door.call(1, Verdict::Failure);
                    for _ in 0..2 * slots {
                        let mut call = call(&door, panics.then_some(polls));
                        let ready = (0..polls).any(|_| poll(&mut call));
                        assert!(!ready, "{polls} polls are too few to end it");
                        assert_eq!(door.status().probes, u32::from(polls > 0), "it is out");
                        if panics {
                            assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut call))).is_err());
                        }
                        drop(call);
                        assert_eq!(door.status().probes, 0, "it came back");
                    }
                    let name = format!("{}, {polls} polls, panics: {panics}", door.way());
                    let out: Vec<_> = (0..slots).map(|_| door.probe()).collect();
                    assert_eq!(door.admit().unwrap_err().reason, RejectReason::ProbesTaken, "{name}");
                    drop(out);
                    if polls > 0 || panics {
                        assert_eq!(door.snapshot().counts.calls, 0, "{name}: and nothing was decided");
                    }
                }
            }
        }
    }
}

/// What the call is classified by may panic too.
#[test]
fn a_classification_that_panics_leaves_no_slot_taken() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(Duration::ZERO);
    for door in Door::each(&settings) {
        door.call(1, Verdict::Failure);
        let classify = |_: &Result<(), ()>| -> Verdict { resume_unwind(Box::new("no verdict")) };
        let mut call: Call<'_> = match &door {
            Door::Key(circuit, _) => Box::pin(circuit.call(async { Ok(()) }, classify)),
            Door::Handle(circuit) => Box::pin(circuit.call(async { Ok(()) }, classify)),
        };
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut call))).is_err());
        drop(call);
        assert_eq!((door.status().state, door.status().probes), (State::HalfOpen, 0), "{}", door.way());
    }
}

#[test]
fn a_call_by_handle_answers_as_one_by_key() {
    for door in Door::each(&Settings::default().failure_threshold(NonZeroU32::MIN)) {
        let run = |result: Result<u8, &'static str>| {
            let answered: Pin<Box<dyn Future<Output = _>>> = match &door {
                Door::Key(circuit, _) => Box::pin(circuit.call(async move { result }, Verdict::of)),
                Door::Handle(circuit) => Box::pin(circuit.call(async move { result }, Verdict::of)),
            };
            common::at_once(answered)
        };
        assert_eq!(run(Ok(7)), Ok(7));
        assert_eq!(run(Err("broken")), Err(CallError::Failed("broken")));
        let Err(CallError::CircuitOpen { key, reason, .. }) = run(Ok(7)) else { panic!("{}", door.way()) };
        assert_eq!((&*key, reason), ("key", RejectReason::Open));
    }
}
