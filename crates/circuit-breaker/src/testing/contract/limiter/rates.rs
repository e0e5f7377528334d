//! Rules about rates.

use tokio::time::{Instant, sleep};

use super::bench::{Bench, Found, RATES, input, requests};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::limiter::Cost;
use crate::refusal::LimitReason;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{look_alikes, shown, together};
use crate::testing::contract::summary::{broken, require};

/// More than there is room for.
const CROWD: u32 = 32;

/// How many of a crowd get through that ask at once.
pub(super) async fn crowd(bench: &Bench, cost: Cost) -> Found<Vec<crate::quota::Slot>> {
    let ask = |_| {
        let bench = bench.clone();
        async move { bench.asked(cost).await }
    };
    let mut slots = Vec::new();
    for answer in together((0..CROWD).map(ask)).await? {
        slots.extend(answer?);
    }
    Ok(slots)
}

pub(super) async fn unbounded(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::default()).await?;
    let slots = crowd(&bench, input(u64::MAX).with_output_tokens(u64::MAX)).await?;
    require(slots.len() == CROWD as usize, || format!("of {CROWD} that asked, {} got through", slots.len()))?;
    for slot in slots {
        slot.settle(&Cost::REQUEST);
    }
    bench.sync().await;
    drop(bench.fits(Cost::REQUEST).await?);
    Ok(())
}

pub(super) async fn apart(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::requests(RatePlan::ten(pace))).await?;
    let pairs = look_alikes();
    for [one, _] in &pairs {
        let Ok(slot) = bench.key(one.as_str()).fits(requests(10)).await else {
            return broken(format!("{} shares the limits of another key", shown(one)));
        };
        slot.settle(&requests(10));
    }
    bench.sync().await;
    for [one, other] in &pairs {
        let full = bench.key(one.as_str()).asked(requests(1)).await?.is_err();
        require(full, || format!("{} has no limits", shown(one)))?;
        let apart = bench.key(other.as_str()).fits(requests(10)).await.is_ok();
        require(apart, || format!("{} shares the limits of {}", shown(other), shown(one)))?;
    }
    Ok(())
}

pub(super) async fn burst(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::requests(RatePlan::ten(pace))).await?;
    let slots = crowd(&bench, requests(1)).await?;
    require(slots.len() == 10, || {
        format!("{CROWD} asked at once, and {} got through instead of 10", slots.len())
    })?;
    bench.full(requests(1)).await?;
    Ok(())
}

pub(super) async fn rate(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let rate = RatePlan::quick(pace);
    let bench = Bench::new(harness, pace, LimiterPlan::requests(rate)).await?;
    let began = Instant::now();
    let mut out = 0_u32;
    while began.elapsed() < 3 * rate.period {
        if let Ok(mut slot) = bench.asked(requests(1)).await? {
            slot.dispatched();
            out += 1;
        }
        let elapsed = began.elapsed() + pace.tolerance;
        // With all that is back by now, to the burst.
        let back = elapsed.as_nanos() / rate.each().as_nanos();
        require(u128::from(out) <= u128::from(rate.burst.get()) + back, || {
            format!("{out} went out in {elapsed:?} under {rate:?}")
        })?;
        sleep(rate.each() / 8).await;
    }
    Ok(())
}

pub(super) async fn way_in(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let rate = RatePlan::quick(pace);
    let bench = Bench::new(harness, pace, LimiterPlan::requests(rate)).await?;
    let until = bench.after(rate.each());
    bench.spend(requests(4)).await?;
    let cost = requests(3);
    let limited = bench.limited_until(cost, RATES, Some(until)).await?;
    let hint = bench.hint(limited, 3 * rate.each())?;
    sleep(hint + pace.tolerance).await;
    drop(bench.fits(cost).await?);
    Ok(())
}

pub(super) async fn named(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let ten = Some(RatePlan::ten(pace));
    let plan = LimiterPlan { requests: ten, input_tokens: ten, output_tokens: ten, ..LimiterPlan::default() };
    let bench = Bench::new(harness, pace, plan).await?;
    let none = Cost::REQUEST.with_input_tokens(0).with_output_tokens(0);
    let dimensions = [
        (none.with_requests(9), none.with_requests(2), LimitReason::RequestRate),
        (none.with_input_tokens(9), none.with_input_tokens(2), LimitReason::InputTokenRate),
        (none.with_output_tokens(9), none.with_output_tokens(2), LimitReason::OutputTokenRate),
    ];
    for (number, (much, more, reason)) in dimensions.into_iter().enumerate() {
        let key = bench.key(format!("key {number}"));
        key.spend(much).await?;
        let limited = key.full(more).await?;
        require([reason, LimitReason::Rate].contains(&limited.reason), || {
            format!("expected {reason:?} or Rate, got {:?}", limited.reason)
        })?;
        // The other rates have room.
        drop(key.fits(none).await?);
    }
    Ok(())
}

pub(super) async fn never_fits(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let ten = Some(RatePlan::ten(pace));
    let plan = LimiterPlan { requests: ten, input_tokens: ten, ..LimiterPlan::default() };
    let bench = Bench::new(harness, pace, plan).await?;
    for cost in [requests(11).with_input_tokens(1), input(11), input(u64::MAX), requests(u32::MAX)] {
        let limited = bench.limited_until(cost, &[LimitReason::NeverFits], None).await?;
        if let Some(hint) = limited.retry_after {
            return broken(format!("{cost:?} never fits, and yet it says to come back after {hint:?}"));
        }
    }
    drop(bench.fits(requests(10).with_input_tokens(10)).await?);
    Ok(())
}

pub(super) async fn refused(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let ten = Some(RatePlan::ten(pace));
    let plan = LimiterPlan { requests: ten, input_tokens: ten, ..LimiterPlan::default() };
    let bench = Bench::new(harness, pace, plan).await?;
    bench.spend(requests(1).with_input_tokens(6)).await?;
    for _ in 0..3 {
        bench.full(requests(4).with_input_tokens(5)).await?;
        bench.full(requests(10).with_input_tokens(1)).await?;
    }
    bench.sync().await;
    drop(bench.fits(requests(9).with_input_tokens(4)).await?);
    Ok(())
}
