//! A resolved key, with everything behind it.
//!
//! Handles are made before the threads and dropped after them: the map that they are made in has a lock of its own,
//! which the checker does not know. One thread at most asks by key.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use parking_lot::Mutex;

use crate::breaker::Verdict;
use crate::circuit::Circuit;
use crate::in_process::{InProcessBreaker, LocalCircuit};
use crate::refusal::RejectReason;
use crate::settings::{Percent, Rates, Settings, Window};
use crate::status::{Mode, State};
use crate::transition::Transition;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn settings(failures: u32) -> Settings {
    Settings::default().failure_threshold(NonZeroU32::new(failures).unwrap()).cooldown(DAY)
}

fn circuit(settings: Settings) -> Arc<LocalCircuit> {
    Arc::new(Arc::new(InProcessBreaker::new(settings)).circuit("key"))
}

fn call(circuit: &LocalCircuit, verdict: Verdict) -> bool {
    circuit.admit().map(|permit| permit.settle(verdict)).is_ok()
}

fn spawn(circuit: &Arc<LocalCircuit>, run: impl FnOnce(&LocalCircuit) + 'static) -> thread::JoinHandle<()> {
    let circuit = Arc::clone(circuit);
    thread::spawn(move || run(&circuit))
}

/// Every interleaving with so many changes of thread where none had to be, which is where nearly all races show.
fn check(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

#[test]
fn nobody_passes_an_open_circuit_who_comes_after_it_opened() {
    check(|| {
        let circuit = circuit(settings(1));
        let opened = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&opened);
        let failing = spawn(&circuit, move |circuit| {
            call(circuit, Verdict::Failure);
            tell.store(true, Ordering::Release);
        });
        let healthy = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Success));
        if opened.load(Ordering::Acquire) {
            assert_eq!(circuit.admit().unwrap_err().reason, RejectReason::Open);
        }
        failing.join().unwrap();
        healthy.join().unwrap();
        assert_eq!(circuit.admit().unwrap_err().reason, RejectReason::Open);
    });
}

#[test]
fn a_success_beside_a_failure_leaves_no_stale_word() {
    check(|| {
        let circuit = circuit(settings(2));
        let failing = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Failure));
        let healthy = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Success));
        failing.join().unwrap();
        healthy.join().unwrap();
        let failures = circuit.status().failures;
        assert!(failures <= 1);
        // A success that came last reset the count; else one more failure opens.
        assert!(call(&circuit, Verdict::Failure));
        assert_eq!(circuit.status().failures, failures + 1);
        assert_eq!(circuit.admit().is_err(), failures == 1);
    });
}

#[test]
fn a_herd_at_the_end_of_a_cooldown_gets_one_probe() {
    check(|| {
        let circuit = circuit(settings(1).cooldown(Duration::ZERO));
        call(&circuit, Verdict::Failure);
        let probes = Arc::new(AtomicUsize::new(0));
        let ask = |circuit: &LocalCircuit, probes: &AtomicUsize| {
            if let Ok(probe) = circuit.admit() {
                assert!(probe.is_probe());
                probes.fetch_add(1, Ordering::Relaxed);
                std::mem::forget(probe);
            }
        };
        let herd = [0; 2].map(|_| {
            let probes = Arc::clone(&probes);
            spawn(&circuit, move |circuit| ask(circuit, &probes))
        });
        ask(&circuit, &probes);
        for asking in herd {
            asking.join().unwrap();
        }
        assert_eq!(probes.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_herd_by_key_and_by_handle_gets_two_probes_of_two() {
    check(|| {
        let rules = settings(1).cooldown(Duration::ZERO).probes(NonZeroU32::new(2));
        let breaker = Arc::new(InProcessBreaker::new(rules));
        let handle = Arc::new(breaker.circuit("key"));
        call(&handle, Verdict::Failure);
        let by_key = Circuit::new(breaker, "key");
        let out = Arc::new(AtomicUsize::new(0));
        let most = Arc::clone(&out);
        let one = thread::spawn(move || {
            let mut admission = std::pin::pin!(by_key.admit());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let std::task::Poll::Ready(answer) = admission.as_mut().poll(&mut context) else {
                panic!("waits")
            };
            if let Ok(probe) = answer {
                assert!(most.fetch_add(1, Ordering::SeqCst) < 2);
                most.fetch_sub(1, Ordering::SeqCst);
                drop(probe);
            }
        });
        let again = Arc::clone(&out);
        let two = spawn(&handle, move |handle| {
            for _ in 0..2 {
                if let Ok(probe) = handle.admit() {
                    assert!(again.fetch_add(1, Ordering::SeqCst) < 2);
                    again.fetch_sub(1, Ordering::SeqCst);
                    probe.settle(Verdict::Neutral);
                }
            }
        });
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!((handle.status().state, handle.status().probes), (State::HalfOpen, 0), "all came back");
    });
}

#[test]
fn of_two_probes_the_first_result_decides_and_the_other_changes_nothing() {
    check(|| {
        let circuit = circuit(settings(1).cooldown(Duration::ZERO).probes(NonZeroU32::new(2)));
        call(&circuit, Verdict::Failure);
        let works = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Success));
        let fails = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Failure));
        works.join().unwrap();
        fails.join().unwrap();
        let status = circuit.status();
        assert!(
            matches!((status.state, status.failures), (State::Open, 1 | 2) | (State::Closed, 0)),
            "{status:?}"
        );
        assert_eq!(
            circuit.admit().unwrap().is_probe(),
            status.state == State::Open,
            "the word says the same"
        );
    });
}

