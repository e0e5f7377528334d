//! Rules about leases: how they are given back.

use std::pin::pin;

use futures::poll;
use tokio::time::{Instant, sleep};

use super::bench::{Bench, Found, input};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::lease::LeaseId;
use crate::limiter::Cost;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run;
use crate::testing::contract::summary::broken;

async fn bench(harness: &dyn LimiterHarness, pace: Pace) -> Found<Bench> {
    Bench::new(harness, pace, LimiterPlan::input(RatePlan::ten(pace))).await
}

pub(super) async fn by_name(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    bench.spend(input(3)).await?;
    for known in [false, true] {
        let held = bench.hold(None, input(5)).await?;
        for _ in 0..2 {
            bench.abandon(held.lease, known.then_some(held.reservation)).await;
        }
        bench.has_left(7).await?;
    }
    // One that was never held.
    bench.abandon(LeaseId::new(), None).await;
    bench.has_left(7).await
}

pub(super) async fn dropped_early(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::in_flight(1)).await?;
    let hold = pace.span();
    for polls in [0, 1, 1, 2] {
        {
            let mut admission = pin!(bench.quota.admit_for(Cost::REQUEST, hold));
            for _ in 0..polls {
                if poll!(admission.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Where the store grants it afterwards, its hold ends it at the latest.
        let over = bench.surely_after(hold);
        bench.sync().await;
        loop {
            let Err(limited) = bench.asked(Cost::REQUEST).await? else { break };
            if Instant::now() >= over {
                return broken(format!("dropped after {polls} polls, its place is not free: {limited}"));
            }
            sleep(hold / 16).await;
        }
        bench.sync().await;
    }
    Ok(())
}

pub(super) async fn elsewhere(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let slot = bench.fits(input(6)).await?;
    run::elsewhere(move || drop(slot))?;
    bench.sync().await;
    drop(bench.fits(input(10)).await?);
    Ok(())
}

pub(super) async fn twice(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = bench(harness, pace).await?;
    let held = bench.hold(None, input(3)).await?;
    for _ in 0..3 {
        if let Err(limited) = bench.ask(held.lease, None, input(3)).await? {
            return broken(format!("asked again with a lease that is held, it answers: {limited}"));
        }
    }
    bench.full(input(8)).await?;
    bench.end(held, input(1)).await;
    bench.has_left(9).await
}
