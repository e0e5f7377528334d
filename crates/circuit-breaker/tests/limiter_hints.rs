//! Retry hints: how long they are followed, under which keys, and when there is no room to remember them.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Cost, InProcessLimiter, LimitReason, Limiter, Limits, Quota, Rate, Untracked};
use parking_lot::Mutex;
use tokio::time::advance;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn rest(quota: &Quota) -> Option<Duration> {
    let limited = quota.admit(Cost::REQUEST).await.err()?;
    assert_eq!((limited.reason, limited.degraded), (LimitReason::Deferred, false));
    limited.retry_after
}

#[tokio::test(start_paused = true)]
async fn the_latest_end_wins() {
    let quota = Quota::new(Arc::new(InProcessLimiter::default()), "key");
    assert_eq!(rest(&quota).await, None);
    quota.defer(seconds(20));
    quota.defer(seconds(5));
    assert_eq!(rest(&quota).await, Some(seconds(20)));
    advance(seconds(15)).await;
    quota.defer(seconds(4));
    assert_eq!(rest(&quota).await, Some(seconds(5)), "a later hint that ends earlier");
    quota.defer(seconds(6));
    assert_eq!(rest(&quota).await, Some(seconds(6)));
    quota.defer(Duration::ZERO);
    assert_eq!(rest(&quota).await, Some(seconds(6)));
}

