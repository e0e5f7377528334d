//! Rules about what can be read, and what is answered without asking.

use std::time::Duration;

use tokio::time::{sleep_until, timeout};

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::{Admission, Verdict};
use crate::lease::LeaseId;
use crate::refusal::{RejectReason, Rejection};
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::summary::{self, Finding, broken, require, skipped};

type Found = summary::Verdict;

pub(super) async fn tells(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    bench.fail(2).await?;
    told(&bench, State::Closed, Some(2)).await?;
    bench.call(Verdict::Success).await?;
    told(&bench, State::Closed, Some(0)).await?;
    let opened = bench.trip().await?;
    told(&bench, State::Open, Some(3)).await?;
    let rest = bench.status().await?.retry_after;
    require(rest.is_some_and(|rest| rest <= bench.plan.cooldown + pace.tolerance), || {
        format!("the rest of its cooldown of {:?} is told as {rest:?}", bench.plan.cooldown)
    })?;
    if rest == Some(Duration::ZERO) && opened.earliest > tokio::time::Instant::now() {
        return broken("the rest of its cooldown is told as zero before it has passed");
    }
    sleep_until(opened.over).await;
    let probe = bench.probe().await?;
    bench.sync().await;
    told(&bench, State::HalfOpen, None).await?;
    bench.settle(probe, Verdict::Success).await;
    told(&bench, State::Closed, Some(0)).await
}

async fn told(bench: &Bench, state: State, failures: Option<u32>) -> Found {
    bench.is(state).await?;
    let status = bench.status().await?;
    require(failures.is_none_or(|failures| status.failures == failures), || {
        format!("while it is {state}, {} failures are told instead of {failures:?}", status.failures)
    })
}

async fn read(bench: &Bench, state: State) -> Found {
    for _ in 0..20 {
        bench.is(state).await?;
    }
    Ok(())
}

pub(super) async fn only_reads(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    read(&bench, State::Closed).await?;
    bench.fail(2).await?;
    read(&bench, State::Closed).await?;
    let opened = bench.opens_by(bench.free().await?).await;
    sleep_until(opened.over).await;
    read(&bench, State::Open).await?;
    let rest = bench.status().await?.retry_after;
    require(rest.is_some_and(|rest| rest <= pace.tolerance), || {
        format!("its cooldown has passed, and its rest is told as {rest:?}")
    })?;
    let probe = bench.probe().await?;
    bench.sync().await;
    read(&bench, State::HalfOpen).await?;
    bench.refused(None).await?;
    bench.settle(probe, Verdict::Success).await;
    read(&bench, State::Closed).await
}

pub(super) async fn epochs(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let before = closed_epoch(&bench).await?;
    let opened = bench.trip().await?;
    sleep_until(opened.over).await;
    let probe = bench.hold(None).await?;
    bench.end(probe, Verdict::Success).await;
    let epochs = [before, probe.admission.epoch, closed_epoch(&bench).await?];
    require(
        epochs.windows(2).all(|pair| pair.iter().min() == pair.first() && pair.first() != pair.last()),
        || format!("the epochs before it opened, of a probe, and after it closed are {epochs:?}"),
    )
}

async fn closed_epoch(bench: &Bench) -> summary::Verdict<u64> {
    let lease = LeaseId::new();
    match bench.ask(lease, None).await? {
        Ok(admission) => {
            bench.abandon(lease, Some(admission));
            Ok(admission.epoch)
        }
        Err(rejection) => broken(format!("expected to get through, got: {rejection}")),
    }
}

pub(super) async fn at_once(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    let answers = |bench: &Bench| bench.backend().try_acquire(bench.circuit.key());
    let mut answered = false;
    let mut look = |state: State, answer: Option<Result<Admission, Rejection>>, may: State| {
        answered |= answer.is_some();
        let agrees = match &answer {
            None => true,
            Some(Ok(admission)) => may == State::Closed && !admission.probe,
            Some(Err(rejection)) => match may {
                State::Closed => false,
                State::Open => rejection.reason == RejectReason::Open,
                State::HalfOpen => rejection.reason == RejectReason::ProbesTaken,
            },
        };
        require(agrees, || format!("while it is {state}, it answers {answer:?} at once"))
    };
    for _ in 0..20 {
        look(State::Closed, answers(&bench), State::Closed)?;
    }
    let opened = bench.trip().await?;
    let answer = answers(&bench);
    if opened.earliest <= tokio::time::Instant::now() {
        return Err(Finding::Late("what is answered at once before the cooldown has passed".into()));
    }
    look(State::Open, answer, State::Open)?;
    sleep_until(opened.over).await;
    // A call gets through now, but it holds something.
    if let Some(answer) = answers(&bench) {
        return broken(format!("it answers {answer:?} at once where a call would go out as a probe"));
    }
    let probe = bench.probe().await?;
    bench.sync().await;
    look(State::HalfOpen, answers(&bench), State::HalfOpen)?;
    bench.settle(probe, Verdict::Success).await;
    look(State::Closed, answers(&bench), State::Closed)?;
    if answered { Ok(()) } else { skipped("it never answers at once") }
}

pub(super) async fn flush(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let bench = Bench::new(harness, pace, BreakerPlan::new(pace)).await?;
    for told in [false, true] {
        if told {
            bench.free().await?.settle(Verdict::Failure);
        }
        if timeout(pace.patience, bench.backend().flush()).await.is_err() {
            return broken(format!("it has not ended after {:?}", pace.patience));
        }
    }
    Ok(())
}
