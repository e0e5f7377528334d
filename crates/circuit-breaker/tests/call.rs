//! `Circuit::call`: what it runs, what it settles, what it gives back.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use circuit_breaker::{CallError, InProcessBreaker, RejectReason, State, Verdict};
use common::{circuit, fail};
use tokio::time::advance;

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

#[tokio::test(start_paused = true)]
async fn a_dropped_or_panicking_call_gives_its_permit_back() {
    let circuit = circuit(InProcessBreaker::default());
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    {
        let mut call = pin!(circuit.call(pending::<Result<(), ()>>(), Verdict::of));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(circuit.status().await.probes, 1);
    }
    assert_eq!(circuit.status().await.probes, 0);

    let other = circuit.clone();
    let task = tokio::spawn(async move {
        let work = async { if true { panic!("a bug in the call") } else { Ok::<(), ()>(()) } };
        other.call(work, Verdict::of).await
    });
    assert!(task.await.unwrap_err().is_panic());
    let status = circuit.status().await;
    assert_eq!((status.state, status.probes), (State::HalfOpen, 0));
}
