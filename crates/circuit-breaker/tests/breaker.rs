//! The in-process breaker over paused time: states, events, late results, memory.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Admission, Breaker, Circuit, InProcessBreaker, Mode, Percent, Preset, Rates, RejectReason, Rejection,
    Settings, Settlement, State, Transition, Verdict, Window,
};
use common::{Door, admit, at_once, circuit, fail};
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

fn percent(share: u8) -> Percent {
    Percent::new(share).unwrap()
}

fn n(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_person_takes_over_and_lets_go() {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let breaker = InProcessBreaker::default().on_transition(move |event| heard.lock().push(event.clone()));
    let breaker = Arc::new(breaker);
    let door = Door::by_handle(&breaker, "key");
    door.call(3, Verdict::Failure);
    let modes = [Mode::ForcedClosed, Mode::ForcedOpen, Mode::ForcedOpen, Mode::Disabled, Mode::Automatic];
    for mode in modes {
        breaker.set_mode("key", mode).unwrap();
        let status = door.status();
        assert_eq!((status.mode, status.failures, status.retry_after), (mode, 0, None), "{mode}");
        match door.admit() {
            Ok(permit) => {
                assert!(mode != Mode::ForcedOpen && !permit.is_probe(), "{mode}");
                permit.settle(Verdict::Failure);
            }
            Err(rejection) => {
                assert_eq!(rejection, Rejection::new(RejectReason::ForcedOpen));
                assert_eq!((mode, status.state), (Mode::ForcedOpen, State::Open));
            }
        }
        let counted = u32::from(matches!(mode, Mode::ForcedClosed | Mode::Automatic));
        assert_eq!(door.status().failures, counted, "{mode}");
    }
    let events = events.lock();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.from, event.to, event.mode, event.failures, event.cooldown))
        .collect();
    assert_eq!(
        told,
        [
            (State::Closed, State::Open, Mode::Automatic, 3, Some(COOLDOWN)),
            (State::Open, State::Closed, Mode::ForcedClosed, 0, None),
            (State::Closed, State::Open, Mode::ForcedOpen, 0, None),
            (State::Open, State::Closed, Mode::Disabled, 0, None),
            (State::Closed, State::Closed, Mode::Automatic, 0, None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_all_and_changes_nothing() {
    let breaker = Arc::new(InProcessBreaker::default());
    assert_eq!(breaker.snapshot("unheard of"), circuit_breaker::Snapshot::default());
    let (a, b) = (Door::by_handle(&breaker, "a"), Door::by_key(&breaker, "b"));
    a.call(3, Verdict::Failure);
    b.call(2, Verdict::Failure);
    for _ in 0..5 {
        assert!(a.admit().is_err());
    }
    advance(COOLDOWN).await;
    a.probe().settle(Verdict::Failure);
    advance(COOLDOWN / 2).await;
    let mut all = breaker.snapshots();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(first, open), (second, closed)] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&**first, &**second), ("a", "b"));
    assert_eq!((open.rejected, open.openings, open.in_state), (5, 2, COOLDOWN / 2));
    assert_eq!((open.status.state, open.status.failures, open.epoch), (State::Open, 4, 3));
    assert_eq!((closed.status.failures, closed.counts.failures, closed.openings), (2, 2, 0));
    assert_eq!(closed.in_state, COOLDOWN + COOLDOWN / 2, "since it was first heard of");
    assert_eq!(all, {
        let mut again = breaker.snapshots();
        again.sort_by(|(one, _), (other, _)| one.cmp(other));
        again
    });
}

#[tokio::test(start_paused = true)]
async fn a_jitter_is_drawn_anew_for_every_opening() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).jitter(percent(20));
    for door in Door::each(&settings) {
        let mut drawn = HashSet::new();
        door.call(1, Verdict::Failure);
        for _ in 0..200 {
            let cooldown = door.status().retry_after.unwrap();
            assert!(cooldown > COOLDOWN * 8 / 10 && cooldown <= COOLDOWN, "{cooldown:?}");
            drawn.insert(cooldown);
            advance(cooldown).await;
            door.probe().settle(Verdict::Failure);
        }
        assert!(drawn.len() > 150, "{} of 200 differ", drawn.len());
        assert!(drawn.iter().any(|cooldown| *cooldown < COOLDOWN * 85 / 100), "over all of the range");
        assert!(drawn.iter().any(|cooldown| *cooldown > COOLDOWN * 95 / 100), "over all of the range");
    }
}

