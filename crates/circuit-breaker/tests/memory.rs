//! What the in-process breaker keeps, for how long, and what it does when there is no room.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Circuit, InProcessBreaker, Mode, NoRoom, Percent, Rates, RejectReason, Settings, State, Untracked,
    Verdict, Window,
};
use common::{Door, admit, at_once, circuit, fail};
use parking_lot::Mutex;
use tokio::time::advance;

const COOLDOWN: Duration = Duration::from_secs(120);
const HOLD: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);
/// How long a key is silent before it may make room: the cooldown and the hold.
const SILENCE: Duration = Duration::from_secs(720);
const NEARLY: Duration = Duration::from_secs(719);

fn circuits(breaker: &Arc<InProcessBreaker>, name: &str, count: usize) -> Vec<Circuit> {
    (0..count).map(|key| Circuit::new(breaker.clone(), format!("{name} {key}"))).collect()
}

fn opens(circuit: &Circuit) -> bool {
    fail(circuit, 3);
    at_once(circuit.status()).state == State::Open
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_with_one_failure_each_passes() {
    let breaker = Arc::new(InProcessBreaker::new(Settings::default().max_keys(256)));
    for circuit in circuits(&breaker, "flood", 2000) {
        fail(&circuit, 1);
    }
    let full = breaker.tracked_keys();
    assert!((200..=256).contains(&full), "{full}");
    let new = Circuit::new(breaker.clone(), "new");
    assert!(!opens(&new), "no room");
    advance(NEARLY).await;
    assert!(!opens(&new), "none of them is silent for long enough");
    advance(SECOND).await;
    assert!(opens(&new), "they made room");
    assert!(circuits(&breaker, "other", 100).iter().all(opens));
}

#[tokio::test(start_paused = true)]
async fn who_is_still_heard_of_keeps_its_place() {
    let old = circuit(InProcessBreaker::new(Settings::default().max_keys(1)));
    let new = Circuit::new(Arc::clone(old.breaker()), "new");
    fail(&old, 1);
    advance(NEARLY).await;
    fail(&old, 1);
    advance(SECOND).await;
    assert!(!opens(&new));
    fail(&old, 1);
    assert_eq!(old.status().await.state, State::Open, "the third in a row, however slowly they came");
}

#[tokio::test(start_paused = true)]
async fn open_keys_make_room_long_after_their_cooldown_and_probes_that_are_out_keep_theirs() {
    let breaker = Arc::new(InProcessBreaker::new(Settings::default().max_keys(1)));
    let old = Circuit::new(breaker.clone(), "old");
    let new = Circuit::new(breaker.clone(), "new");
    let late = admit(&old);
    assert!(opens(&old));
    advance(COOLDOWN + NEARLY).await;
    assert!(!opens(&new));
    advance(SECOND).await;
    assert!(opens(&new));
    assert!(!old.admit().await.unwrap().is_probe(), "forgotten");
    late.settle(Verdict::Failure);
    assert_eq!(old.status().await.failures, 0, "what was admitted before counts as little as ever");

    advance(COOLDOWN).await;
    let probe = new.admit_for(10 * SILENCE).await.unwrap();
    advance(9 * SILENCE).await;
    assert!(!opens(&old), "a probe is out");
    drop(probe);
    advance(SECOND).await; // a full registry is not searched for every call
    assert!(opens(&old), "half-open, and nobody comes");
}

#[tokio::test(start_paused = true)]
async fn it_tells_when_keys_go_untracked_and_not_too_often() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let breaker =
        InProcessBreaker::new(Settings::default().max_keys(0)).on_untracked(move |event: &Untracked| {
            heard.lock().push((event.key.to_string(), event.times));
            panic!("a listener's own bug");
        });
    let breaker = Arc::new(breaker);
    for circuit in circuits(&breaker, "key", 50) {
        admit(&circuit).settle(Verdict::Success);
        fail(&circuit, 1);
    }
    assert_eq!(*told.lock(), [("key 0".to_owned(), 1)], "at once");
    advance(Duration::from_secs(60)).await;
    fail(&Circuit::new(breaker.clone(), "last"), 1);
    assert_eq!(told.lock()[1..], [("last".to_owned(), 50)], "the others, counted");
    assert_eq!(breaker.tracked_keys(), 0);
}

/// Calls under one key alone bring a breaker back to where a call costs no lock: whatever shards the others are in,
/// and whichever way the calls end.
#[tokio::test(start_paused = true)]
async fn after_an_incident_nothing_stays_behind() {
    type End = fn(circuit_breaker::Permit);
    let ends: [End; 3] =
        [|permit| permit.settle(Verdict::Success), drop, |permit| permit.settle(Verdict::Neutral)];
    for end in ends {
        let breaker = Arc::new(InProcessBreaker::default());
        let visited = Circuit::new(breaker.clone(), "visited");
        for (at, circuit) in circuits(&breaker, "key", 300).iter().enumerate() {
            fail(circuit, 3);
            if at % 2 == 0 {
                advance(COOLDOWN).await;
                admit(circuit).settle(Verdict::Success);
            }
        }
        let calls = async |count: usize| {
            for _ in 0..count {
                end(admit(&visited));
            }
        };
        advance(HOLD).await;
        calls(20_000).await;
        assert_eq!(breaker.tracked_keys(), 150, "those that recovered are forgotten");
        advance(Duration::from_secs(25 * 3600)).await;
        calls(20_000).await;
        assert_eq!(breaker.tracked_keys(), 0, "and those of which nothing is heard");
    }
}

