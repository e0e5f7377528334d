//! Rules about two clients of one store.

use super::bench::{Bench, Found, requests};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::limiter::Cost;
use crate::refusal::LimitReason;
use crate::testing::contract::pace::Pace;

pub(super) async fn rate(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let plan = LimiterPlan::requests(RatePlan::ten(pace));
    let [one, other] = Bench::pair(harness, pace, plan).await?;
    let slot = one.fits(requests(7)).await?;
    other.full(requests(4)).await?;
    other.spend(requests(3)).await?;
    one.full(requests(1)).await?;
    one.give_back(slot).await;
    drop(other.fits(requests(7)).await?);
    Ok(())
}

pub(super) async fn in_flight(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace, LimiterPlan::in_flight(2)).await?;
    let (first, _second) = (one.fits(Cost::REQUEST).await?, other.fits(Cost::REQUEST).await?);
    one.crowded(None).await?;
    other.crowded(None).await?;
    one.give_back(first).await;
    drop(other.fits(Cost::REQUEST).await?);
    Ok(())
}

pub(super) async fn hint(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    for plan in [LimiterPlan::default(), LimiterPlan::requests(RatePlan::ten(pace))] {
        let [one, other] = Bench::pair(harness, pace, plan).await?;
        // So that it has seen it free.
        drop(other.fits(Cost::REQUEST).await?);
        one.quota.defer(pace.ages());
        one.sync().await;
        other.limited_until(Cost::REQUEST, &[LimitReason::Deferred], None).await?;
    }
    Ok(())
}
