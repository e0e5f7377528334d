//! What a limiter allows: why and until when it refuses, what a settlement sets right, and how a slot comes back.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::num::{NonZeroU32, NonZeroU64};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use circuit_breaker::{
    Ask, Cost, InProcessLimiter, LeaseId, LimitReason, Limited, Limiter, Limits, Quota, Rate, Slot,
};
use common::at_once;
use tokio::time::advance;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn n(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

/// So many in ten seconds, one each second at the beginning of which one is missing.
fn ten_in_ten_seconds() -> Rate {
    Rate::new(n(10), seconds(10))
}

fn quota(limits: Limits) -> Quota {
    Quota::new(Arc::new(InProcessLimiter::new(limits)), "key")
}

fn cost(requests: u32, input: u64, output: u64) -> Cost {
    Cost::REQUEST.with_requests(requests).with_input_tokens(input).with_output_tokens(output)
}

fn admit(quota: &Quota, cost: Cost) -> Result<Slot, Limited> {
    at_once(quota.admit(cost))
}

/// Goes out, and costs what was reserved.
fn spend(quota: &Quota, cost: Cost) {
    admit(quota, cost).unwrap().dispatched();
}

/// Goes out, and costs something else.
fn spend_as(quota: &Quota, reserved: Cost, actual: &Cost) {
    let mut slot = admit(quota, reserved).unwrap();
    slot.dispatched();
    slot.settle(actual);
}

fn refusal(quota: &Quota, cost: Cost) -> Option<(LimitReason, Option<Duration>)> {
    let limited = admit(quota, cost).err()?;
    assert!(!limited.degraded);
    Some((limited.reason, limited.retry_after))
}

fn all() -> Limits {
    let rate = ten_in_ten_seconds();
    Limits::default().requests(rate).input_tokens(rate).output_tokens(rate)
}

#[tokio::test(start_paused = true)]
async fn the_dimension_that_takes_longest_says_when() {
    use LimitReason::{InputTokenRate, NeverFits, OutputTokenRate, RequestRate};
    let wait = |reason, time| Some((reason, Some(seconds(time))));
    for (spent, asked, expected) in [
        (cost(0, 0, 0), cost(10, 10, 10), None),
        (cost(4, 4, 4), cost(6, 6, 6), None),
        (cost(4, 4, 4), cost(7, 6, 6), wait(RequestRate, 1)),
        (cost(4, 4, 4), cost(7, 9, 6), wait(InputTokenRate, 3)),
        (cost(4, 4, 4), cost(7, 8, 10), wait(OutputTokenRate, 4)),
        (cost(9, 4, 4), cost(9, 10, 10), wait(RequestRate, 8)),
        (cost(4, 4, 4), cost(1, 11, 1), Some((NeverFits, None))),
        (cost(10, 4, 4), cost(1, 1, 11), Some((NeverFits, None))),
        (cost(0, 0, 0), cost(11, 0, 0), Some((NeverFits, None))),
        (cost(10, 10, 10), cost(0, 0, 0), None),
        // What is unknown needs room for one, and takes none.
        (cost(4, 10, 4), Cost::REQUEST, wait(InputTokenRate, 1)),
        (cost(4, 9, 9), Cost::REQUEST, None),
    ] {
        let quota = quota(all());
        spend(&quota, spent);
        assert_eq!(refusal(&quota, asked), expected, "{asked:?} after {spent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_takes_nothing_anywhere() {
    let quota = quota(all().in_flight(NonZeroU32::MIN));
    spend(&quota, cost(1, 1, 8));
    for _ in 0..20 {
        assert_eq!(
            refusal(&quota, cost(9, 9, 3)),
            Some((LimitReason::OutputTokenRate, Some(seconds(1)))),
            "in no dimension, and no slot"
        );
        assert_eq!(refusal(&quota, cost(1, 11, 1)), Some((LimitReason::NeverFits, None)));
    }
    let held = admit(&quota, cost(9, 9, 2)).unwrap();
    for _ in 0..20 {
        assert_eq!(refusal(&quota, cost(0, 0, 0)), Some((LimitReason::InFlight, None)));
    }
    drop(held);
    assert_eq!(refusal(&quota, cost(9, 9, 2)), None);
}

/// A bucket holds only what a whole call needs, and fills up to the burst, not beyond.
#[tokio::test(start_paused = true)]
async fn the_burst_bounds_what_adds_up() {
    let quota = quota(Limits::default().requests(ten_in_ten_seconds().burst(n(3))));
    for round in 0..3 {
        for _ in 0..3 {
            spend(&quota, Cost::REQUEST);
        }
        assert_eq!(
            refusal(&quota, Cost::REQUEST),
            Some((LimitReason::RequestRate, Some(seconds(1)))),
            "{round}"
        );
        advance(seconds(100)).await;
    }
    let larger = Quota::new(
        Arc::new(InProcessLimiter::new(Limits::default().requests(ten_in_ten_seconds().burst(n(25))))),
        "key",
    );
    spend(&larger, Cost::REQUEST.with_requests(25));
    assert_eq!(
        refusal(&larger, Cost::REQUEST.with_requests(25)),
        Some((LimitReason::RequestRate, Some(seconds(25))))
    );
    assert_eq!(refusal(&larger, Cost::REQUEST.with_requests(26)), Some((LimitReason::NeverFits, None)));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_sets_the_reservation_right() {
    let estimate = cost(1, 5, 5);
    for (name, actual, left) in [
        ("as estimated", estimate, [9, 5, 5]),
        ("less", cost(1, 2, 0), [9, 8, 10]),
        ("unknown", Cost::REQUEST, [9, 5, 5]),
        ("partly known", Cost::REQUEST.with_output_tokens(1), [9, 5, 9]),
        ("more", cost(3, 6, 9), [7, 4, 1]),
        ("never went out after all", cost(0, 0, 0), [10, 10, 10]),
    ] {
        let quota = quota(all());
        spend_as(&quota, estimate, &actual);
        let [requests, input, output] = left;
        assert_eq!(
            refusal(&quota, cost(u32::try_from(requests).unwrap(), input, output)),
            None,
            "{name}: left"
        );
        let reasons = [LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];
        for (dimension, reason) in reasons.into_iter().enumerate().filter(|(at, _)| left[*at] < 10) {
            let mut more = left;
            more[dimension] += 1;
            let asked = cost(u32::try_from(more[0]).unwrap(), more[1], more[2]);
            assert_eq!(refusal(&quota, asked), Some((reason, Some(seconds(1)))), "{name}: no more");
        }
    }
}

/// What is charged after the fact may exceed the burst: then it is a debt.
#[tokio::test(start_paused = true)]
async fn a_debt_is_paid_off_first() {
    let quota = quota(all());
    spend_as(&quota, Cost::REQUEST.with_input_tokens(1), &cost(1, 25, 0));
    for (input, wait) in [(0, 15), (1, 16), (10, 25)] {
        let expected = Some((LimitReason::InputTokenRate, Some(seconds(wait))));
        assert_eq!(refusal(&quota, cost(1, input, 1)), expected);
    }
    advance(seconds(25)).await;
    assert_eq!(refusal(&quota, cost(1, 10, 1)), None);
}

#[tokio::test(start_paused = true)]
async fn what_has_come_back_by_itself_is_not_given_back_again() {
    let quota = quota(all());
    let mut slow = admit(&quota, cost(1, 10, 0)).unwrap();
    slow.dispatched();
    advance(seconds(10)).await;
    spend(&quota, cost(1, 10, 0));
    slow.settle(&cost(1, 0, 0));
    assert_eq!(refusal(&quota, cost(1, 1, 0)), Some((LimitReason::InputTokenRate, Some(seconds(1)))));
}

/// A deferral comes before what is out and what has gone out; that a call never fits comes before all.
#[tokio::test(start_paused = true)]
async fn the_reason_that_lasts_longest_is_told_first() {
    let quota = quota(all().in_flight(NonZeroU32::MIN));
    let held = admit(&quota, cost(10, 10, 10)).unwrap();
    quota.defer(seconds(3));
    assert_eq!(refusal(&quota, cost(1, 11, 1)), Some((LimitReason::NeverFits, None)));
    assert_eq!(refusal(&quota, Cost::REQUEST), Some((LimitReason::Deferred, Some(seconds(3)))));
    advance(seconds(3)).await;
    assert_eq!(refusal(&quota, Cost::REQUEST.with_requests(9)), Some((LimitReason::InFlight, None)));
    held.settle(&Cost::REQUEST.with_requests(10));
    let expected = Some((LimitReason::RequestRate, Some(seconds(6))));
    assert_eq!(refusal(&quota, Cost::REQUEST.with_requests(9)), expected);
    assert_eq!(refusal(&quota, cost(1, 11, 1)), Some((LimitReason::NeverFits, None)), "and after all");
}

#[tokio::test(start_paused = true)]
async fn every_slot_comes_back() {
    type End = fn(Slot);
    let ends: [(&str, End); 5] = [
        ("dropped", drop),
        ("dropped after it went out", |mut slot| slot.dispatched()),
        ("settled", |slot| slot.settle(&Cost::REQUEST)),
        ("settled after it went out", |mut slot| {
            slot.dispatched();
            slot.settle(&Cost::REQUEST);
        }),
        ("leaked", std::mem::forget),
    ];
    for (name, end) in ends {
        let limiter =
            Arc::new(InProcessLimiter::new(Limits::default().in_flight(NonZeroU32::new(2).unwrap())));
        let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
        let slots = [quota.admit(Cost::REQUEST).await.unwrap(), quota.admit(Cost::REQUEST).await.unwrap()];
        assert_eq!(local.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::InFlight, "{name}");
        slots.into_iter().for_each(end);
        if name == "leaked" {
            advance(Duration::from_millis(599_999)).await;
            assert_eq!(refusal(&quota, Cost::REQUEST), Some((LimitReason::InFlight, None)));
            advance(Duration::from_millis(1)).await;
        }
        let again = [local.admit(Cost::REQUEST), local.admit(Cost::REQUEST)];
        assert!(again.iter().all(Result::is_ok), "{name}");
        assert_eq!(refusal(&quota, Cost::REQUEST), Some((LimitReason::InFlight, None)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_has_passed_keeps_what_was_reserved() {
    let limits = Limits::default().requests(Rate::new(n(2), seconds(1000))).in_flight(NonZeroU32::MIN);
    let limiter = Arc::new(InProcessLimiter::new(limits).max_hold(seconds(5)));
    let quota = Quota::new(limiter.clone(), "key");
    // Asked for less than the maximum, nothing, and more than there is.
    let slot = quota.admit_for(Cost::REQUEST, seconds(2)).await.unwrap();
    advance(seconds(2)).await;
    let second = quota.admit(Cost::REQUEST).await.unwrap();
    drop(slot);
    assert_eq!(refusal(&quota, Cost::REQUEST), Some((LimitReason::InFlight, None)), "not the second's slot");
    advance(seconds(5)).await;
    let (reason, wait) = refusal(&quota, Cost::REQUEST).unwrap();
    assert_eq!(
        (reason, wait),
        (LimitReason::RequestRate, Some(seconds(493))),
        "the first was not given back"
    );
    second.settle(&Cost::REQUEST.with_requests(2));
    assert_eq!(
        refusal(&quota, Cost::REQUEST).unwrap().1,
        Some(seconds(993)),
        "what comes too late is charged all the same"
    );

    let local = limiter.quota("other");
    let day = local.admit_for(Cost::REQUEST, Duration::MAX).unwrap();
    advance(seconds(24 * 3600 - 1)).await;
    assert_eq!(local.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::InFlight);
    advance(seconds(1)).await;
    let short = local.admit_for(Cost::REQUEST, Duration::ZERO).unwrap();
    assert_eq!(
        local.admit(Cost::REQUEST).unwrap_err().reason,
        LimitReason::InFlight,
        "a millisecond at least"
    );
    advance(Duration::from_millis(1)).await;
    assert!(local.admit(Cost::REQUEST).is_ok());
    drop((day, short));
}

/// A store may be asked again with the same lease: it reserves once.
#[tokio::test(start_paused = true)]
async fn one_lease_reserves_once() {
    let limiter = InProcessLimiter::new(all().in_flight(NonZeroU32::MIN));
    let ask = Ask::new(LeaseId::new());
    let reservation = limiter.acquire("key", &ask, &cost(10, 10, 10)).await.unwrap();
    assert_eq!(limiter.acquire("key", &ask, &cost(10, 10, 10)).await, Ok(reservation));
    limiter.abandon("key", ask.lease, Some(reservation));
    limiter.abandon("key", ask.lease, None);
    limiter.abandon("other", ask.lease, None);
    let again = Ask::new(LeaseId::new());
    assert!(limiter.acquire("key", &again, &cost(10, 10, 10)).await.is_ok());
    limiter.abandon("key", LeaseId::new(), None);
    assert!(limiter.acquire("key", &Ask::new(LeaseId::new()), &cost(1, 0, 0)).await.is_err(), "a stranger's");
}

#[tokio::test(start_paused = true)]
async fn the_estimator_says_what_the_caller_does_not_know() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let limiter =
        InProcessLimiter::new(all()).limits_for("free", Limits::default()).estimator(move |key, cost| {
            assert_ne!(key, "free");
            count.fetch_add(1, Ordering::Relaxed);
            let tokens = if key == "long" { 9 } else { 2 };
            cost.with_output_tokens(cost.output_tokens.unwrap_or(tokens))
        });
    let limiter = Arc::new(limiter);
    for (key, reserved) in [("long", 9), ("short", 2)] {
        let quota = Quota::new(limiter.clone(), key);
        let slot = quota.admit(Cost::REQUEST).await.unwrap();
        assert_eq!(*slot.cost(), Cost::REQUEST.with_output_tokens(reserved));
        let expected = Some((LimitReason::OutputTokenRate, Some(seconds(reserved))));
        assert_eq!(refusal(&quota, Cost::REQUEST.with_output_tokens(10)), expected);
        drop(slot);
        assert_eq!(limiter.quota(key).admit(Cost::REQUEST).unwrap().cost().output_tokens, Some(reserved));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 6);
    let free = Quota::new(limiter.clone(), "free");
    assert_eq!(*free.admit(Cost::REQUEST).await.unwrap().cost(), Cost::REQUEST);
    assert_eq!(*limiter.quota("free").admit(Cost::REQUEST).unwrap().cost(), Cost::REQUEST);
}

#[tokio::test(start_paused = true)]
async fn keys_have_their_own_state_and_some_their_own_limits() {
    let one = Limits::default().requests(Rate::per_minute(n(1)));
    let two = Limits::default().requests(Rate::per_minute(n(2)));
    let limiter = InProcessLimiter::new(one).limits_for("larger", two).limits_for("free", Limits::default());
    let limiter = Arc::new(limiter);
    assert_eq!([limiter.limits("any"), limiter.limits("larger")], [one, two]);
    for (key, admitted) in [("any", 1), ("other", 1), ("larger", 2), ("free", 50)] {
        for by_handle in [false, true] {
            let (quota, local) = (Quota::new(limiter.clone(), key), limiter.quota(key));
            let ask = |_: &usize| {
                if by_handle {
                    local.admit(Cost::REQUEST).map(|mut slot| slot.dispatched()).is_ok()
                } else {
                    admit(&quota, Cost::REQUEST).map(|mut slot| slot.dispatched()).is_ok()
                }
            };
            assert_eq!((0..50).filter(ask).count(), admitted, "{key}");
            advance(seconds(60)).await;
        }
    }
    assert!(!format!("{limiter:?}").contains("larger"), "a key may name a credential");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_there_is_nothing_to_know() {
    let limiter = Arc::new(InProcessLimiter::new(all().in_flight(NonZeroU32::new(5).unwrap())).max_keys(1));
    let (old, new) = (Quota::new(limiter.clone(), "old"), Quota::new(limiter.clone(), "new"));
    let fits = |quota| refusal(quota, cost(10, 10, 10)).is_none();
    let held = admit(&old, cost(4, 0, 0)).unwrap();
    spend(&new, cost(10, 10, 10));
    assert!(fits(&new), "no room: untracked");
    advance(seconds(10)).await;
    assert!(fits(&new), "the rates are full again, but a call is out");
    held.settle(&cost(5, 0, 0));
    spend(&new, cost(10, 10, 10));
    assert!(fits(&new), "what it did cost has not come back");
    advance(seconds(1)).await;
    spend(&new, cost(10, 10, 10));
    assert!(!fits(&new) && fits(&old));
}

/// The future is dropped unpolled and after its one poll, with whatever it gave.
#[test]
fn an_admission_dropped_at_any_point_leaves_nothing() {
    let quota = quota(all().in_flight(NonZeroU32::MIN));
    drop(quota.admit(cost(10, 10, 10)));
    for hold in [None, Some(seconds(1))] {
        let admission = async {
            match hold {
                Some(hold) => quota.admit_for(cost(10, 10, 10), hold).await,
                None => quota.admit(cost(10, 10, 10)).await,
            }
        };
        let mut admission = Box::pin(admission);
        assert!(admission.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        drop(admission);
        let call = async {
            let mut slot = quota.admit(cost(10, 10, 10)).await.unwrap();
            if hold.is_none() {
                std::future::pending::<()>().await;
            }
            slot.dispatched();
            std::future::pending::<()>().await;
        };
        {
            let mut call = pin!(call);
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(refusal(&quota, cost(0, 0, 0)), Some((LimitReason::InFlight, None)));
        }
        let (reason, went_out) = (refusal(&quota, cost(10, 10, 10)), hold.is_some());
        assert_eq!(reason.is_some(), went_out, "kept only once it went out: {reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_may_be_told_the_time() {
    let limiter =
        Arc::new(InProcessLimiter::new(Limits::default().requests(ten_in_ten_seconds().burst(n(1)))));
    let local = limiter.quota("key");
    let now = tokio::time::Instant::now().into_std();
    local.admit_at(Cost::REQUEST, now).unwrap().dispatched();
    assert_eq!(local.admit_at(Cost::REQUEST, now).unwrap_err().retry_after, Some(seconds(1)));
    let half = local.admit_at(Cost::REQUEST, now + Duration::from_millis(500)).unwrap_err();
    assert_eq!(half.retry_after, Some(Duration::from_millis(500)));
    assert!(local.admit_at(Cost::REQUEST, now + seconds(1)).is_ok());
    // From before there was a limiter: its own beginning.
    let old = now.checked_sub(seconds(3600)).unwrap_or(now);
    assert!(limiter.quota("other").admit_at(Cost::REQUEST, old).is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_number_is_too_large() {
    let most = cost(u32::MAX, u64::MAX, u64::MAX);
    let amounts = [n(1), n(7), n(u64::MAX)];
    let periods = [Duration::ZERO, Duration::from_nanos(1), seconds(60), Duration::MAX];
    for (amount, burst, period) in amounts
        .into_iter()
        .flat_map(|amount| amounts.map(|burst| (amount, burst)))
        .flat_map(|(amount, burst)| periods.map(|period| (amount, burst, period)))
    {
        let rate = Rate::new(amount, period).burst(burst);
        let limits = Limits::default().requests(rate).input_tokens(rate).output_tokens(rate);
        let limiter = Arc::new(InProcessLimiter::new(limits).max_hold(Duration::MAX));
        let (quota, local) = (Quota::new(limiter.clone(), "key"), limiter.quota("key"));
        let fits = burst.get() == u64::MAX;
        let answer = refusal(&quota, most);
        assert_eq!(answer.is_none(), fits, "{rate:?}: {answer:?}");
        assert!(fits || answer == Some((LimitReason::NeverFits, None)), "{rate:?}");
        for actual in [cost(0, 0, 0), cost(1, 1, 1), most] {
            if let Ok(slot) = local.admit(cost(1, 1, 1)) {
                slot.settle(&actual);
            }
            if let Ok(slot) = admit(&quota, cost(0, 0, 0)) {
                slot.settle(&actual);
            }
        }
        quota.defer(Duration::MAX);
        assert!(refusal(&quota, Cost::REQUEST).is_some());
        advance(seconds(10)).await;
    }
}

/// An amount that does not come back, and those that no number of whole nanoseconds brings back.
#[tokio::test(start_paused = true)]
async fn a_burst_goes_out_at_once() {
    for (amount, period) in [(7, seconds(60)), (3, seconds(1)), (900, seconds(60)), (10, Duration::MAX)] {
        let quota = quota(Limits::default().requests(Rate::new(n(amount), period)));
        let admitted =
            (0..1000).filter(|_| admit(&quota, Cost::REQUEST).map(|mut slot| slot.dispatched()).is_ok());
        assert_eq!(admitted.count() as u64, amount, "in {period:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_fills_the_rates_and_ends_the_deferral() {
    let limits = Limits::default().requests(Rate::per_minute(n(2))).in_flight(NonZeroU32::new(3).unwrap());
    let limiter = Arc::new(InProcessLimiter::new(limits));
    let quota = limiter.quota("key");
    let out = [quota.admit(Cost::REQUEST).unwrap(), quota.admit(Cost::REQUEST).unwrap()];
    quota.defer(seconds(60));
    limiter.reset("key");
    let third = quota.admit(Cost::REQUEST).unwrap();
    assert_eq!(quota.admit(Cost::REQUEST).unwrap_err().reason, LimitReason::InFlight, "calls stay out");
    let last = limiter.quota("key");
    drop(out);
    let more = last.admit(Cost::REQUEST).unwrap();
    let refused = last.admit(Cost::REQUEST).unwrap_err();
    assert_eq!(refused.reason, LimitReason::RequestRate, "what was taken before gives nothing back");
    drop((third, more));
    limiter.reset("never heard of");
    assert_eq!(limiter.tracked_keys(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hint_says_when_the_rates_have_room_too() {
    let limiter = Arc::new(InProcessLimiter::new(Limits::default().requests(Rate::per_minute(n(1)))));
    let quota = limiter.quota("key");
    quota.admit(Cost::REQUEST).unwrap().settle(&Cost::REQUEST);
    for (hint, wait) in [(1, 60), (90, 90)] {
        quota.defer(seconds(hint));
        let refused = quota.admit(Cost::REQUEST).unwrap_err();
        assert_eq!((refused.reason, refused.retry_after), (LimitReason::Deferred, Some(seconds(wait))));
    }
}

/// A count of tokens that wrapped around: one report must not close a key for five hundred years.
#[tokio::test(start_paused = true)]
async fn one_mistaken_report_costs_a_day_at_most() {
    let limiter = Arc::new(InProcessLimiter::new(Limits::default().output_tokens(Rate::per_minute(n(1000)))));
    let quota = limiter.quota("key");
    quota.admit(Cost::REQUEST).unwrap().settle(&Cost::REQUEST.with_output_tokens(u64::MAX));
    let wait = quota.admit(Cost::REQUEST).unwrap_err().retry_after.unwrap();
    assert!(wait <= seconds(24 * 3600), "{wait:?}");
}
