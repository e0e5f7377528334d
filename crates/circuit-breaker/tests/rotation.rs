//! Turns: each number once and in order, whoever shares a key, and for more keys than there is room for.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Barrier};
use std::thread;

use circuit_breaker::{InProcessRotation, Rotation, RotationError, rotation_key};
use common::at_once;

fn turns(rotation: &InProcessRotation, key: &str, count: usize) -> Vec<u64> {
    (0..count).map(|_| rotation.take(key)).collect()
}

#[test]
fn it_counts_from_zero_under_each_key_and_starts_again_when_told() {
    let rotation: Arc<dyn Rotation> = Arc::new(InProcessRotation::default());
    let next = |key| at_once(rotation.next(key)).unwrap();
    assert_eq!([next("a"), next("a"), next("b"), next("a"), next("b")], [0, 1, 0, 2, 1]);
    assert_eq!(at_once(rotation.reset("a")), Ok(()));
    assert_eq!([next("a"), next("b"), next("a")], [0, 2, 1]);
    assert_eq!(at_once(rotation.reset("never heard of")), Ok(()));
    at_once(rotation.close());
    assert_eq!(next("a"), 2, "there is nothing to close");
}

#[test]
fn both_ways_to_ask_share_their_turns() {
    let rotation = InProcessRotation::default();
    assert_eq!((rotation.take("key"), at_once(rotation.next("key"))), (0, Ok(1)));
    rotation.restart("key");
    assert_eq!(rotation.tracked_keys(), 0);
    assert_eq!((at_once(rotation.next("key")), rotation.take("key"), rotation.tracked_keys()), (Ok(0), 1, 1));
    assert_eq!(format!("{rotation:?}"), "InProcessRotation { tracked_keys: 1, .. }");
}

#[test]
fn threads_share_turns_without_gaps_and_without_repeats() {
    const THREADS: u64 = 8;
    const EACH: u64 = 5000;
    let rotation = InProcessRotation::default();
    let start = Barrier::new(usize::try_from(THREADS).unwrap());
    let keys = ["a", "b", "c"];
    let taken: Vec<Vec<[u64; 3]>> = thread::scope(|scope| {
        let work = || {
            start.wait();
            (0..EACH).map(|_| keys.map(|key| rotation.take(key))).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for at in 0..keys.len() {
        assert!(
            taken.iter().all(|turns| turns.is_sorted_by(|one, next| one[at] < next[at])),
            "each in order"
        );
        let mut all: Vec<_> = taken.iter().flatten().map(|turns| turns[at]).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..THREADS * EACH), "and together without gaps");
    }
}

#[test]
fn further_keys_begin_anywhere_and_the_others_go_on() {
    let rotation = InProcessRotation::default().max_keys(2);
    assert_eq!((turns(&rotation, "a", 2), turns(&rotation, "b", 1)), (vec![0, 1], vec![0]));
    let further: Vec<_> = (0..64).map(|key| rotation.take(&key.to_string())).collect();
    assert_eq!(further.iter().collect::<HashSet<_>>().len(), 64, "no two begin alike: {further:?}");
    let parities = further.iter().filter(|turn| *turn % 2 == 0).count();
    assert!((1..64).contains(&parities), "on average, all candidates have their turn");
    assert_eq!((turns(&rotation, "a", 1), turns(&rotation, "b", 2)), (vec![2], vec![1, 2]));
    assert_eq!(rotation.tracked_keys(), 2);
    rotation.restart("a");
    assert_eq!(turns(&rotation, "new", 3), [0, 1, 2], "there is room again");
}

/// Those keys are in stores that other versions use: they never change.
#[test]
fn the_key_of_a_set_of_candidates_is_the_same_for_ever() {
    let none: [&str; 0] = [];
    assert_eq!(rotation_key("p", none), "p:6c62272e07bb014262b821756295c58d");
    for (prefix, ids, expected) in [
        ("llm", &["openai/gpt-5"][..], "llm:4bad7ca048ae6da2843316fa6a4575bb"),
        ("llm", &["openai/gpt-5", "anthropic/claude"], "llm:e4f3e3b65bc47e0ca31e687d6ef5e50c"),
        ("llm", &["anthropic/claude", "openai/gpt-5"], "llm:f363841e761ef131cebd18e98c750648"),
        ("", &[""], ":9d30c1f78465995be47dda5e4e4e77ed"),
        ("a:b", &["ü", "日本"], "a:b:80ec5065bdfee832d563d17f3b09743e"),
    ] {
        assert_eq!(rotation_key(prefix, ids), expected, "{prefix} {ids:?}");
    }
    assert_eq!(rotation_key("llm", [vec![0xff_u8, 0]]), "llm:00a60827f8b7c10e6de2efad9ca5d86c");
}

#[test]
fn a_store_that_does_not_answer_has_its_own_error() {
    assert_eq!(RotationError::StoreUnavailable.to_string(), "rotation store unavailable");
}
