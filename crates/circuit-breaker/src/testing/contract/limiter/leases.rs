//! Rules about leases: how they are given back.

use tokio::time::{Instant, sleep};

use super::bench::{Bench, Found, input, requests};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::lease::LeaseId;
use crate::limiter::Cost;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{self, Until};
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
    left(&bench, Cost::REQUEST).await
}

pub(super) async fn gone(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::requests(RatePlan::ten(pace))).await?;
    left(&bench, requests(10)).await
}

/// All there is is asked for by callers who go away, and is there again.
async fn left(bench: &Bench, all: Cost) -> Found {
    let hold = bench.pace.span();
    let began = Instant::now();
    drop(bench.fits(all).await?);
    let round_trip = began.elapsed();
    bench.sync().await;
    for until in Until::points(round_trip) {
        until.drop(bench.quota.admit_for(all, hold)).await;
        // Where the store grants it afterwards, it is given back when its hold ends at the latest.
        let over = bench.surely_after(hold) + round_trip;
        bench.sync().await;
        loop {
            let asked = Instant::now();
            let Err(limited) = bench.asked(all).await? else { break };
            if asked >= over {
                return broken(format!("dropped after {until:?}, it leaves less than there was: {limited}"));
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
