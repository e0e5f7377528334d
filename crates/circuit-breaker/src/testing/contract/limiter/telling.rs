//! Rules about telling: from anywhere, and without a wait.

use super::bench::{Bench, Found, input};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::lease::LeaseId;
use crate::limiter::Cost;
use crate::quota::Slot;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{self, TOLD};
use crate::testing::contract::summary::{ready, require};

/// What it is called, and how it is done.
type End = (&'static str, fn(Slot));

const ENDS: [End; 3] = [
    ("settling a slot", |slot| slot.settle(&input(0))),
    ("dropping a slot", drop),
    ("dropping a slot whose call went out", |mut slot| {
        slot.dispatched();
        drop(slot);
    }),
];

pub(super) async fn settled_elsewhere(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::input(RatePlan::ten(pace))).await?;
    for (_, end) in ENDS {
        let slot = ready(bench.fits(input(2)).await)?;
        run::elsewhere(move || end(slot))?;
        bench.sync().await;
    }
    // The one that went out.
    ready(bench.has_left(8).await)?;
    let quota = bench.quota.clone();
    run::elsewhere(move || quota.defer(pace.ages()))?;
    bench.sync().await;
    let deferred = bench.asked(Cost::REQUEST).await?.is_err();
    ready(require(deferred, || "a hint from there keeps nobody away".into()))
}

pub(super) async fn unblocked(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::input(RatePlan::ten(pace))).await?;
    for (what, end) in ENDS {
        let mut out = Vec::new();
        for _ in 0..TOLD {
            out.push(ready(bench.fits(input(0)).await)?);
        }
        run::unblocked(what, out.into_iter().map(|slot| move || end(slot)))?;
        bench.sync().await;
    }
    let (backend, key) = (bench.backend(), bench.quota.key());
    let never = (0..TOLD).map(|_| || backend.abandon(key, LeaseId::new(), None));
    run::unblocked("abandoning what was never held", never)?;
    run::unblocked("deferring", (0..TOLD).map(|_| || bench.quota.defer(pace.span())))
}
