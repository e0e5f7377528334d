//! The in-process breaker over paused time: states, events, late results, memory.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, InProcessBreaker, Preset, RejectReason, Settings, State, Transition, Verdict,
};
use common::{admit, at_once, circuit, fail};
use parking_lot::Mutex;
use tokio::time::advance;

const COOLDOWN: Duration = Duration::from_secs(120);
const HOLD: Duration = Duration::from_secs(600);

type Events = Arc<Mutex<Vec<Transition>>>;

fn recorded(settings: Settings) -> (Circuit, Events) {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let breaker =
        InProcessBreaker::new(settings).on_transition(move |event| heard.lock().push(event.clone()));
    (circuit(breaker), events)
}

#[tokio::test(start_paused = true)]
async fn opens_probes_and_closes_and_tells_of_it() {
    let (circuit, events) = recorded(Settings::default());
    fail(&circuit, 2);
    assert_eq!(circuit.status().await.failures, 2);
    fail(&circuit, 1);

    advance(Duration::from_secs(20)).await;
    let rejection = circuit.admit().await.unwrap_err();
    assert_eq!(
        (rejection.reason, rejection.retry_after),
        (RejectReason::Open, Some(Duration::from_secs(100)))
    );

    advance(Duration::from_secs(100)).await;
    let status = circuit.status().await;
    assert_eq!(
        (status.state, status.retry_after),
        (State::Open, Some(Duration::ZERO)),
        "reading changes nothing"
    );
    let probe = circuit.admit().await.unwrap();
    assert!(probe.is_probe() && !probe.degraded());
    assert_eq!((probe.key(), circuit.status().await.probes), ("key", 1));
    let rejection = circuit.admit().await.unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after), (RejectReason::ProbesTaken, None));
    probe.settle(Verdict::Failure);
    assert_eq!(circuit.status().await.retry_after, Some(COOLDOWN));

    advance(COOLDOWN).await;
    circuit.admit().await.unwrap().settle(Verdict::Success);
    assert_eq!(circuit.status().await, circuit_breaker::Status::default());
    assert!(!circuit.admit().await.unwrap().is_probe());

    let events = events.lock();
    let told: Vec<_> =
        events.iter().map(|event| (event.from, event.to, event.failures, event.cooldown)).collect();
    assert_eq!(
        told,
        [
            (State::Closed, State::Open, 3, Some(COOLDOWN)),
            (State::Open, State::HalfOpen, 3, None),
            (State::HalfOpen, State::Open, 4, Some(COOLDOWN)),
            (State::Open, State::HalfOpen, 4, None),
            (State::HalfOpen, State::Closed, 0, None),
        ]
    );
    assert!(events.is_sorted_by_key(|event| event.epoch) && events.iter().all(|event| &*event.key == "key"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_or_neutral_probe_frees_its_slot() {
    let (circuit, events) = recorded(Settings::default());
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    drop(circuit.admit().await.unwrap());
    circuit.admit().await.unwrap().settle(Verdict::Neutral);
    let probe = circuit.admit().await.unwrap();
    assert_eq!(circuit.admit().await.unwrap_err().reason, RejectReason::ProbesTaken);
    drop(probe);
    assert_eq!(circuit.status().await.probes, 0);
    assert_eq!(events.lock().len(), 2, "opened and half-opened, no more");
}

#[tokio::test(start_paused = true)]
async fn a_leaked_probe_loses_its_slot_and_its_say() {
    let (circuit, _) = recorded(Settings::default());
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    std::mem::forget(circuit.admit().await.unwrap());
    advance(Duration::from_secs(599)).await;
    assert!(circuit.admit().await.is_err());
    let slow = {
        advance(Duration::from_secs(1)).await;
        circuit.admit().await.unwrap()
    };
    advance(HOLD).await;
    slow.settle(Verdict::Success);
    assert_eq!(circuit.status().await.state, State::HalfOpen, "an expired holder's verdict is ignored");
    circuit.admit().await.unwrap().settle(Verdict::Success);
    assert_eq!(circuit.status().await.state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn late_results_change_nothing() {
    let (circuit, events) = recorded(Settings::default());
    let mut late: Vec<_> = (0..8).map(|_| admit(&circuit)).collect();
    let mut come = |verdict| late.pop().unwrap().settle(verdict);
    fail(&circuit, 3);

    advance(COOLDOWN / 2).await;
    come(Verdict::Success);
    come(Verdict::Failure);
    assert_eq!(circuit.status().await.retry_after, Some(COOLDOWN / 2), "neither closed nor opened anew");

    advance(COOLDOWN / 2).await;
    let probe = circuit.admit().await.unwrap();
    come(Verdict::Success);
    come(Verdict::Failure);
    assert_eq!(circuit.status().await.state, State::HalfOpen);

    probe.settle(Verdict::Success);
    come(Verdict::Failure);
    fail(&circuit, 2);
    come(Verdict::Success);
    come(Verdict::Failure);
    assert_eq!((circuit.status().await.state, circuit.status().await.failures), (State::Closed, 2));
    assert_eq!(events.lock().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_result_from_before_the_key_was_forgotten_changes_nothing() {
    let breaker = Arc::new(InProcessBreaker::new(Settings::default().max_keys(1)));
    let circuit = Circuit::new(breaker.clone(), "key");
    let late: Vec<_> = (0..4).map(|_| admit(&circuit)).collect();
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    admit(&circuit).settle(Verdict::Success);

    let other = Circuit::new(breaker.clone(), "other");
    fail(&other, 3);
    assert_eq!(other.status().await.state, State::Closed, "no room: the recovered key is still remembered");
    advance(HOLD).await;
    fail(&other, 1);
    assert_eq!((other.status().await.failures, breaker.tracked_keys()), (1, 1), "it made room");
    admit(&other).settle(Verdict::Success);
    assert_eq!(breaker.tracked_keys(), 0);

    for permit in late {
        permit.settle(Verdict::Failure);
    }
    assert_eq!((circuit.status().await.state, breaker.tracked_keys()), (State::Closed, 0));
    fail(&circuit, 3);
    assert_eq!(circuit.status().await.state, State::Open, "a forgotten key opens as ever");
}

#[tokio::test(start_paused = true)]
async fn only_keys_in_trouble_cost_memory_and_their_number_is_bounded() {
    let breaker = Arc::new(InProcessBreaker::new(Settings::default().max_keys(200)));
    let circuits: Vec<_> = (0..1000).map(|key| Circuit::new(breaker.clone(), format!("key {key}"))).collect();
    for circuit in &circuits {
        admit(circuit).settle(Verdict::Success);
    }
    assert_eq!(breaker.tracked_keys(), 0);
    for circuit in &circuits {
        fail(circuit, 3);
    }
    let tracked = breaker.tracked_keys();
    assert!((150..=200).contains(&tracked), "{tracked}");
    let open = circuits.iter().filter(|circuit| at_once(circuit.status()).state == State::Open).count();
    assert_eq!(open, tracked, "the others go through untracked");
    for circuit in &circuits {
        drop(at_once(circuit.admit()));
    }

    advance(COOLDOWN).await;
    for circuit in &circuits {
        admit(circuit).settle(Verdict::Success);
    }
    assert_eq!(breaker.tracked_keys(), tracked, "remembered, to tell late results apart");
    advance(HOLD).await;
    for _ in 0..2 {
        for circuit in &circuits {
            admit(circuit).settle(Verdict::Success);
        }
    }
    assert_eq!(breaker.tracked_keys(), 0, "swept in passing");
}

#[tokio::test(start_paused = true)]
async fn keel_admits_everyone_while_half_open() {
    let circuit = circuit(InProcessBreaker::preset(Preset::Keel));
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    let mut probes: Vec<_> = (0..50).map(|_| admit(&circuit)).collect();
    assert!(probes.iter().all(circuit_breaker::Permit::is_probe));
    probes.pop().unwrap().settle(Verdict::Failure);
    assert_eq!(circuit.status().await.state, State::Open, "one failure reopens");
    advance(COOLDOWN).await;
    let deciding = circuit.admit().await.unwrap();
    for probe in probes {
        probe.settle(Verdict::Success);
    }
    assert_eq!(circuit.status().await.state, State::HalfOpen, "successes of the state before");
    deciding.settle(Verdict::Success);
    assert_eq!(circuit.status().await.state, State::Closed, "one success closes");
}

#[tokio::test(start_paused = true)]
async fn keys_are_apart() {
    let breaker: Arc<dyn Breaker> = Arc::new(InProcessBreaker::default());
    let (a, b) = (Circuit::new(breaker.clone(), "a"), Circuit::new(breaker, ""));
    fail(&a, 3);
    assert!(a.admit().await.is_err() && b.admit().await.is_ok());
    b.breaker().flush().await;
    assert_eq!((a.key(), b.key()), ("a", ""));
}

#[test]
fn works_without_a_runtime() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(Duration::ZERO);
    let circuit = circuit(InProcessBreaker::new(settings));
    fail(&circuit, 1);
    admit(&circuit).settle(Verdict::Success);
    assert_eq!(at_once(circuit.status()).state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_keeps_its_slot_for_as_long_as_it_asked() {
    let seconds = Duration::from_secs;
    for (asked, held) in [(1800, 1800), (7, 7), (u64::MAX, 24 * 3600)] {
        let (circuit, _) = recorded(Settings::default());
        fail(&circuit, 3);
        advance(COOLDOWN).await;
        let probe = circuit.admit_for(seconds(asked)).await.unwrap();
        advance(Duration::from_millis(held * 1000 - 1)).await;
        assert_eq!(circuit.admit().await.unwrap_err().reason, RejectReason::ProbesTaken, "{asked}");
        advance(Duration::from_millis(1)).await;
        assert_eq!(circuit.status().await.probes, 0, "{asked}");
        probe.settle(Verdict::Success);
        assert_eq!(circuit.status().await.state, State::HalfOpen, "{asked}: too late");
        let probe = circuit.admit_for(seconds(asked)).await.unwrap();
        advance(seconds(held - 1)).await;
        probe.settle(Verdict::Success);
        assert_eq!(circuit.status().await.state, State::Closed, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_hold_is_too_short_for_the_bound_or_too_long_for_the_clock() {
    for settings in [Settings::default().max_hold(Duration::ZERO), Settings::default()] {
        let (circuit, _) = recorded(settings);
        fail(&circuit, 3);
        advance(COOLDOWN).await;
        let asked = circuit.admit_for(Duration::ZERO).await.unwrap();
        assert_eq!(circuit.admit().await.unwrap_err().reason, RejectReason::ProbesTaken);
        drop(asked);
        let probe = circuit.admit().await.unwrap();
        assert_eq!(circuit.admit().await.unwrap_err().reason, RejectReason::ProbesTaken);
        probe.settle(Verdict::Success);
        assert_eq!(circuit.status().await.state, State::Closed, "and its verdict counts");
    }
    let (circuit, _) = recorded(Settings::default().max_hold(Duration::MAX).cooldown(COOLDOWN));
    fail(&circuit, 3);
    advance(COOLDOWN).await;
    circuit.admit_for(Duration::MAX).await.unwrap().settle(Verdict::Success);
    assert_eq!(circuit.status().await.state, State::Closed);
}
