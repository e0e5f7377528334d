//! Rules about calls that are out, and how they end by themselves.

use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use super::bench::{Bench, Found, requests};
use super::rates::crowd;
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::limiter::Cost;
use crate::quota::Slot;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run;
use crate::testing::contract::summary::{broken, require};

pub(super) async fn bounded(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(3)).await?;
    let slots = crowd(&bench, Cost::REQUEST).await?;
    require(slots.len() == 3, || format!("{} got through at once instead of 3", slots.len()))?;
    bench.crowded(None).await
}

pub(super) async fn ends(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(2)).await?;
    let _other = bench.fits(Cost::REQUEST).await?;
    let ends: [fn(Slot); 3] = [
        |slot| slot.settle(&Cost::REQUEST),
        drop,
        |mut slot| {
            slot.dispatched();
            drop(slot);
        },
    ];
    for end in ends {
        let slot = bench.fits(Cost::REQUEST).await?;
        bench.crowded(None).await?;
        end(slot);
        bench.sync().await;
    }
    drop(bench.fits(Cost::REQUEST).await?);
    Ok(())
}

pub(super) async fn ended(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(1)).await?;
    for settled in [true, false] {
        let held = bench.hold(None, Cost::REQUEST).await?;
        if settled {
            bench.end(held, Cost::REQUEST).await;
        } else {
            bench.abandon(held.lease, Some(held.reservation)).await;
        }
        let next = bench.fits(Cost::REQUEST).await?;
        bench.abandon(held.lease, Some(held.reservation)).await;
        bench.crowded(None).await?;
        bench.give_back(next).await;
    }
    Ok(())
}

/// A lease is leaked that is held for `span`, as was asked or by itself.
async fn leaked(bench: &Bench, asked: Option<Duration>, span: Duration) -> Found {
    let least = bench.after(span);
    bench.hold(asked, Cost::REQUEST).await?;
    let over = bench.surely_after(span);
    bench.crowded(Some(least)).await?;
    sleep(span / 2).await;
    bench.crowded(Some(least)).await?;
    sleep_until(over).await;
    let _next = bench.fits(Cost::REQUEST).await?;
    Ok(())
}

pub(super) async fn asked_hold(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(1)).await?;
    leaked(&bench, Some(pace.span()), pace.span()).await
}

pub(super) async fn own_hold(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let plan = LimiterPlan { hold: Some(pace.span()), ..LimiterPlan::in_flight(1) };
    let bench = Bench::new(harness, pace, plan).await?;
    leaked(&bench, None, pace.span()).await
}

pub(super) async fn any_hold(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(1)).await?;
    for hold in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        // How long that is, is for the backend to say.
        match run::within(pace, bench.quota.admit_for(Cost::REQUEST, hold)).await? {
            Ok(slot) => bench.give_back(slot).await,
            Err(limited) => return broken(format!("with a hold of {hold:?}: {limited}")),
        }
        bench.give_back(bench.fits(Cost::REQUEST).await?).await;
    }
    let longest = bench.hold(Some(Duration::MAX), Cost::REQUEST).await?;
    bench.crowded(None).await?;
    bench.end(longest, Cost::REQUEST).await;
    drop(bench.fits(Cost::REQUEST).await?);
    Ok(())
}

pub(super) async fn kept(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::requests(RatePlan::ten(pace))).await?;
    bench.hold(Some(pace.span()), requests(6)).await?;
    sleep_until(bench.surely_after(pace.span())).await;
    bench.full(requests(5)).await?;
    drop(bench.fits(requests(4)).await?);
    Ok(())
}
