//! A quota on the bench: one key of a limiter made for a rule, and what rules do with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{LimiterHarness, LimiterPlan};
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::quota::{Quota, Slot};
use crate::refusal::{LimitReason, Limited};
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run;
use crate::testing::contract::summary::{self, Finding, broken, require, skipped};

/// One key of one client.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) quota: Quota,
    pub(super) pace: Pace,
    /// Until then, nothing of what went out under a slow rate has come back.
    still: Instant,
}

/// A lease held without a slot.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: LeaseId,
    pub(super) reservation: Reservation,
}

pub(super) type Found<T = ()> = summary::Verdict<T>;

/// So many requests.
pub(super) const fn requests(requests: u32) -> Cost {
    Cost::REQUEST.with_requests(requests)
}

/// One request with so much input.
pub(super) const fn input(tokens: u64) -> Cost {
    Cost::REQUEST.with_input_tokens(tokens)
}

/// Whichever rate it is.
pub(super) const RATES: &[LimitReason] =
    &[LimitReason::Rate, LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];

impl Bench {
    pub(super) async fn new(harness: &dyn LimiterHarness, pace: Pace, plan: LimiterPlan) -> Found<Self> {
        match harness.limiter(&plan).await {
            Some(limiter) => Ok(Self::of(limiter, pace)),
            None => skipped(format!("the harness declines {plan:?}")),
        }
    }

    pub(super) async fn pair(
        harness: &dyn LimiterHarness,
        pace: Pace,
        plan: LimiterPlan,
    ) -> Found<[Self; 2]> {
        match harness.pair(&plan).await {
            Some(pair) => Ok(pair.map(|limiter| Self::of(limiter, pace))),
            None => skipped("the harness has no second client"),
        }
    }

    fn of(limiter: Arc<dyn Limiter>, pace: Pace) -> Self {
        Self { quota: Quota::new(limiter, "key"), pace, still: Instant::now() + pace.ages() }
    }

    /// Another key of the same client.
    pub(super) fn key(&self, key: impl Into<Arc<str>>) -> Self {
        Self { quota: Quota::new(Arc::clone(self.quota.limiter()), key), ..self.clone() }
    }

    pub(super) fn backend(&self) -> &dyn Limiter {
        &**self.quota.limiter()
    }

    /// Waits until what was told has taken effect.
    pub(super) async fn sync(&self) {
        run::sync(self.pace, self.backend().flush()).await;
    }

    pub(super) async fn asked(&self, cost: Cost) -> Found<Result<Slot, Limited>> {
        run::within(self.pace, self.quota.admit(cost)).await
    }

    pub(super) async fn fits(&self, cost: Cost) -> Found<Slot> {
        match self.asked(cost).await? {
            Ok(slot) => Ok(slot),
            Err(limited) => broken(format!("expected {cost:?} to fit, got: {limited}")),
        }
    }

    /// Uses so much up.
    pub(super) async fn spend(&self, cost: Cost) -> Found {
        let mut slot = self.fits(cost).await?;
        slot.dispatched();
        self.settle(slot, cost).await;
        Ok(())
    }

    pub(super) async fn settle(&self, slot: Slot, actual: Cost) {
        slot.settle(&actual);
        self.sync().await;
    }

    pub(super) async fn give_back(&self, slot: Slot) {
        drop(slot);
        self.sync().await;
    }

    /// Is refused for one of these reasons. A way in after `until` is not held against it.
    pub(super) async fn limited_until(
        &self,
        cost: Cost,
        reasons: &[LimitReason],
        until: Option<Instant>,
    ) -> Found<Limited> {
        let answer = self.asked(cost).await?;
        let late = until.is_some_and(|until| until <= Instant::now());
        match answer {
            Err(limited) if reasons.contains(&limited.reason) => Ok(limited),
            _ if late => Err(Finding::Late("whether a call was refused in time".into())),
            Err(limited) => broken(format!("expected {reasons:?}, got {:?}", limited.reason)),
            Ok(_) => broken(format!("expected {cost:?} to be refused, got a slot")),
        }
    }

    /// Is refused under a slow rate, whatever the reason.
    pub(super) async fn full(&self, cost: Cost) -> Found<Limited> {
        match self.asked(cost).await? {
            Err(limited) => Ok(limited),
            Ok(_) if self.still <= Instant::now() => {
                Err(Finding::Late("whether a call was refused in time".into()))
            }
            Ok(_) => broken(format!("expected {cost:?} to be refused, got a slot")),
        }
    }

    /// So much fits, and not one more.
    pub(super) async fn has_left(&self, left: u64) -> Found {
        self.full(input(left + 1)).await?;
        drop(self.fits(input(left)).await?);
        self.sync().await;
        Ok(())
    }

    /// Has as many calls out as it may.
    pub(super) async fn crowded(&self, until: Option<Instant>) -> Found {
        self.limited_until(Cost::REQUEST, &[LimitReason::InFlight], until).await.map(drop)
    }

    /// What lasts `span` from now on lasts until then at least.
    pub(super) fn after(&self, span: Duration) -> Instant {
        let now = Instant::now();
        (now + span).checked_sub(self.pace.tolerance).unwrap_or(now)
    }

    /// What has lasted for a moment already, and lasts `span`, is over then.
    pub(super) fn surely_after(&self, span: Duration) -> Instant {
        Instant::now() + span + self.pace.tolerance
    }

    /// Asks as no guard does: without [`Limiter::try_acquire`].
    pub(super) async fn ask(
        &self,
        lease: LeaseId,
        hold: Option<Duration>,
        cost: Cost,
    ) -> Found<Result<Reservation, Limited>> {
        let ask = hold.map_or(Ask::new(lease), |hold| Ask::new(lease).with_hold(hold));
        run::within(self.pace, self.backend().acquire(self.quota.key(), &ask, &cost)).await
    }

    /// A lease held without a slot.
    pub(super) async fn hold(&self, hold: Option<Duration>, cost: Cost) -> Found<Held> {
        let lease = LeaseId::new();
        match self.ask(lease, hold, cost).await? {
            Ok(reservation) => Ok(Held { lease, reservation }),
            Err(limited) => broken(format!("expected {cost:?} to fit, got: {limited}")),
        }
    }

    pub(super) async fn end(&self, held: Held, actual: Cost) {
        self.backend().settle(self.quota.key(), held.lease, held.reservation, &actual);
        self.sync().await;
    }

    pub(super) async fn abandon(&self, lease: LeaseId, reservation: Option<Reservation>) {
        self.backend().abandon(self.quota.key(), lease, reservation);
        self.sync().await;
    }

    /// A hint that makes sense: there, not zero, and not beyond `most`.
    pub(super) fn hint(&self, limited: Limited, most: Duration) -> Found<Duration> {
        let Some(hint) = limited.retry_after else {
            return broken(format!("a refusal for {:?} has no retry_after", limited.reason));
        };
        require(!hint.is_zero() && hint <= most + self.pace.tolerance, || {
            format!("retry_after is {hint:?}, where it is more than zero and {most:?} at most")
        })?;
        Ok(hint)
    }
}
