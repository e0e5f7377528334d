//! Half-open circuits through which more goes out than the bound on probes.
//!
//! resilience4j #1432, failsafe #391, tower-resilience #382 (mended in #407): the bound was checked apart from being
//! taken, or against the results that had come and not the calls that were out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use circuit_breaker::{InProcessBreaker, State, Verdict};

use super::common::{Door, Pass};
use super::{Duration, kinds};

const THREADS: usize = 6;
const ROUNDS: usize = 100;

/// A crowd at a circuit whose cooldown has just passed, every other one by handle: exactly as many go out as may. Their
/// failures open it again, and the crowd comes back.
#[test]
fn a_crowd_gets_exactly_as_many_probes_as_may_go_out() {
    for (kind, settings) in kinds() {
        let slots = settings.probes.unwrap().get() as usize;
        let breaker = Arc::new(InProcessBreaker::new(settings.cooldown(Duration::ZERO)));
        let trip = Door::by_handle(&breaker, "key");
        trip.call(2, Verdict::Failure);
        // Counted, not asserted: a thread that panics would leave the others waiting for it.
        let (granted, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let expect = |right: bool| _ = wrong.fetch_add(usize::from(!right), Ordering::Relaxed);
        let together = Barrier::new(THREADS);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (breaker, granted, together) = (&breaker, &granted, &together);
                let (trip, expect) = (&trip, &expect);
                scope.spawn(move || {
                    let by_key = number % 2 == 0;
                    let door =
                        if by_key { Door::by_key(breaker, "key") } else { Door::by_handle(breaker, "key") };
                    for _ in 0..ROUNDS {
                        together.wait();
                        let probe = door.admit().ok();
                        expect(probe.as_ref().is_none_or(Pass::is_probe));
                        granted.fetch_add(usize::from(probe.is_some()), Ordering::Relaxed);
                        together.wait();
                        expect(granted.load(Ordering::Relaxed) == slots);
                        // All of them ask for more, while those are out.
                        expect(door.admit().is_err());
                        together.wait();
                        if let Some(probe) = probe {
                            probe.settle(Verdict::Failure);
                        }
                        if together.wait().is_leader() {
                            expect(trip.status().state == State::Open);
                            granted.store(0, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(wrong.load(Ordering::Relaxed), 0, "{kind}: {slots} each time");
    }
}

/// With a share of N probes to decide by, N go out in all: those that are out and those that told, together.
#[test]
fn a_crowd_does_not_get_more_probes_as_results_come_in() {
    for (kind, settings) in kinds().into_iter().filter(|(kind, _)| kind.contains("last")) {
        let slots = settings.probes.unwrap().get() as usize;
        let breaker = Arc::new(InProcessBreaker::new(settings.cooldown(Duration::ZERO)));
        let doors = [Door::by_key(&breaker, "key"), Door::by_handle(&breaker, "key")];
        doors[0].call(2, Verdict::Failure);
        let mut out = Vec::new();
        for round in 0..slots {
            while let Ok(probe) = doors[round % 2].admit() {
                out.push(probe);
            }
            assert_eq!(out.len(), slots - round, "{kind}: as many as have not told");
            out.pop().unwrap().settle(Verdict::Success);
        }
        assert_eq!(doors[0].status().state, State::Closed, "{kind}");
    }
}
