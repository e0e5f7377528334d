//! Rules about results that come after the state in which their calls were admitted.

use tokio::time::sleep_until;

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::circuit::Permit;
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::summary::{self, ready};

type Found = summary::Verdict;

const BOTH: [Verdict; 2] = [Verdict::Success, Verdict::Failure];

async fn bench(harness: &dyn BreakerHarness, pace: Pace) -> summary::Verdict<(Bench, Vec<Permit>)> {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let mut late = Vec::new();
    for _ in 0..4 {
        late.push(ready(bench.free().await)?);
    }
    Ok((bench, late))
}

pub(super) async fn open(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let (bench, late) = bench(harness, pace).await?;
    let opened = bench.trip().await?;
    // Halfway through, so that a cooldown that begins anew is told from one that does not.
    sleep_until(opened.over - bench.plan.cooldown / 2).await;
    for (permit, verdict) in late.into_iter().zip(BOTH.into_iter().cycle()) {
        permit.settle(verdict);
    }
    bench.sync().await;
    bench.refused(Some(opened.earliest)).await?;
    sleep_until(opened.over).await;
    drop(bench.probe().await?);
    Ok(())
}

pub(super) async fn half_open(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let (bench, late) = bench(harness, pace).await?;
    let probe = bench.half_open().await?;
    for (permit, verdict) in late.into_iter().zip(BOTH.into_iter().cycle()) {
        bench.settle(permit, verdict).await;
        bench.is(State::HalfOpen).await?;
    }
    bench.refused(None).await?;
    bench.settle(probe, Verdict::Success).await;
    bench.is(State::Closed).await
}

pub(super) async fn closed(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let (bench, mut late) = bench(harness, pace).await?;
    bench.recover().await?;
    let success = late.pop();
    for permit in late {
        permit.settle(Verdict::Failure);
    }
    bench.sync().await;
    bench.is(State::Closed).await?;
    bench.fail(2).await?;
    if let Some(permit) = success {
        bench.settle(permit, Verdict::Success).await;
    }
    let opened = bench.opens_by(bench.free().await?).await;
    bench.refused(Some(opened.earliest)).await.map(drop)
}

pub(super) async fn probe(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    for verdict in BOTH {
        let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
        let first = bench.half_open().await?;
        let earlier = ready(bench.probe().await)?;
        sleep_until(bench.opens_by(first).await.over).await;
        let (one, other) = (ready(bench.probe().await)?, ready(bench.one_slot().await)?);
        bench.settle(earlier, verdict).await;
        bench.is(State::HalfOpen).await?;
        bench.refused(None).await?;
        bench.settle(one, Verdict::Success).await;
        bench.is(State::Closed).await?;
        drop(other);
    }
    Ok(())
}

pub(super) async fn undecided(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let plan = BreakerPlan::new(pace).probes(2).failures(1);
    let bench = Bench::new(harness, pace, plan).await?;
    let (first, second) = (bench.half_open().await?, ready(bench.probe().await)?);
    bench.settle(first, Verdict::Success).await;
    bench.settle(second, Verdict::Failure).await;
    bench.is(State::Closed).await?;

    let first = bench.half_open().await?;
    let second = ready(bench.probe().await)?;
    let opened = bench.opens_by(first).await;
    bench.settle(second, Verdict::Success).await;
    bench.refused(Some(opened.earliest)).await?;
    Ok(())
}
