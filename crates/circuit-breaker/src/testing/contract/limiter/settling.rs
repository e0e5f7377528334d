//! Rules about what a call did cost, once it is known.

use super::bench::{Bench, Found, input, requests};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::limiter::Cost;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::summary::require;

async fn bench(harness: &dyn LimiterHarness, pace: Pace) -> Found<Bench> {
    Bench::new(harness, pace, LimiterPlan::input(RatePlan::ten(pace))).await
}

pub(super) async fn said(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let ten = Some(RatePlan::ten(pace));
    let plan = LimiterPlan { requests: ten, input_tokens: ten, output_tokens: ten, ..LimiterPlan::default() };
    let bench = Bench::new(harness, pace, plan).await?;
    let cost = requests(2).with_input_tokens(3).with_output_tokens(4);
    let slot = bench.fits(cost).await?;
    require(*slot.cost() == cost, || format!("asked for {cost:?}, it reserved {:?}", slot.cost()))
}

pub(super) async fn unknown(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let mut slot = bench.fits(Cost::REQUEST).await?;
    slot.dispatched();
    bench.settle(slot, input(7)).await;
    bench.has_left(3).await
}

pub(super) async fn less(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let (slot, other) = (bench.fits(input(6)).await?, bench.fits(input(4)).await?);
    bench.settle(slot, input(1)).await;
    bench.full(input(6)).await?;
    bench.settle(other, input(0)).await;
    bench.has_left(9).await
}

pub(super) async fn any_order(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let (slot, other) = (bench.fits(input(6)).await?, bench.fits(input(4)).await?);
    bench.settle(other, input(0)).await;
    bench.full(input(5)).await?;
    bench.settle(slot, input(1)).await;
    bench.has_left(9).await
}

pub(super) async fn more(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let slot = bench.fits(input(4)).await?;
    bench.settle(slot, input(8)).await;
    bench.full(input(3)).await?;
    // What went out beyond the burst is charged as well.
    let slot = bench.fits(input(1)).await?;
    bench.settle(slot, input(20)).await;
    let limited = bench.full(input(1)).await?;
    let least = RatePlan::ten(pace).each() * 15;
    require(limited.retry_after.is_none_or(|hint| hint > least), || {
        format!("28 of 10 went out, and retry_after is {:?}, below {least:?}", limited.retry_after)
    })
}

pub(super) async fn kept(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let slot = bench.fits(input(6)).await?;
    bench.settle(slot, Cost::REQUEST).await;
    bench.has_left(4).await
}

pub(super) async fn abandoned(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let (slot, kept) = (bench.fits(input(6)).await?, bench.fits(input(4)).await?);
    bench.give_back(slot).await;
    bench.full(input(7)).await?;
    bench.give_back(kept).await;
    drop(bench.fits(input(10)).await?);
    Ok(())
}
