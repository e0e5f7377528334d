//! Rules about retry hints, and what is answered without asking.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bench::{Bench, Found, requests};
use super::{LimiterHarness, LimiterPlan, RatePlan};
use crate::limiter::Cost;
use crate::refusal::LimitReason;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::summary::{Finding, broken, require, skipped};

const DEFERRED: &[LimitReason] = &[LimitReason::Deferred];

/// With a bound and without one, as a backend may keep nothing where there is none.
fn plans(pace: Pace) -> [LimiterPlan; 2] {
    [LimiterPlan::default(), LimiterPlan::requests(RatePlan::ten(pace))]
}

pub(super) async fn says(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    for plan in plans(pace) {
        let bench = Bench::new(harness, pace, plan).await?;
        let delay = pace.span();
        let until = bench.after(delay);
        bench.quota.defer(delay);
        bench.sync().await;
        let limited = bench.limited_until(Cost::REQUEST, DEFERRED, Some(until)).await?;
        let hint = bench.hint(limited, delay)?;
        sleep(hint / 2).await;
        bench.limited_until(Cost::REQUEST, DEFERRED, Some(until)).await?;
        sleep(hint + pace.tolerance).await;
        drop(bench.fits(Cost::REQUEST).await?);
    }
    Ok(())
}

pub(super) async fn longest(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let (long, short) = (2 * pace.span(), pace.span() / 2);
    for hints in [[long, short], [short, long]] {
        let bench = Bench::new(harness, pace, LimiterPlan::default()).await?;
        let until = bench.after(long);
        for delay in hints {
            bench.quota.defer(delay);
        }
        bench.sync().await;
        let over = bench.surely_after(long);
        sleep(pace.span()).await;
        bench.limited_until(Cost::REQUEST, DEFERRED, Some(until)).await?;
        sleep_until(over).await;
        drop(bench.fits(Cost::REQUEST).await?);
    }
    Ok(())
}

pub(super) async fn any_delay(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    for plan in plans(pace) {
        let bench = Bench::new(harness, pace, plan).await?;
        bench.quota.defer(Duration::ZERO);
        bench.sync().await;
        drop(bench.fits(Cost::REQUEST).await?);
        for delay in [Duration::MAX, Duration::ZERO] {
            bench.quota.defer(delay);
            bench.sync().await;
            bench.limited_until(Cost::REQUEST, DEFERRED, None).await?;
        }
    }
    Ok(())
}

pub(super) async fn own_key(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    for plan in plans(pace) {
        let bench = Bench::new(harness, pace, plan).await?;
        bench.quota.defer(pace.ages());
        bench.sync().await;
        for other in ["other", "", "KEY", "key "] {
            drop(bench.key(other).fits(Cost::REQUEST).await?);
        }
        bench.limited_until(Cost::REQUEST, DEFERRED, None).await?;
    }
    Ok(())
}

pub(super) async fn at_once(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let mut answered = false;
    let mut look = |bench: &Bench, cost: Cost| {
        let answer = bench.backend().try_acquire(bench.quota.key(), &cost);
        answered |= answer.is_some();
        answer
    };

    let ten = Bench::new(harness, pace, LimiterPlan::requests(RatePlan::ten(pace))).await?;
    if let Some(answer) = look(&ten, requests(10)) {
        return broken(format!("it answers {answer:?} at once where something has to be reserved"));
    }
    ten.spend(requests(10)).await?;
    if let Some(Ok(_)) = look(&ten, requests(1)) {
        return broken("it says yes at once where there is no room");
    }

    let bench = Bench::new(harness, pace, LimiterPlan::default()).await?;
    if let Some(Err(limited)) = look(&bench, Cost::REQUEST) {
        return broken(format!("it says no at once where a call goes out: {limited}"));
    }
    let (delay, until) = (pace.span(), bench.after(pace.span()));
    bench.quota.defer(delay);
    bench.sync().await;
    let answer = look(&bench, Cost::REQUEST);
    if Instant::now() >= until {
        return Err(Finding::Late("what is answered at once under a deferred key".into()));
    }
    let agrees = answer.is_none_or(|answer| answer.is_err_and(|no| no.reason == LimitReason::Deferred));
    require(agrees, || format!("under a deferred key, it answers {answer:?} at once"))?;
    sleep_until(bench.surely_after(delay)).await;
    if let Some(Err(limited)) = look(&bench, Cost::REQUEST) {
        return broken(format!("it says no at once when the deferral is over: {limited}"));
    }
    if answered { Ok(()) } else { skipped("it never answers at once") }
}

pub(super) async fn flush(harness: &dyn LimiterHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, LimiterPlan::default()).await?;
    for told in [false, true] {
        if told {
            bench.fits(Cost::REQUEST).await?.settle(&Cost::REQUEST);
            bench.quota.defer(pace.span());
        }
        if timeout(pace.patience, bench.backend().flush()).await.is_err() {
            return broken(format!("it has not ended after {:?}", pace.patience));
        }
    }
    Ok(())
}
