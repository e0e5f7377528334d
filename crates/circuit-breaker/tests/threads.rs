//! The in-process breaker under real threads: the bound on probes, listeners that panic or call back.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, Mode, Percent, Rates, Settings, State, Verdict, Window};
use common::{Door, admit, at_once, circuit, fail};

const THREADS: u64 = 8;

fn restless() -> Settings {
    Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(Duration::ZERO)
}

#[test]
fn never_more_probes_than_the_bound() {
    for bound in [1, 3] {
        let breaker = Arc::new(InProcessBreaker::new(restless().probes(NonZeroU32::new(bound))));
        let trip = Door::by_handle(&breaker, "key");
        trip.call(1, Verdict::Failure);
        let (out, most, granted) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let start = Barrier::new(usize::try_from(THREADS).unwrap());
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (breaker, start, out, most, granted) = (&breaker, &start, &out, &most, &granted);
                scope.spawn(move || {
                    let by_key = number % 2 == 0;
                    let door =
                        if by_key { Door::by_key(breaker, "key") } else { Door::by_handle(breaker, "key") };
                    start.wait();
                    // Bounded, so that a circuit that gives no probes fails the test and does not hold it up.
                    for attempt in 0..2000 {
                        let Ok(probe) = door.admit() else {
                            thread::yield_now();
                            continue;
                        };
                        assert!(probe.is_probe());
                        most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        granted.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        out.fetch_sub(1, Ordering::SeqCst);
                        if attempt % 2 == 0 {
                            probe.settle(Verdict::Neutral);
                        } else {
                            drop(probe);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= bound, "{most:?} out at once");
        assert!(granted.load(Ordering::Relaxed) > 100, "slots came back, time and again: {granted:?}");
        assert_eq!((trip.status().state, trip.status().probes), (State::HalfOpen, 0));
    }
}

/// Whatever a failure and a success of two threads make of the count, both ways to the key see it, and one more
/// failure than it lacks opens the circuit.
#[test]
fn a_success_beside_a_failure_leaves_nothing_stale() {
    let breaker = Arc::new(InProcessBreaker::new(
        restless().failure_threshold(NonZeroU32::new(2).unwrap()).cooldown(Duration::from_secs(3600)),
    ));
    for round in 0..300 {
        let key = round.to_string();
        let doors = [Door::by_handle(&breaker, &key), Door::by_key(&breaker, &key)];
        let together = Barrier::new(2);
        thread::scope(|scope| {
            for (door, verdict) in doors.iter().zip([Verdict::Success, Verdict::Failure]) {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    door.call(1, verdict);
                });
            }
        });
        let failures = doors[0].status().failures;
        assert_eq!(failures, doors[1].status().failures);
        doors[0].call(2 - failures as usize, Verdict::Failure);
        assert!(doors.iter().all(|door| door.admit().is_err()), "{failures} and the rest");
    }
}

/// Windows, modes, handles that come and go, keys that are pushed out: nothing gets stuck, and epochs only grow.
#[test]
fn any_mix_of_ways_and_modes_ends_with_circuits_that_work() {
    let half = Percent::new(50).unwrap();
    let window = Window::Calls(NonZeroU32::new(8).unwrap());
    let rates = Rates::failures(half, window).minimum_calls(NonZeroU32::new(4).unwrap());
    for settings in [restless(), restless().trip(rates).probes(NonZeroU32::new(2))] {
        let breaker = Arc::new(InProcessBreaker::new(settings.max_keys(8).max_hold(Duration::ZERO)));
        let keys: Vec<_> = (0..12).map(|key| key.to_string()).collect();
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let (breaker, keys) = (&breaker, &keys);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let lasting = Door::by_handle(breaker, &keys[0]);
                    let mut epoch = 0;
                    for _ in 0..2000 {
                        let key = random.choice(keys).unwrap();
                        let door = match random.u8(..4) {
                            0 => &Door::by_handle(breaker, key),
                            1 => &Door::by_key(breaker, key),
                            _ => &lasting,
                        };
                        if let Ok(permit) = door.admit() {
                            match random.u8(..4) {
                                0 => permit.settle(Verdict::Failure),
                                1 => permit.settle(Verdict::Neutral),
                                2 => permit.settle(Verdict::Success),
                                _ => drop(permit),
                            }
                        }
                        if random.u8(..50) == 0 {
                            let modes =
                                [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed, Mode::Disabled];
                            _ = breaker.set_mode(key, *random.choice(modes.iter()).unwrap());
                        }
                        let now = lasting.snapshot().epoch;
                        assert!(now >= epoch, "an epoch went back");
                        epoch = now;
                        assert!(breaker.tracked_keys() <= 8);
                    }
                });
            }
        });
        for key in &keys {
            _ = breaker.set_mode(key, Mode::Automatic);
            let door = Door::by_key(&breaker, key);
            // As many as it takes where the first of them complete a window, or probes, that look bad.
            door.call(8, Verdict::Success);
            assert_eq!((door.status().state, door.status().probes), (State::Closed, 0), "{key}");
        }
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
