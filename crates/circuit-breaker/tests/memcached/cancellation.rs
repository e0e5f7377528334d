//! Callers who are dropped, wherever they are: whoever comes after them gets a turn of their own.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use circuit_breaker::{MemcachedRotation, Rotation};
use futures::future::join_all;
use test_servers::MemcachedServer;
use tokio::task::yield_now;

use crate::real::{patient, recovered};

/// Polls it so many times, each time that it is woken, and drops it when others had so many turns after that. Says
/// whether it came to its end.
async fn dropped_after<F: Future>(future: F, polls: usize, others: usize) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    let ended = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            // The last poll is not waited for.
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if !ended {
        for _ in 0..others {
            yield_now().await;
        }
    }
    ended
}

/// The keys' turns are far from each other's, so that no answer can be mistaken for the right one.
const KEYS: [&str; 2] = ["key", "far"];

async fn takes_its_own(rotation: &MemcachedRotation, last: &mut [u64; 2]) {
    for (last, key) in last.iter_mut().zip(KEYS) {
        let turn = rotation.next(key).await.unwrap();
        // A turn that was dropped was taken, or was not.
        assert!((*last + 1..=*last + 2).contains(&turn), "{key}: {turn} after {last}");
        *last = turn;
    }
}

#[tokio::test]
async fn wherever_a_caller_is_dropped_the_next_gets_a_turn_of_its_own() {
    let server = MemcachedServer::start().await.unwrap();
    let seed = patient(&server).build().unwrap();
    let mut last = [seed.next("key").await.unwrap(), 0];
    for _ in 0..1000 {
        last[1] = seed.next("far").await.unwrap();
    }
    let (mut waiting, mut ended) = (0, 0);
    for connected in [true, false] {
        for (polls, others) in (0..5).flat_map(|polls| (0..8).map(move |others| (polls, others))) {
            let rotation = patient(&server).build().unwrap();
            if connected {
                recovered(&rotation).await;
            }
            let done = dropped_after(rotation.next(KEYS[others % 2]), polls, others).await;
            takes_its_own(&rotation, &mut last).await;
            let _ = dropped_after(rotation.reset("nothing"), polls, others).await;
            takes_its_own(&rotation, &mut last).await;
            ended += usize::from(done);
            waiting += usize::from(!done && polls > 0);
        }
    }
    assert!(waiting >= 16 && ended > 0, "{waiting} were dropped while they waited, {ended} were served");
}

/// The answers come when those who asked are gone.
#[tokio::test]
async fn an_answer_to_somebody_who_is_gone_is_nobody_elses() {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = patient(&server).build().unwrap();
    for turn in 0..50 {
        assert_eq!(rotation.next("gone").await, Ok(turn));
    }
    assert_eq!(rotation.next("key").await, Ok(0));
    server.freeze().unwrap();
    for _ in 0..10 {
        assert!(!dropped_after(rotation.next("gone"), 1, 10).await);
    }
    let waiting = rotation.next("key");
    let (turn, ()) = tokio::join!(waiting, async { server.thaw().unwrap() });
    assert_eq!(turn, Ok(1));
    assert_eq!(rotation.next("key").await, Ok(2));
    let gone = rotation.next("gone").await.unwrap();
    assert!((50..=60).contains(&gone), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_crowd_half_of_which_is_dropped_no_turn_is_given_twice() {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = patient(&server).build().unwrap();
    recovered(&rotation).await;
    let calls = (0..400).map(|call: usize| {
        let next = rotation.next("key");
        async move {
            if call.is_multiple_of(2) {
                let _ = dropped_after(next, 1 + call % 3, call % 5).await;
                None
            } else {
                Some(next.await.unwrap())
            }
        }
    });
    let mut turns = join_all(calls).await.into_iter().flatten().collect::<Vec<_>>();
    let (taken, highest) = (turns.len(), turns.iter().copied().max().unwrap());
    turns.sort_unstable();
    turns.dedup();
    assert_eq!((taken, turns.len()), (200, 200));
    assert!(highest < 400, "{highest}");
    let next = rotation.next("key").await.unwrap();
    assert!((highest + 1..=400).contains(&next), "{next} after {highest}");
}
