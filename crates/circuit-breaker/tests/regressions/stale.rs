//! Results that come when their state is long over.
//!
//! Polly #216, #217, #218, #219 and keel: a call from before the circuit opened closed it, began its cooldown anew, or
//! decided over a half-open state that it was no probe of.

use circuit_breaker::{Preset, Settings, State, Verdict};
use tokio::time::advance;

use super::common::Door;
use super::{COOLDOWN, HOLD, kinds, n};

/// Two failures open every kind of circuit; so many results come late.
fn all() -> Vec<(&'static str, Settings)> {
    let mut all = kinds();
    all.push(("in a row, any probes", Settings::from(Preset::Keel).failure_threshold(n(2))));
    all
}

#[tokio::test(start_paused = true)]
async fn a_late_result_neither_closes_an_open_circuit_nor_begins_its_cooldown_anew() {
    for (kind, settings) in all() {
        for door in Door::each(&settings) {
            let late: Vec<_> = (0..6).map(|_| door.admit().unwrap()).collect();
            door.call(2, Verdict::Failure);
            let opened = door.snapshot();
            advance(COOLDOWN / 2).await;
            for (at, permit) in late.into_iter().enumerate() {
                permit.settle(if at % 2 == 0 { Verdict::Success } else { Verdict::Failure });
            }
            let name = format!("{kind}, {}", door.way());
            let status = door.status();
            assert_eq!((status.state, status.retry_after), (State::Open, Some(COOLDOWN / 2)), "{name}");
            assert_eq!((status.failures, door.snapshot().epoch), (2, opened.epoch), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_result_does_not_decide_a_half_open_circuit_nor_count_in_the_next_closed_one() {
    for (kind, settings) in all() {
        let slots = settings.probes.map_or(1, |probes| probes.get() as usize);
        for door in Door::each(&settings) {
            let name = format!("{kind}, {}", door.way());
            let mut late: Vec<_> = (0..8).map(|_| door.admit().unwrap()).collect();
            let mut come = |count: usize| {
                for permit in late.drain(..count) {
                    permit.settle(Verdict::Failure);
                }
            };
            door.call(2, Verdict::Failure);
            advance(COOLDOWN).await;
            let probes: Vec<_> = (0..slots).map(|_| door.probe()).collect();
            come(4);
            assert_eq!(door.status().state, State::HalfOpen, "{name}");
            assert_eq!(door.snapshot().counts.calls, 0, "{name}");
            for probe in probes {
                probe.settle(Verdict::Success);
            }
            assert_eq!(door.status().state, State::Closed, "{name}");
            come(4);
            assert_eq!((door.status().failures, door.snapshot().counts.calls), (0, 0), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_success_does_not_start_the_count_of_failures_again() {
    for door in Door::each(&Settings::default().failure_threshold(n(2))) {
        let late = [door.admit().unwrap(), door.admit().unwrap()];
        door.call(2, Verdict::Failure);
        advance(COOLDOWN).await;
        door.call(1, Verdict::Success);
        door.call(1, Verdict::Failure);
        for permit in late {
            permit.settle(Verdict::Success);
        }
        assert_eq!(door.status().failures, 1, "{}", door.way());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_one_half_open_state_does_not_decide_the_next() {
    for (kind, settings) in all() {
        let settings = settings.longest_half_open(HOLD / 10);
        let slots = settings.probes.map_or(1, |probes| probes.get() as usize);
        for verdict in [Verdict::Success, Verdict::Failure] {
            for door in Door::each(&settings) {
                let name = format!("{kind}, {}, {verdict:?}", door.way());
                door.call(2, Verdict::Failure);
                advance(COOLDOWN).await;
                let first: Vec<_> = (0..slots).map(|_| door.probe()).collect();
                advance(HOLD / 10).await;
                assert!(door.admit().is_err(), "{name}: half-open for too long");
                advance(COOLDOWN).await;
                let second: Vec<_> = (0..slots).map(|_| door.probe()).collect();
                for probe in first {
                    probe.settle(verdict);
                }
                let status = door.status();
                assert_eq!(status.state, State::HalfOpen, "{name}");
                assert_eq!(door.snapshot().counts.calls, 0, "{name}");
                if settings.probes.is_some() {
                    assert_eq!(status.probes as usize, slots, "{name}: it freed no slot of theirs");
                    assert!(door.admit().is_err(), "{name}");
                }
                for probe in second {
                    probe.settle(Verdict::Success);
                }
                assert_eq!(door.status().state, State::Closed, "{name}");
            }
        }
    }
}

/// A hold that has passed ends the say of a probe, though nobody has taken its slot.
#[tokio::test(start_paused = true)]
async fn a_probe_that_took_longer_than_its_hold_decides_nothing() {
    for (kind, settings) in kinds() {
        let slots = settings.probes.unwrap().get() as usize;
        for verdict in [Verdict::Success, Verdict::Failure] {
            for door in Door::each(&settings) {
                door.call(2, Verdict::Failure);
                advance(COOLDOWN).await;
                let probes: Vec<_> = (0..slots).map(|_| door.probe()).collect();
                advance(HOLD).await;
                for probe in probes {
                    probe.settle(verdict);
                }
                let name = format!("{kind}, {}, {verdict:?}", door.way());
                assert_eq!((door.status().state, door.status().probes), (State::HalfOpen, 0), "{name}");
                assert_eq!(door.snapshot().counts.calls, 0, "{name}");
            }
        }
    }
}
