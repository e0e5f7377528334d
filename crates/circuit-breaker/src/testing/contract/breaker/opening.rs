//! Rules about a closed circuit, and how it opens.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::refusal::RejectReason;
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::summary::{self, broken, require};

type Found = summary::Verdict;

pub(super) async fn exactly(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    for failures in [1, 3] {
        let plan = BreakerPlan::new(pace).failures(failures).cooldown(pace.ages());
        let bench = Bench::new(harness, pace, plan).await?;
        for _ in 1..failures {
            bench.fail(1).await?;
            bench.is(State::Closed).await?;
        }
        bench.fail(1).await?;
        bench.refused(None).await?;
    }
    Ok(())
}

pub(super) async fn overlapping(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).cooldown(pace.ages())).await?;
    let out = [bench.free().await?, bench.free().await?, bench.free().await?];
    for permit in out {
        permit.settle(Verdict::Failure);
    }
    bench.sync().await;
    bench.refused(None).await?;
    Ok(())
}

/// One failure fewer than opens it, something else, and then how many more it takes.
async fn between(harness: &dyn BreakerHarness, pace: Pace, verdict: Option<Verdict>, more: u32) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).cooldown(pace.ages())).await?;
    bench.fail(2).await?;
    match verdict {
        Some(verdict) => bench.call(verdict).await?,
        None => drop(bench.free().await?),
    }
    bench.sync().await;
    for _ in 0..more {
        bench.fail(1).await?;
    }
    match bench.asked().await? {
        Err(_) => Ok(()),
        Ok(_) => broken(format!("two failures, this, and {more} more do not open it")),
    }
}

pub(super) async fn success(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    between(harness, pace, Some(Verdict::Success), 3).await
}

pub(super) async fn neutral(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    between(harness, pace, Some(Verdict::Neutral), 1).await
}

pub(super) async fn dropped(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    between(harness, pace, None, 1).await
}

pub(super) async fn says(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let opened = bench.trip().await?;
    let rejection = bench.rejected(RejectReason::Open, Some(opened.earliest)).await?;
    hint(&bench, rejection.retry_after).map(drop)
}

/// A hint that makes sense: there, and within the cooldown.
fn hint(bench: &Bench, retry_after: Option<Duration>) -> summary::Verdict<Duration> {
    let Some(hint) = retry_after else { return broken("the rejection has no retry_after") };
    require(!hint.is_zero(), || "retry_after is zero, but there was no way in".into())?;
    let cooldown = bench.plan.cooldown;
    require(hint <= cooldown + bench.pace.tolerance, || {
        format!("retry_after is {hint:?}, more than the cooldown of {cooldown:?}")
    })?;
    Ok(hint)
}

pub(super) async fn stays(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let opened = bench.trip().await?;
    let pause = bench.plan.cooldown / 16;
    loop {
        bench.refused(Some(opened.earliest)).await?;
        if Instant::now() + pause >= opened.earliest {
            break;
        }
        sleep(pause).await;
    }
    Ok(())
}

pub(super) async fn way_in(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let opened = bench.trip().await?;
    // Once on the way, as the hint has to follow the time.
    let hint = bench.refused(Some(opened.earliest)).await?.retry_after.unwrap_or(bench.plan.cooldown);
    sleep(hint / 3).await;
    let rest = opened.over - Instant::now();
    let hint = bench.refused(Some(opened.earliest)).await?.retry_after.unwrap_or(rest);
    require(hint <= rest, || format!("retry_after is {hint:?}, and there are {rest:?} left at most"))?;
    sleep(hint + pace.tolerance).await;
    drop(bench.probe().await?);
    Ok(())
}
