//! The limiter under real threads: what goes out at once never exceeds the burst, nor the bound on calls in flight.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use circuit_breaker::{Cost, InProcessLimiter, LimitReason, Limited, Limits, LocalQuota, Quota, Rate};
use common::at_once;

const THREADS: usize = 8;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// So many that none comes back while a test runs.
fn slow(amount: u64) -> Rate {
    Rate::new(NonZeroU64::new(amount).unwrap(), YEAR)
}

/// Runs it in all threads at the same time, each with a seed of its own.
fn together(work: impl Fn(u64) + Sync) {
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for seed in 0..THREADS as u64 {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(seed);
            });
        }
    });
}

/// Both ways in: every other call comes by the handle. Returns whether the call was admitted, and went out; its cost is
/// settled as `actual`, or stays as reserved.
fn call(
    quota: &Quota,
    local: &LocalQuota,
    by_handle: bool,
    cost: Cost,
    actual: Option<&Cost>,
) -> Result<(), Limited> {
    if by_handle {
        let mut slot = local.admit(cost)?;
        slot.dispatched();
        if let Some(actual) = actual {
            slot.settle(actual);
        }
    } else {
        let mut slot = at_once(quota.admit(cost))?;
        slot.dispatched();
        if let Some(actual) = actual {
            slot.settle(actual);
        }
    }
    Ok(())
}

/// Elsewhere many that ask at once all see room before any has taken it (litellm #18730, by six times), or one that is
/// refused has been counted by then and keeps others out (litellm #27001).
#[test]
fn what_goes_out_at_once_is_the_burst_exactly() {
    const BURST: u64 = 20_000;
    for settled in [false, true] {
        let limits = Limits::default().input_tokens(slow(BURST));
        let limiter = Arc::new(InProcessLimiter::new(limits));
        let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
        let spent = AtomicU64::new(0);
        together(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..3000 {
                let tokens = random.u64(1..100);
                let reserved = Cost::REQUEST.with_input_tokens(if settled { 100 } else { tokens });
                let actual = settled.then(|| Cost::REQUEST.with_input_tokens(tokens));
                match call(&quota, &local, random.bool(), reserved, actual.as_ref()) {
                    Ok(()) => _ = spent.fetch_add(tokens, Ordering::Relaxed),
                    Err(refused) => assert_eq!(refused.reason, LimitReason::InputTokenRate),
                }
            }
        });
        // What is left is too little for a reservation; one by one it goes out.
        let left = (0..)
            .take_while(|_| call(&quota, &local, false, Cost::REQUEST.with_input_tokens(1), None).is_ok());
        let left = left.count() as u64;
        assert!(left <= if settled { 100 } else { 1 }, "{left} were left");
        assert_eq!(spent.into_inner() + left, BURST, "settled: {settled}");
    }
}

#[test]
fn never_more_in_flight_than_the_bound() {
    for bound in [1, 3] {
        let limits = Limits::default().in_flight(NonZeroU32::new(bound).unwrap());
        let limiter = Arc::new(InProcessLimiter::new(limits));
        let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
        let (out, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let went_out = || {
            most.fetch_max(out.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            out.fetch_sub(1, Ordering::SeqCst);
        };
        together(|seed| {
            let mut granted = 0;
            while granted < 300 {
                if (granted + seed) % 2 == 0 {
                    let Ok(slot) = local.admit(Cost::REQUEST) else {
                        thread::yield_now();
                        continue;
                    };
                    went_out();
                    slot.settle(&Cost::REQUEST);
                } else {
                    let Ok(slot) = at_once(quota.admit(Cost::REQUEST)) else {
                        thread::yield_now();
                        continue;
                    };
                    went_out();
                    drop(slot);
                }
                granted += 1;
            }
        });
        assert!((1..=bound).contains(&most.load(Ordering::SeqCst)), "{most:?} out at once");
        let all: Vec<_> = (0..bound).map(|_| local.admit(Cost::REQUEST).unwrap()).collect();
        assert_eq!(local.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::InFlight);
        drop(all);
    }
}

/// Elsewhere each write renews the time at which a counter ends (litellm #14204).
#[test]
fn the_latest_of_many_hints_wins() {
    // In quarters of an hour: no test takes as long.
    let quarters = |count: u64| Duration::from_secs(900 * count);
    let limiter = Arc::new(InProcessLimiter::default());
    let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
    let longest = THREADS as u64 * 10;
    together(|seed| {
        for hint in 0..10 {
            let delay = quarters(longest - seed * 10 - hint);
            if hint % 2 == 0 {
                quota.defer(delay);
            } else {
                local.defer(delay);
            }
            assert_eq!(local.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::Deferred);
        }
    });
    let rest = at_once(quota.admit(Cost::REQUEST)).unwrap_err().retry_after.unwrap();
    assert!(quarters(longest - 1) < rest && rest <= quarters(longest), "{rest:?}");
}

#[test]
fn any_mix_of_keys_handles_and_ends_leaves_nothing_behind() {
    let limits = Limits::default().requests(slow(1_000_000)).in_flight(NonZeroU32::new(4).unwrap());
    let keys: Vec<_> = (0..24).map(|key| key.to_string()).collect();
    // With room for all keys, and for some.
    for max_keys in [24, 16] {
        let limiter = Arc::new(InProcessLimiter::new(limits).max_keys(max_keys));
        together(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut held = Vec::new();
            for _ in 0..2000 {
                let key = random.choice(&keys).unwrap();
                if random.u8(..8) == 0 {
                    let local = limiter.quota(key.as_str());
                    drop(local.admit(Cost::REQUEST));
                }
                held.extend(at_once(Quota::new(limiter.clone(), key.as_str()).admit(Cost::REQUEST)));
                if held.len() > 5 {
                    drop(held.swap_remove(random.usize(..held.len())));
                }
            }
        });
        assert!(limiter.tracked_keys() <= max_keys);
        for key in &keys {
            let local = limiter.quota(key.as_str());
            let whole = local.admit(Cost::REQUEST.with_requests(1_000_000));
            assert!(whole.is_ok(), "everything was given back under {key}: {whole:?}");
            if max_keys == keys.len() {
                let slots = [(); 3].map(|()| local.admit(Cost::REQUEST.with_requests(0)).unwrap());
                assert_eq!(local.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::InFlight, "tracked");
                drop(slots);
            }
        }
        if max_keys == keys.len() {
            assert_eq!(limiter.tracked_keys(), 0, "as if they had never been heard of");
        }
    }
}