#[tokio::test(start_paused = true)]
async fn a_hint_passes_and_is_forgotten() {
    let limiter = Arc::new(InProcessLimiter::default());
    let quota = Quota::new(limiter.clone(), "key");
    quota.defer(seconds(1));
    advance(Duration::from_millis(999)).await;
    assert_eq!(rest(&quota).await, Some(Duration::from_millis(1)));
    advance(Duration::from_millis(1)).await;
    assert_eq!((rest(&quota).await, limiter.tracked_keys()), (None, 0));
    let slot = quota.admit(Cost::REQUEST.with_requests(2).with_input_tokens(5)).await.unwrap();
    assert_eq!(
        (slot.cost().requests, slot.cost().input_tokens, slot.cost().output_tokens),
        (2, Some(5), None)
    );
    slot.settle(&Cost::REQUEST);
    quota.limiter().flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_cut() {
    let quota = Quota::new(Arc::new(InProcessLimiter::default()), "key");
    quota.defer(Duration::MAX);
    assert_eq!(rest(&quota).await, Some(InProcessLimiter::LONGEST_DEFERRAL));
    let short = Quota::new(Arc::new(InProcessLimiter::default().longest_deferral(seconds(2))), "key");
    short.defer(seconds(3));
    assert_eq!(rest(&short).await, Some(seconds(2)));
    let endless = Quota::new(Arc::new(InProcessLimiter::default().longest_deferral(Duration::MAX)), "key");
    endless.defer(Duration::MAX);
    assert!(rest(&endless).await.is_some(), "no overflow");
}

#[tokio::test(start_paused = true)]
async fn keys_are_apart_and_their_number_is_bounded() {
    let limiter = Arc::new(InProcessLimiter::default().max_keys(100));
    let quotas: Vec<_> = (0..300).map(|key| Quota::new(limiter.clone(), key.to_string())).collect();
    for quota in &quotas {
        quota.defer(seconds(10));
    }
    assert_eq!(limiter.tracked_keys(), 100);
    assert!(rest(&quotas[0]).await.is_some() && rest(&quotas[299]).await.is_none());
    advance(seconds(10)).await;
    quotas[299].defer(seconds(10));
    assert_eq!(limiter.tracked_keys(), 1, "what has passed made room");
    assert!(rest(&quotas[299]).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn hints_that_have_passed_are_forgotten_whoever_calls() {
    let limiter = Arc::new(InProcessLimiter::default());
    for key in 0..300 {
        limiter.defer(&key.to_string(), seconds(10));
    }
    advance(seconds(10)).await;
    let quota = Quota::new(limiter.clone(), "another");
    for _ in 0..20_000 {
        assert_eq!(rest(&quota).await, None);
    }
    assert_eq!(limiter.tracked_keys(), 0);
}

/// What litellm #14204 got wrong for its counters: each write moved the end.
#[tokio::test(start_paused = true)]
async fn neither_asking_nor_hints_that_end_earlier_move_the_end() {
    for limits in [Limits::default(), Limits::default().requests(Rate::per_minute(NonZeroU64::MIN))] {
        let limiter = Arc::new(InProcessLimiter::new(limits));
        let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
        quota.defer(seconds(20));
        for passed in 0..20 {
            assert_eq!(rest(&quota).await, Some(seconds(20 - passed)));
            quota.defer(seconds(20 - passed));
            local.defer(seconds(1));
            advance(seconds(1)).await;
        }
        assert!(local.admit(Cost::REQUEST).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_and_the_key_share_their_hints() {
    let limiter = Arc::new(InProcessLimiter::default().longest_deferral(seconds(30)));
    let (quota, local, again) =
        (Quota::new(limiter.clone(), "key"), limiter.quota("key"), limiter.quota("key"));
    local.defer(seconds(99));
    assert_eq!(rest(&quota).await, Some(seconds(30)), "cut by a handle too");
    advance(seconds(20)).await;
    quota.defer(seconds(12));
    for handle in [&local, &again, &local.clone()] {
        let refused = handle.admit(Cost::REQUEST).unwrap_err();
        assert_eq!((refused.reason, refused.retry_after), (LimitReason::Deferred, Some(seconds(12))));
    }
    assert!(limiter.quota("other").admit(Cost::REQUEST).is_ok());
    advance(seconds(12)).await;
    let slot = local.admit(Cost::REQUEST).unwrap();
    assert_eq!((slot.key(), slot.cost(), local.key()), ("key", &Cost::REQUEST, "key"));
    local.defer(Duration::ZERO);
    assert!(local.admit(Cost::REQUEST).is_ok() && quota.admit(Cost::REQUEST).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_its_key_and_takes_it_along() {
    let limiter = Arc::new(InProcessLimiter::default().max_keys(1));
    let local = limiter.quota("kept");
    let other = Quota::new(limiter.clone(), "other");
    other.defer(seconds(10));
    assert_eq!((rest(&other).await, limiter.tracked_keys()), (None, 1), "no room, although nothing is known");
    drop(local.clone());
    assert_eq!(limiter.tracked_keys(), 1);
    local.defer(seconds(10));
    drop(local);
    assert_eq!(limiter.tracked_keys(), 1, "the hint outlives the handle");
    assert_eq!(limiter.quota("kept").admit(Cost::REQUEST).unwrap_err().retry_after, Some(seconds(10)));
    advance(seconds(10)).await;
    drop(limiter.quota("kept"));
    assert_eq!(limiter.tracked_keys(), 0);
    other.defer(seconds(10));
    assert!(rest(&other).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_goes_out_and_is_told_of() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let limits = Limits::default().requests(Rate::per_minute(NonZeroU64::MIN));
    let limiter = InProcessLimiter::new(limits).max_keys(0).on_untracked(move |event: &Untracked| {
        heard.lock().push((event.key.to_string(), event.times));
        panic!("a listener's own bug");
    });
    let limiter = Arc::new(limiter);
    let quota = Quota::new(limiter.clone(), "first");
    for _ in 0..5 {
        let mut slot = quota.admit(Cost::REQUEST).await.unwrap();
        slot.dispatched();
        slot.settle(&Cost::REQUEST);
    }
    quota.defer(seconds(10));
    assert!(quota.admit(Cost::REQUEST).await.is_ok(), "the hint is not remembered");
    let local = limiter.quota("second");
    local.defer(seconds(10));
    drop(local.admit(Cost::REQUEST).unwrap());
    local.admit(Cost::REQUEST).unwrap().settle(&Cost::REQUEST);
    assert_eq!(*told.lock(), [("first".to_owned(), 1)], "at once");
    advance(seconds(60)).await;
    drop(quota.admit(Cost::REQUEST).await.unwrap());
    // Four calls, a hint and a call; a handle, its hint and two calls; and this one.
    assert_eq!(told.lock()[1..], [("first".to_owned(), 11)], "the others, counted");
    assert_eq!(limiter.tracked_keys(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_without_room_finds_its_key_when_there_is_some() {
    let limiter = Arc::new(InProcessLimiter::default().max_keys(1));
    limiter.defer("first", seconds(10));
    let local = limiter.quota("second");
    local.defer(seconds(30));
    assert!(local.admit(Cost::REQUEST).is_ok());
    advance(seconds(10)).await;
    local.defer(seconds(30));
    assert_eq!(local.admit(Cost::REQUEST).unwrap_err().retry_after, Some(seconds(30)));
}

#[tokio::test(start_paused = true)]
async fn without_rates_the_answer_is_told_at_once() {
    let quota = Quota::new(Arc::new(InProcessLimiter::default()), "key");
    let slot = quota.try_admit(Cost::REQUEST.with_requests(2)).unwrap().unwrap();
    assert_eq!((slot.lease(), slot.cost().requests), (None, 2));
    slot.settle(&Cost::REQUEST);
    quota.defer(seconds(3));
    assert_eq!(rest(&quota).await, Some(seconds(3)));

    let limits = Limits::default().requests(Rate::per_minute(NonZeroU64::MIN));
    let limited = Quota::new(Arc::new(InProcessLimiter::default().limits_for("key", limits)), "key");
    assert!(limited.try_admit(Cost::REQUEST).is_none(), "a reservation is held under a lease");
}
