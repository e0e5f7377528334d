//! The in-process breaker under real threads: the bound on probes, listeners that panic or call back.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, Settings, State, Verdict};
use common::{admit, at_once, circuit, fail};

const THREADS: u64 = 8;

fn restless() -> Settings {
    Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(Duration::ZERO)
}

#[test]
fn never_more_probes_than_the_bound() {
    for bound in [1, 3] {
        let circuit = circuit(InProcessBreaker::new(restless().probes(NonZeroU32::new(bound))));
        fail(&circuit, 1);
        let (out, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let start = Barrier::new(usize::try_from(THREADS).unwrap());
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    let mut granted = 0;
                    while granted < 300 {
                        let Ok(probe) = at_once(circuit.admit()) else {
                            thread::yield_now();
                            continue;
                        };
                        assert!(probe.is_probe());
                        most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        granted += 1;
                        thread::yield_now();
                        out.fetch_sub(1, Ordering::SeqCst);
                        if granted % 2 == 0 {
                            probe.settle(Verdict::Neutral);
                        } else {
                            drop(probe);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= bound, "{most:?} out at once");
        let status = at_once(circuit.status());
        assert_eq!((status.state, status.probes), (State::HalfOpen, 0));
    }
}

#[test]
fn any_mix_of_threads_and_keys_ends_with_circuits_that_close() {
    let breaker = Arc::new(InProcessBreaker::new(restless().max_keys(16)));
    let circuits: Vec<_> = (0..24).map(|key| Circuit::new(breaker.clone(), key.to_string())).collect();
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let circuits = &circuits;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut held = Vec::new();
                for _ in 0..5000 {
                    held.extend(at_once(random.choice(circuits).unwrap().admit()));
                    if held.len() > 5 {
                        let permit = held.swap_remove(random.usize(..held.len()));
                        match random.u8(..4) {
                            0 => permit.settle(Verdict::Failure),
                            1 => permit.settle(Verdict::Success),
                            2 => permit.settle(Verdict::Neutral),
                            _ => drop(permit),
                        }
                    }
                }
            });
        }
    });
    assert!(breaker.tracked_keys() <= 16);
    for circuit in &circuits {
        admit(circuit).settle(Verdict::Success);
        assert_eq!(at_once(circuit.status()).state, State::Closed, "{}", circuit.key());
    }
}

#[test]
fn transitions_of_one_key_are_told_once_and_follow_from_one_another() {
    let events = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let breaker =
        InProcessBreaker::new(restless()).on_transition(move |event| heard.lock().push(event.clone()));
    let circuit = circuit(breaker);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let circuit = &circuit;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..2000 {
                    if let Ok(permit) = at_once(circuit.admit()) {
                        permit.settle(if random.bool() { Verdict::Success } else { Verdict::Failure });
                    }
                }
            });
        }
    });
    let mut events = events.lock();
    events.sort_by_key(|event| event.epoch);
    assert_eq!(events[0].from, State::Closed);
    for pair in events.windows(2) {
        assert!(pair[0].epoch < pair[1].epoch && pair[0].to == pair[1].from, "{pair:?}");
    }
    assert_eq!(events.last().unwrap().to, at_once(circuit.status()).state);
}

#[test]
fn a_panicking_listener_loses_nothing() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let circuit = circuit(InProcessBreaker::new(restless()).on_transition(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        panic!("a listener's own bug");
    }));
    fail(&circuit, 1);
    assert_eq!(at_once(circuit.status()).state, State::Open);
    let probe = admit(&circuit);
    assert!(
        probe.is_probe() && at_once(circuit.admit()).is_err(),
        "the lease that the panic passed by is held"
    );
    probe.settle(Verdict::Success);
    assert_eq!(at_once(circuit.status()).state, State::Closed);
    assert_eq!(told.load(Ordering::Relaxed), 3);
}

#[test]
fn a_listener_may_use_the_breaker() {
    let own: Arc<OnceLock<Circuit>> = Arc::default();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (inner, states) = (Arc::clone(&own), Arc::clone(&seen));
    let circuit = circuit(InProcessBreaker::new(restless()).on_transition(move |event| {
        let state = at_once(inner.get().unwrap().status()).state;
        states.lock().push((event.to, state));
    }));
    own.set(circuit.clone()).unwrap();
    fail(&circuit, 1);
    admit(&circuit).settle(Verdict::Success);
    let states = [State::Open, State::HalfOpen, State::Closed].map(|state| (state, state));
    assert_eq!(*seen.lock(), states);
}
