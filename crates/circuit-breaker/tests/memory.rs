//! What the in-process breaker keeps, for how long, and what it does when there is no room.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, Settings, State, Untracked, Verdict};
use common::{admit, at_once, circuit, fail};
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
