//! A circuit that stays half-open because the slot of a probe never came back.
//!
//! resilience4j #544, #903, #935, #2289, Hystrix #1621 and Polly #1979: some ways out of a call gave no permit back.
//! `OmniRoute` #13836: a probe that never ended, six days and 49,607 rejections. resilience4j #681, #1633 and
//! concurrency-limits #139, #146: cancelled calls kept their permits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use circuit_breaker::{RejectReason, State, Verdict};
use tokio::time::advance;

use super::common::Door;
use super::{COOLDOWN, Duration, HOLD, kinds};

/// Runs with a circuit of each kind, by each way, whose cooldown has just passed.
async fn half_open(test: impl AsyncFn(&Door, usize, &str)) {
    for (kind, settings) in kinds() {
        let slots = settings.probes.unwrap().get() as usize;
        for door in Door::each(&settings) {
            door.call(2, Verdict::Failure);
            advance(COOLDOWN).await;
            test(&door, slots, &format!("{kind}, {}", door.way())).await;
        }
    }
}

/// Exactly so many slots are free. They are not any more.
fn take_all(door: &Door, slots: usize, name: &str) {
    for _ in 0..slots {
        std::mem::forget(door.probe());
    }
    assert_eq!(door.admit().unwrap_err().reason, RejectReason::ProbesTaken, "{name}: {slots} and no more");
}

/// resilience4j #544, #903, Polly #1979: every way out of a call gives the slot back.
#[tokio::test(start_paused = true)]
async fn every_way_out_of_a_probe_frees_its_slot() {
    half_open(async |door, slots, name| {
        for _ in 0..3 * slots {
            drop(door.probe());
            door.probe().settle(Verdict::Neutral);
            let panics = catch_unwind(AssertUnwindSafe(|| {
                let _probe = door.probe();
                std::panic::resume_unwind(Box::new("in the middle of the call"));
            }));
            assert!(panics.is_err());
        }
        assert_eq!((door.status().state, door.status().probes), (State::HalfOpen, 0), "{name}");
        take_all(door, slots, name);
    })
    .await;
}

/// resilience4j #681, #1633; concurrency-limits #139, #146: a task that is aborted in the middle of its call.
#[tokio::test(start_paused = true)]
async fn an_aborted_task_frees_its_slot() {
    half_open(async |door, slots, name| {
        for _ in 0..2 * slots {
            let Door::Key(circuit, _) = door else { return };
            let circuit = circuit.clone();
            let task = tokio::spawn(async move {
                circuit.call(std::future::pending::<Result<(), ()>>(), Verdict::of).await
            });
            tokio::task::yield_now().await;
            assert_eq!(door.status().probes, 1, "{name}: it is out");
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(door.status().probes, 0, "{name}: it came back");
        }
        take_all(door, slots, name);
    })
    .await;
}

/// `OmniRoute` #13836, resilience4j #935, #2289: a probe that nobody ever ends. Its slot comes back when its hold has
/// passed, however many were turned away meanwhile.
#[tokio::test(start_paused = true)]
async fn a_leaked_probe_is_replaced_when_its_hold_has_passed() {
    half_open(async |door, slots, name| {
        for _ in 0..3 {
            take_all(door, slots, name);
            for _ in 0..1000 {
                assert!(door.admit().is_err());
            }
            advance(HOLD * 9 / 10).await;
            for _ in 0..1000 {
                assert!(door.admit().is_err(), "{name}: not before");
            }
            advance(HOLD / 10).await;
            assert_eq!(door.status().probes, 0, "{name}");
        }
        door.call(slots, Verdict::Success);
        assert_eq!(door.status().state, State::Closed, "{name}: and the circuit recovers");
    })
    .await;
}

/// The same where a caller says for how long.
#[tokio::test(start_paused = true)]
async fn a_leaked_probe_is_replaced_when_the_time_it_asked_for_has_passed() {
    let asked = Duration::from_secs(7);
    half_open(async |door, slots, name| {
        for _ in 0..slots {
            std::mem::forget(door.admit_for(asked).unwrap());
        }
        advance(asked * 9 / 10).await;
        assert!(door.admit().is_err(), "{name}");
        advance(asked / 10).await;
        take_all(door, slots, name);
    })
    .await;
}

/// resilience4j #544: results that do not count must not use up the probes that decide.
#[tokio::test(start_paused = true)]
async fn verdicts_that_say_nothing_use_up_no_probe() {
    half_open(async |door, slots, name| {
        for _ in 0..100 {
            let out: Vec<_> = (0..slots).map(|_| door.probe()).collect();
            for probe in out {
                probe.settle(Verdict::Neutral);
            }
        }
        door.call(slots, Verdict::Success);
        assert_eq!(door.status().state, State::Closed, "{name}");
    })
    .await;
}

/// Where a hold is long, a bound on the half-open state itself ends it too: what was lost does not matter then.
#[tokio::test(start_paused = true)]
async fn a_half_open_state_with_an_end_does_not_wait_for_lost_probes() {
    let most = Duration::from_secs(30);
    for (kind, settings) in kinds() {
        let slots = settings.probes.unwrap().get() as usize;
        for door in Door::each(&settings.longest_half_open(most)) {
            let name = format!("{kind}, {}", door.way());
            door.call(2, Verdict::Failure);
            advance(COOLDOWN).await;
            take_all(&door, slots, &name);
            advance(most).await;
            let rejection = door.admit().unwrap_err();
            assert_eq!(
                (rejection.reason, rejection.retry_after),
                (RejectReason::Open, Some(COOLDOWN)),
                "{name}"
            );
            advance(COOLDOWN).await;
            door.call(slots, Verdict::Success);
            assert_eq!(door.status().state, State::Closed, "{name}");
        }
    }
}