#[tokio::test(start_paused = true)]
async fn how_long_a_call_takes_is_measured_where_nobody_says_it() {
    let second = Duration::from_secs(1);
    let rates = Rates::slow(second, percent(100), Window::Calls(n(100))).minimum_calls(n(100));
    for door in Door::each(&Settings::default().trip(rates)) {
        for (passes, said, slow) in [
            (second, None, true),
            (second * 9 / 10, None, false),
            (Duration::ZERO, Some(second), true),
            (10 * second, Some(Duration::ZERO), false),
        ] {
            let before = door.snapshot().counts.slow;
            let permit = door.admit().unwrap();
            advance(passes).await;
            let told = Settlement::new(Verdict::Success);
            permit.settle(said.map_or(told, |said| told.with_latency(said)));
            assert_eq!(door.snapshot().counts.slow - before, u64::from(slow), "{passes:?}, {said:?}");
        }
        assert_eq!(door.snapshot().counts.calls, 4, "{}", door.way());
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_has_read_the_clock_is_believed() {
    let second = Duration::from_secs(1);
    let rates = Rates::slow(second, percent(100), Window::Calls(n(100))).minimum_calls(n(100));
    let breaker = Arc::new(InProcessBreaker::new(Settings::default().trip(rates)));
    let circuit = breaker.circuit("key");
    let start = tokio::time::Instant::now().into_std();
    for (after, slow) in [(second, 1), (second / 2, 1), (2 * second, 2)] {
        circuit.admit_at(start).unwrap().settle_at(Verdict::Success, start + after);
        assert_eq!(circuit.snapshot().counts.slow, slow);
    }
    let open = Arc::new(InProcessBreaker::default()).circuit("key");
    for _ in 0..3 {
        open.admit_at(start).unwrap().settle_at(Verdict::Failure, start);
    }
    assert_eq!(open.admit_at(start + COOLDOWN / 4).unwrap_err().retry_after, Some(COOLDOWN * 3 / 4));
    assert!(open.admit_at(start + COOLDOWN).unwrap().is_probe());
}

#[tokio::test(start_paused = true)]
async fn what_is_known_without_a_lease_is_answered_at_once() {
    let breaker = Arc::new(InProcessBreaker::default());
    let door = Door::by_key(&breaker, "key");
    let admitted = |epoch| Some(Ok(Admission::closed(epoch)));
    assert_eq!(breaker.try_acquire("key"), admitted(0));
    door.call(3, Verdict::Failure);
    let open = Rejection::new(RejectReason::Open).with_retry_after(COOLDOWN);
    assert_eq!(breaker.try_acquire("key"), Some(Err(open)));
    assert_eq!(breaker.try_acquire("other"), admitted(1));
    advance(COOLDOWN).await;
    assert_eq!(breaker.try_acquire("key"), None, "a probe needs a lease");
    assert_eq!(door.status().state, State::Open, "and asking in vain changes nothing");
    let probe = door.probe();
    assert_eq!(breaker.try_acquire("key"), None);
    probe.settle(Verdict::Success);
    assert_eq!(breaker.try_acquire("key"), admitted(3));
}

#[tokio::test(start_paused = true)]
async fn a_reset_starts_a_key_anew() {
    let events = Events::default();
    let heard = Arc::clone(&events);
    let breaker = InProcessBreaker::default().on_transition(move |event| heard.lock().push(event.clone()));
    let breaker = Arc::new(breaker);
    let circuit = Circuit::new(breaker.clone(), "key");
    let late = admit(&circuit);
    fail(&circuit, 3);
    breaker.reset("key").unwrap();
    assert_eq!(circuit.status().await, circuit_breaker::Status::default());
    late.settle(Verdict::Failure);
    fail(&circuit, 2);
    assert_eq!(
        (circuit.status().await.state, circuit.status().await.failures),
        (State::Closed, 2),
        "none from before"
    );

    breaker.set_mode("key", Mode::ForcedOpen).unwrap();
    breaker.reset("key").unwrap();
    assert!(circuit.admit().await.is_err(), "it stays in its mode");
    let other = Circuit::new(breaker.clone(), "clean");
    let late: Vec<_> = (0..3).map(|_| admit(&other)).collect();
    breaker.reset("clean").unwrap();
    for permit in late {
        permit.settle(Verdict::Failure);
    }
    assert_eq!(other.status().await.state, State::Closed, "also of a key that was not in trouble");
    let told: Vec<_> = events.lock().iter().map(|event| (event.from, event.to)).collect();
    let (closed, open) = (State::Closed, State::Open);
    assert_eq!(told, [(closed, open), (open, closed), (closed, open), (open, open), (closed, closed)]);
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_wait_is_told_at_once_and_a_probe_is_asked_for() {
    let (circuit, _) = recorded(Settings::default());
    let permit = circuit.try_admit().unwrap().unwrap();
    assert_eq!((permit.lease(), permit.is_probe()), (None, false));
    permit.settle(Verdict::Success);
    fail(&circuit, 3);
    let rejection = circuit.try_admit().unwrap().unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after), (RejectReason::Open, Some(COOLDOWN)));
    advance(COOLDOWN).await;
    assert!(circuit.try_admit().is_none(), "a probe holds its slot under a lease");
    assert!(admit(&circuit).is_probe());
}
