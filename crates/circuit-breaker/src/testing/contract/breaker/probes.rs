//! Rules about a half-open circuit: how many probes are out, and what they decide.

use tokio::time::{Instant, sleep_until};

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::circuit::Permit;
use crate::refusal::{RejectReason, Rejection};
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::together;
use crate::testing::contract::summary::{self, broken, require};

type Found<T = ()> = summary::Verdict<T>;

/// More than there are slots.
const CROWD: usize = 32;

/// A crowd asks at once, as soon as the cooldown has passed.
async fn crowd(
    harness: &dyn BreakerHarness,
    pace: Pace,
    probes: u32,
) -> Found<(Bench, Vec<Permit>, Vec<Rejection>)> {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(probes)).await?;
    bench.cooled().await?;
    let ask = || {
        let bench = bench.clone();
        async move { bench.asked().await }
    };
    let (mut permits, mut rejections) = (Vec::new(), Vec::new());
    for answer in together(std::iter::repeat_with(ask).take(CROWD)).await? {
        match answer? {
            Ok(permit) => permits.push(permit),
            Err(rejection) => rejections.push(rejection),
        }
    }
    Ok((bench, permits, rejections))
}

pub(super) async fn bounded(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    for probes in [1, 3] {
        let (bench, permits, _) = crowd(harness, pace, probes).await?;
        let slots = probes as usize;
        require(permits.len() == slots, || {
            format!("{CROWD} asked at once, and {} got through instead of {probes}", permits.len())
        })?;
        require(permits.iter().all(Permit::is_probe), || "some got through, but not as a probe".into())?;
        bench.sync().await;
        bench.refused(None).await?;
    }
    Ok(())
}

pub(super) async fn taken(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let (bench, permits, rejections) = crowd(harness, pace, 1).await?;
    let other = rejections.iter().find(|rejection| rejection.reason != RejectReason::ProbesTaken);
    if let Some(rejection) = other {
        return broken(format!("expected ProbesTaken, got {:?}", rejection.reason));
    }
    bench.sync().await;
    bench.rejected(RejectReason::ProbesTaken, None).await?;
    drop(permits);
    Ok(())
}

pub(super) async fn unbounded(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    for (verdict, state) in [(Verdict::Success, State::Closed), (Verdict::Failure, State::Open)] {
        let (bench, mut permits, _) = crowd(harness, pace, 0).await?;
        require(permits.len() == CROWD && permits.iter().all(Permit::is_probe), || {
            format!("of {CROWD} that asked, {} got through as probes", permits.len())
        })?;
        let Some(first) = permits.pop() else { return broken("nobody got through") };
        bench.settle(first, verdict).await;
        bench.is(state).await?;
    }
    Ok(())
}

pub(super) async fn success(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
    let probe = bench.half_open().await?;
    bench.settle(probe, Verdict::Success).await;
    bench.is(State::Closed).await?;
    // Those that opened it do not count any more.
    bench.fail(2).await?;
    drop(bench.free().await?);
    Ok(())
}

pub(super) async fn failure(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
    let probe = bench.half_open().await?;
    let opened = bench.opens_by(probe).await;
    let rejection = bench.refused(Some(opened.earliest)).await?;
    let least = opened.earliest.duration_since(Instant::now());
    require(rejection.retry_after.is_none_or(|hint| hint + pace.tolerance >= least), || {
        format!("retry_after is {:?}, and there are {least:?} left at least", rejection.retry_after)
    })?;
    sleep_until(opened.earliest - bench.plan.cooldown / 4).await;
    bench.refused(Some(opened.earliest)).await?;
    sleep_until(opened.over).await;
    drop(bench.probe().await?);
    Ok(())
}

/// More often than there are slots, as they may get lost one by one.
async fn slots_come_back(harness: &dyn BreakerHarness, pace: Pace, end: fn(Permit)) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
    let mut probe = bench.half_open().await?;
    for _ in 0..4 {
        end(probe);
        bench.sync().await;
        bench.is(State::HalfOpen).await?;
        probe = bench.probe().await?;
    }
    let _second = bench.probe().await?;
    bench.refused(None).await?;
    Ok(())
}

pub(super) async fn neutral(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    slots_come_back(harness, pace, |permit| permit.settle(Verdict::Neutral)).await
}

pub(super) async fn dropped(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    slots_come_back(harness, pace, drop).await
}
