//! The limiter that remembers retry hints, over paused time.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Cost, InProcessLimiter, LimitReason, Limiter, Quota};
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
