//! Rules about telling: from anywhere, and without a wait.

use tokio::time::sleep_until;

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::lease::LeaseId;
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{self, TOLD};
use crate::testing::contract::summary::{self, ready};

type Found = summary::Verdict;

pub(super) async fn settled_elsewhere(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    for verdict in [Verdict::Success, Verdict::Failure, Verdict::Neutral] {
        let permit = ready(bench.free().await)?;
        run::elsewhere(move || permit.settle(verdict))?;
        bench.sync().await;
    }
    let bench = bench.key("other");
    let probe = ready(bench.half_open().await)?;
    run::elsewhere(move || probe.settle(Verdict::Success))?;
    bench.sync().await;
    ready(bench.is(State::Closed).await)
}

pub(super) async fn unblocked(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let plan = BreakerPlan::new(pace).failures(2 * TOLD).probes(TOLD);
    let bench = Bench::new(harness, pace, plan).await?;
    for verdict in [Verdict::Neutral, Verdict::Success, Verdict::Failure] {
        let mut out = Vec::new();
        for _ in 0..TOLD {
            out.push(ready(bench.free().await)?);
        }
        let calls = out.into_iter().map(|permit| move || permit.settle(verdict));
        run::unblocked(&format!("settling a {verdict:?}"), calls)?;
        bench.sync().await;
    }
    // So many have failed already.
    ready(bench.fail(TOLD - 1).await)?;
    let opened = bench.opens_by(ready(bench.free().await)?).await;
    sleep_until(opened.over).await;
    let mut out = Vec::new();
    for _ in 0..TOLD {
        out.push(ready(bench.probe().await)?);
    }
    run::unblocked("dropping a probe", out.into_iter().map(|probe| move || drop(probe)))?;
    bench.sync().await;
    let never = (0..TOLD).map(|_| || bench.abandon(LeaseId::new(), None));
    run::unblocked("abandoning what was never held", never)
}