fn half_of(window: Window) -> Settings {
    let rates = Rates::failures(Percent::new(50).unwrap(), window).minimum_calls(NonZeroU32::new(3).unwrap());
    Settings::default().trip(rates)
}

fn of_room_for(keys: usize, settings: Settings) -> Arc<InProcessBreaker> {
    Arc::new(InProcessBreaker::new(settings.max_keys(keys)))
}

/// governor #171 and resilience4j #273: what is kept per key grew with every key that was ever heard of.
#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_with_windows_stays_within_the_bound() {
    for window in [Window::Calls(NonZeroU32::new(100).unwrap()), Window::Time(10 * SECOND)] {
        let breaker = of_room_for(256, half_of(window));
        for key in circuits(&breaker, "flood", 5000) {
            drop(admit(&key));
            assert!(breaker.tracked_keys() <= 256);
            admit(&key).settle(Verdict::Success);
        }
        assert!((200..=256).contains(&breaker.tracked_keys()), "a key with results is kept track of");
        advance(HOLD).await;
        let failing = circuits(&breaker, "failing", 120);
        assert!(failing.iter().all(opens), "those that are closed and clean make room");
        assert!(breaker.tracked_keys() <= 256);
        let more = circuits(&breaker, "more", 2000);
        assert!(!more.iter().all(opens), "and those that are not do not");
        assert!(failing.iter().all(|key| at_once(key.status()).state == State::Open));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_window_makes_room_when_nothing_came_for_a_cooldown() {
    let breaker = of_room_for(1, half_of(Window::Calls(NonZeroU32::new(100).unwrap())));
    let (old, new) = (Circuit::new(breaker.clone(), "old"), Circuit::new(breaker.clone(), "new"));
    for calls in 1..=5 {
        admit(&old).settle(Verdict::Success);
        advance(COOLDOWN * 9 / 10).await;
        admit(&new).settle(Verdict::Success);
        assert_eq!(breaker.snapshot("old").counts.calls, calls);
        assert_eq!(breaker.snapshot("new").counts.calls, 0, "no room");
    }
    advance(COOLDOWN / 10).await;
    admit(&new).settle(Verdict::Success);
    assert_eq!((breaker.snapshot("old").counts.calls, breaker.snapshot("new").counts.calls), (0, 1));
}

/// Where there is room, the last hundred calls are the last hundred, however long ago they were.
#[tokio::test(start_paused = true)]
async fn a_window_of_calls_is_kept_for_a_day() {
    let breaker = of_room_for(10, half_of(Window::Calls(NonZeroU32::new(100).unwrap())));
    let (quiet, busy) = (Circuit::new(breaker.clone(), "quiet"), Circuit::new(breaker.clone(), "busy"));
    (0..95).for_each(|_| admit(&quiet).settle(Verdict::Success));
    let busily = || (0..1000).for_each(|_| admit(&busy).settle(Verdict::Success));
    advance(2 * HOLD).await;
    busily();
    fail(&quiet, 5);
    assert_eq!(quiet.status().await.state, State::Closed, "five of a hundred");
    advance(Duration::from_secs(24 * 3600)).await;
    busily();
    fail(&quiet, 3);
    assert_eq!(quiet.status().await.state, State::Open, "three of three");
}

/// What one sees of shards from outside: nothing. Each key up to the bound has its place.
#[tokio::test(start_paused = true)]
async fn the_bound_is_the_bound() {
    let breaker = of_room_for(4096, Settings::default());
    assert!(circuits(&breaker, "key", 4096).iter().all(opens));
    assert_eq!(breaker.tracked_keys(), 4096);
    assert_eq!(breaker.set_mode("one more", Mode::ForcedOpen), Err(NoRoom::default()));
}

/// A window of four thousand million calls for each of sixty thousand keys: five hundred terabytes, were it not that
/// a call takes its room when it comes.
#[test]
fn a_window_takes_the_room_of_the_calls_that_came() {
    let breaker = Arc::new(InProcessBreaker::new(half_of(Window::Calls(NonZeroU32::MAX))));
    for key in circuits(&breaker, "key", 60_000) {
        admit(&key).settle(Verdict::Success);
    }
    assert!(breaker.tracked_keys() > 50_000);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_held_on_to_never_makes_room() {
    for settings in [Settings::default(), half_of(Window::Time(SECOND))] {
        let breaker = of_room_for(1, settings);
        let held = breaker.circuit("held");
        let other = Circuit::new(breaker.clone(), "other");
        for _ in 0..3 {
            advance(Duration::from_secs(30 * 24 * 3600)).await;
            assert!(!opens(&other), "no room");
            held.admit().unwrap().settle(Verdict::Success);
        }
        let copy = held.clone();
        drop(held);
        assert!(!opens(&other), "a copy holds on to it as well");
        drop(copy);
        advance(HOLD).await;
        assert!(opens(&other), "nobody does");
        assert_eq!(breaker.tracked_keys(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_of_a_key_of_which_nothing_is_known_takes_it_along() {
    let breaker = of_room_for(10, Settings::default());
    let (one, two) = (breaker.circuit("key"), breaker.circuit("key"));
    let three = two.clone();
    one.admit().unwrap().settle(Verdict::Failure);
    one.admit().unwrap().settle(Verdict::Success);
    for handle in [one, two] {
        drop(handle);
        assert_eq!(breaker.tracked_keys(), 1);
    }
    drop(three);
    assert_eq!(breaker.tracked_keys(), 0);

    let failed = breaker.circuit("key");
    failed.admit().unwrap().settle(Verdict::Failure);
    drop(failed);
    assert_eq!(
        (breaker.tracked_keys(), breaker.snapshot("key").status.failures),
        (1, 1),
        "its failure counts"
    );
    assert_eq!(breaker.circuit("key").status().failures, 1, "for the next handle too");
}

/// After an incident too: what a handle held on to is not left behind by a breaker that has become calm.
#[tokio::test(start_paused = true)]
async fn a_key_that_recovered_under_a_handle_is_forgotten_after_it() {
    let breaker = of_room_for(10, Settings::default());
    let handle = breaker.circuit("key");
    for _ in 0..3 {
        handle.admit().unwrap().settle(Verdict::Failure);
    }
    advance(COOLDOWN).await;
    handle.admit().unwrap().settle(Verdict::Success);
    let visited = Circuit::new(breaker.clone(), "visited");
    let calls = |count| (0..count).for_each(|_| admit(&visited).settle(Verdict::Success));
    advance(HOLD).await;
    calls(1000);
    assert_eq!(breaker.tracked_keys(), 1, "held on to");
    drop(handle);
    advance(HOLD).await;
    calls(1000);
    assert_eq!(breaker.tracked_keys(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_without_room_is_like_any_other_caller_and_tells_of_it() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let breaker = InProcessBreaker::new(Settings::default().max_keys(1))
        .on_untracked(move |event: &Untracked| heard.lock().push((event.key.to_string(), event.times)));
    let breaker = Arc::new(breaker);
    let full = Circuit::new(breaker.clone(), "full");
    fail(&full, 1);
    let handle = Door::by_handle(&breaker, "key");
    assert_eq!(*told.lock(), [("key".to_owned(), 1)]);
    handle.call(10, Verdict::Failure);
    assert_eq!((handle.status().state, handle.snapshot().counts.calls), (State::Closed, 0), "let through");
    admit(&full).settle(Verdict::Success);

    handle.call(3, Verdict::Failure);
    assert_eq!(handle.admit().unwrap_err().reason, RejectReason::Open, "there is room now");
    assert_eq!(breaker.snapshot("key"), handle.snapshot());
    advance(COOLDOWN).await;
    let probe = handle.probe();
    assert_eq!(handle.admit().unwrap_err().reason, RejectReason::ProbesTaken);
    drop(probe);
    handle.call(1, Verdict::Success);
    assert_eq!(handle.status().state, State::Closed);
    advance(HOLD).await;
    assert!(opens(&full), "and it held on to nothing");
}

#[tokio::test(start_paused = true)]
async fn a_key_in_a_mode_never_makes_room() {
    for mode in [Mode::ForcedOpen, Mode::ForcedClosed, Mode::Disabled] {
        let breaker = of_room_for(1, Settings::default());
        breaker.set_mode("set", mode).unwrap();
        let other = Circuit::new(breaker.clone(), "other");
        advance(Duration::from_secs(30 * 24 * 3600)).await;
        assert!(!opens(&other), "{mode}");
        let no_room: NoRoom = breaker.set_mode("other", Mode::ForcedOpen).unwrap_err();
        assert_eq!(no_room.to_string(), "as many keys are kept track of as there may be");
        assert_eq!(breaker.set_mode("other", Mode::Automatic), Ok(()), "it is in that mode");
        assert_eq!(breaker.snapshot("set").status.mode, mode);
        breaker.set_mode("set", Mode::Automatic).unwrap();
        assert!(!opens(&other), "{mode}: what it admitted until now is told apart");
        advance(HOLD).await;
        assert!(opens(&other), "{mode}");
    }
}

/// What is forgotten of one key must not silence results of another that are younger than a hold.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_let_go_of_takes_no_young_result_of_another_along() {
    let breaker = of_room_for(10, Settings::default());
    breaker.set_mode("set", Mode::ForcedOpen).unwrap();
    advance(100 * HOLD).await;
    let other = Circuit::new(breaker.clone(), "other");
    let young: Vec<_> = (0..3).map(|_| admit(&other)).collect();
    breaker.set_mode("set", Mode::Automatic).unwrap();
    for _ in 0..1000 {
        drop(admit(&other));
    }
    for permit in young {
        permit.settle(Verdict::Failure);
    }
    assert_eq!(other.status().await.state, State::Open);
}
