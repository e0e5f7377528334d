//! Rules about two clients of one store.

use tokio::time::sleep_until;

use super::bench::Bench;
use super::{BreakerHarness, BreakerPlan};
use crate::breaker::Verdict;
use crate::status::State;
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run::together;
use crate::testing::contract::summary::{self, require};

type Found = summary::Verdict;

pub(super) async fn opens(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace, BreakerPlan::new(pace)).await?;
    // So that it has seen it closed.
    drop(other.free().await?);
    let opened = one.trip().await?;
    other.refused(Some(opened.earliest)).await?;
    sleep_until(opened.over).await;
    drop(other.probe().await?);
    Ok(())
}

pub(super) async fn probes(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace, BreakerPlan::new(pace).probes(2)).await?;
    one.cooled().await?;
    let ask = |turn: usize| {
        let client = if turn.is_multiple_of(2) { &one } else { &other }.clone();
        async move { client.asked().await }
    };
    let mut permits = Vec::new();
    for answer in together((0..32).map(ask)).await? {
        permits.extend(answer?);
    }
    require(permits.len() == 2, || {
        format!("32 asked two clients at once, and {} got through instead of 2", permits.len())
    })?;
    // What one client gives back is free for the other.
    drop(permits.pop());
    one.sync().await;
    other.sync().await;
    let again = other.one_slot().await?;
    one.refused(None).await?;
    drop((again, permits));
    Ok(())
}

pub(super) async fn decides(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace, BreakerPlan::new(pace)).await?;
    one.cooled().await?;
    let probe = other.probe().await?;
    let opened = other.opens_by(probe).await;
    one.refused(Some(opened.earliest)).await?;
    sleep_until(opened.over).await;
    let probe = other.probe().await?;
    one.refused(None).await?;
    other.settle(probe, Verdict::Success).await;
    one.is(State::Closed).await?;
    drop(one.free().await?);
    Ok(())
}

pub(super) async fn late(harness: &dyn BreakerHarness, pace: Pace) -> Found {
    let [one, other] = Bench::pair(harness, pace, BreakerPlan::new(pace)).await?;
    let late = [one.free().await?, one.free().await?, one.free().await?];
    other.recover().await?;
    for permit in late {
        permit.settle(Verdict::Failure);
    }
    one.sync().await;
    for client in [&one, &other] {
        client.is(State::Closed).await?;
        drop(client.free().await?);
    }
    Ok(())
}
