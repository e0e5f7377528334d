//! Rules about keys.

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::status::{Mode, State, Status};
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{look_alikes, shown};
use crate::testing::contract::summary::{self, broken, require};

pub(super) async fn unknown(harness: &dyn BreakerHarness, pace: Pace) -> summary::Verdict {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    for _ in 0..2 {
        let Status { state, mode, failures, retry_after, probes, .. } = bench.status().await?;
        require(
            (state, mode, failures, retry_after, probes) == (State::Closed, Mode::Automatic, 0, None, 0),
            || {
                format!(
                    "its status is {state}, {mode}, {failures} failures, {retry_after:?}, {probes} probes"
                )
            },
        )?;
        drop(bench.free().await?);
        bench.sync().await;
    }
    Ok(())
}

pub(super) async fn apart(harness: &dyn BreakerHarness, pace: Pace) -> summary::Verdict {
    let plan = BreakerPlan::new(pace).failures(1).cooldown(pace.ages());
    let bench = Bench::new(harness, pace, plan).await?;
    let pairs = look_alikes();
    for [one, _] in &pairs {
        let Ok(permit) = bench.key(one.as_str()).free().await else {
            return broken(format!("{} shares the circuit of another key", shown(one)));
        };
        permit.settle(Verdict::Failure);
    }
    bench.sync().await;
    for [one, other] in &pairs {
        let opened = bench.key(one.as_str()).is(State::Open).await.is_ok();
        require(opened, || format!("{} did not open", shown(one)))?;
        let apart = bench.key(other.as_str()).free().await.is_ok();
        require(apart, || format!("{} shares the circuit of {}", shown(other), shown(one)))?;
    }
    Ok(())
}

pub(super) async fn probes_apart(harness: &dyn BreakerHarness, pace: Pace) -> summary::Verdict {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let other = bench.key("other");
    bench.trip().await?;
    other.cooled().await?;
    let (probe, others) = (bench.one_slot().await?, other.one_slot().await?);
    other.settle(others, Verdict::Success).await;
    other.is(State::Closed).await?;
    bench.refused(None).await?;
    bench.settle(probe, Verdict::Success).await;
    bench.is(State::Closed).await
}
