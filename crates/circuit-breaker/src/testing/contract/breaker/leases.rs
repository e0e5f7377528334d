//! Rules about leases: how they are given back, and how they end by themselves.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::lease::LeaseId;
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::{self, Until};
use crate::testing::contract::summary::{self, broken, require};

type Found<T = ()> = summary::Verdict<T>;

/// With one slot, and that free.
async fn one_free(harness: &dyn BreakerHarness, pace: Pace) -> Found<Bench> {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    bench.cooled().await?;
    Ok(bench)
}

pub(super) async fn by_name(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    for known in [false, true] {
        let held = bench.hold(None).await?;
        for _ in 0..2 {
            bench.abandon(held.lease, known.then_some(held.admission));
        }
        bench.sync().await;
        drop(bench.one_slot().await?);
        bench.sync().await;
    }
    // One that was never held.
    bench.abandon(LeaseId::new(), None);
    bench.sync().await;
    drop(bench.one_slot().await?);
    Ok(())
}

pub(super) async fn dropped_early(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    let hold = pace.span();
    let began = Instant::now();
    drop(bench.probe().await?);
    let round_trip = began.elapsed();
    bench.sync().await;
    for until in Until::points(round_trip) {
        until.drop(bench.circuit.admit_for(hold)).await;
        // Where the store grants it afterwards, its hold ends it at the latest.
        let over = bench.surely_after(hold) + round_trip;
        bench.sync().await;
        loop {
            let asked = Instant::now();
            let Err(rejection) = bench.asked().await? else { break };
            if asked >= over {
                return broken(format!("dropped after {until:?}, its slot is not free: {rejection}"));
            }
            sleep(hold / 16).await;
        }
        bench.sync().await;
    }
    Ok(())
}

pub(super) async fn elsewhere(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    let probe = bench.one_slot().await?;
    run::elsewhere(move || drop(probe))?;
    bench.sync().await;
    drop(bench.probe().await?);
    Ok(())
}

pub(super) async fn twice(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
    bench.cooled().await?;
    let held = bench.hold(None).await?;
    for _ in 0..3 {
        if let Err(rejection) = bench.ask(held.lease, None).await? {
            return broken(format!("asked again with a lease that is held, it answers: {rejection}"));
        }
    }
    let second = bench.one_slot().await?;
    bench.abandon(held.lease, Some(held.admission));
    bench.sync().await;
    let first = bench.one_slot().await?;
    drop((first, second));
    Ok(())
}

pub(super) async fn ended(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    for settled in [true, false] {
        let held = bench.hold(None).await?;
        if settled {
            bench.end(held, Verdict::Neutral).await;
        } else {
            bench.abandon(held.lease, Some(held.admission));
            bench.sync().await;
        }
        let next = bench.one_slot().await?;
        bench.abandon(held.lease, Some(held.admission));
        bench.sync().await;
        bench.refused(None).await?;
        drop(next);
        bench.sync().await;
    }
    Ok(())
}

/// A lease is leaked that is held for `span`, as was asked or by itself.
async fn leaked(bench: &Bench, asked: Option<Duration>, span: Duration) -> Found {
    let least = bench.after(span);
    let held = bench.hold(asked).await?;
    let over = bench.surely_after(span);
    bench.refused(Some(least)).await?;
    sleep(span / 2).await;
    bench.refused(Some(least)).await?;
    sleep_until(over).await;
    let next = bench.one_slot().await?;
    // It is somebody else's slot now.
    bench.abandon(held.lease, Some(held.admission));
    bench.sync().await;
    bench.refused(None).await?;
    bench.settle(next, Verdict::Success).await;
    bench.is(State::Closed).await
}

pub(super) async fn asked_hold(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    leaked(&bench, Some(pace.span()), pace.span()).await
}

pub(super) async fn own_hold(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let span = pace.span();
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace).hold(span)).await?;
    bench.cooled().await?;
    let least = bench.after(span);
    bench.hold(None).await?;
    let over = bench.surely_after(span);
    bench.refused(Some(least)).await?;
    sleep_until(over).await;
    drop(bench.probe().await?);
    Ok(())
}

pub(super) async fn any_hold(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = one_free(harness, pace).await?;
    for hold in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        // How long that is, is for the backend to say.
        match run::within(pace, bench.circuit.admit_for(hold)).await? {
            Ok(permit) => drop(permit),
            Err(rejection) => return broken(format!("with a hold of {hold:?}: {rejection}")),
        }
        bench.sync().await;
        drop(bench.one_slot().await?);
        bench.sync().await;
    }
    let longest = bench.hold(Some(Duration::MAX)).await?;
    bench.refused(None).await?;
    bench.end(longest, Verdict::Success).await;
    bench.is(State::Closed).await
}

pub(super) async fn expired(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    for verdict in [Verdict::Success, Verdict::Failure] {
        for taken in [false, true] {
            let bench = one_free(harness, pace).await?;
            let held = bench.hold(Some(pace.span())).await?;
            sleep_until(bench.surely_after(pace.span())).await;
            let next = if taken { Some(bench.probe().await?) } else { None };
            bench.end(held, verdict).await;
            bench.is(State::HalfOpen).await?;
            let closes = match next {
                Some(next) => next,
                None => bench.probe().await?,
            };
            let free = bench.asked().await?.is_ok();
            require(!free, || "it freed the slot of another probe".into())?;
            bench.settle(closes, Verdict::Success).await;
            bench.is(State::Closed).await?;
        }
    }
    Ok(())
}