#[test]
fn who_comes_after_a_circuit_was_forced_open_is_kept_away() {
    check(|| {
        let circuit = circuit(settings(3));
        let forced = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&forced);
        let person = spawn(&circuit, move |circuit| {
            circuit.breaker().set_mode("key", Mode::ForcedOpen).unwrap();
            tell.store(true, Ordering::Release);
        });
        let calling = spawn(&circuit, |circuit| _ = call(circuit, Verdict::Failure));
        if forced.load(Ordering::Acquire) {
            assert_eq!(circuit.admit().unwrap_err().reason, RejectReason::ForcedOpen);
        }
        person.join().unwrap();
        calling.join().unwrap();
        assert_eq!(circuit.admit().unwrap_err().reason, RejectReason::ForcedOpen);
        assert_eq!(circuit.status().failures, 0, "what was out has no say any more");
    });
}

#[test]
fn a_window_misses_no_result() {
    check(|| {
        let half = Percent::new(50).unwrap();
        let window = Window::Calls(NonZeroU32::new(4).unwrap());
        let rates = Rates::failures(half, window).minimum_calls(NonZeroU32::new(4).unwrap());
        let circuit = circuit(settings(1).trip(rates));
        let threads = [Verdict::Success, Verdict::Failure]
            .map(|verdict| spawn(&circuit, move |circuit| _ = call(circuit, verdict)));
        call(&circuit, Verdict::Failure);
        for thread in threads {
            thread.join().unwrap();
        }
        let counts = circuit.snapshot().counts;
        assert_eq!((counts.calls, counts.failures), (3, 2));
        call(&circuit, Verdict::Success);
        assert!(circuit.admit().is_err(), "half of four");
    });
}

#[test]
fn transitions_are_told_once_and_follow_from_one_another() {
    check(|| {
        let told = Arc::<Mutex<Vec<Transition>>>::default();
        let heard = Arc::clone(&told);
        let breaker = InProcessBreaker::new(settings(1).cooldown(Duration::ZERO))
            .on_transition(move |transition| heard.lock().push(transition.clone()));
        let circuit = Arc::new(Arc::new(breaker).circuit("key"));
        let threads = [Verdict::Success, Verdict::Failure]
            .map(|verdict| spawn(&circuit, move |circuit| _ = call(circuit, verdict)));
        call(&circuit, Verdict::Failure);
        for thread in threads {
            thread.join().unwrap();
        }
        let mut told = told.lock();
        told.sort_by_key(|transition| transition.epoch);
        assert_eq!(told[0].from, State::Closed);
        for pair in told.windows(2) {
            assert!(pair[0].epoch < pair[1].epoch && pair[0].to == pair[1].from, "{pair:?}");
        }
        let last = told.last().unwrap();
        assert_eq!((last.to, last.epoch), (circuit.status().state, circuit.snapshot().epoch));
    });
}
