//! A circuit on the bench: one key of a breaker made for a rule, and what rules do with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{BreakerHarness, BreakerPlan};
use crate::breaker::{Admission, Breaker, Verdict};
use crate::circuit::{Circuit, Permit};
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};
use crate::status::{State, Status};
use crate::testing::contract::pace::Pace;
use crate::testing::contract::run;
use crate::testing::contract::summary::{self, Finding, broken, ready, require, skipped};

/// One key of one client.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) circuit: Circuit,
    pub(super) plan: BreakerPlan,
    pub(super) pace: Pace,
}

/// When the cooldown of an opening ends.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    /// Not before this.
    pub(super) earliest: Instant,
    /// By now.
    pub(super) over: Instant,
}

/// A probe's lease, held without a permit.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: LeaseId,
    pub(super) admission: Admission,
}

type Found<T = ()> = summary::Verdict<T>;

impl Bench {
    pub(super) async fn new(harness: &dyn BreakerHarness, pace: Pace, plan: BreakerPlan) -> Found<Self> {
        match harness.breaker(&plan).await {
            Some(breaker) => Ok(Self { circuit: Circuit::new(breaker, "key"), plan, pace }),
            None => skipped(format!("the harness declines {plan:?}")),
        }
    }

    pub(super) async fn pair(
        harness: &dyn BreakerHarness,
        pace: Pace,
        plan: BreakerPlan,
    ) -> Found<[Self; 2]> {
        match harness.pair(&plan).await {
            Some(pair) => Ok(pair.map(|breaker| {
                let circuit = Circuit::new(breaker, "key");
                Self { circuit, plan: plan.clone(), pace }
            })),
            None => skipped("the harness has no second client"),
        }
    }

    /// Another key of the same client.
    pub(super) fn key(&self, key: impl Into<Arc<str>>) -> Self {
        Self { circuit: Circuit::new(Arc::clone(self.circuit.breaker()), key), ..self.clone() }
    }

    pub(super) fn backend(&self) -> &dyn Breaker {
        &**self.circuit.breaker()
    }

    /// Waits until what was told has taken effect.
    pub(super) async fn sync(&self) {
        run::sync(self.pace, self.backend().flush()).await;
    }

    pub(super) async fn asked(&self) -> Found<Result<Permit, Rejection>> {
        run::within(self.pace, self.circuit.admit()).await
    }

    pub(super) async fn status(&self) -> Found<Status> {
        run::within(self.pace, self.circuit.status()).await
    }

    pub(super) async fn admit(&self) -> Found<Permit> {
        match self.asked().await? {
            Ok(permit) => Ok(permit),
            Err(rejection) => broken(format!("expected to get through, got: {rejection}")),
        }
    }

    /// Gets through as through a closed circuit.
    pub(super) async fn free(&self) -> Found<Permit> {
        let permit = self.admit().await?;
        require(!permit.is_probe(), || "expected a closed circuit, got a probe's permit".into())?;
        Ok(permit)
    }

    /// Gets through as a probe.
    pub(super) async fn probe(&self) -> Found<Permit> {
        let permit = self.admit().await?;
        require(permit.is_probe(), || "expected a probe's permit, got one of a closed circuit".into())?;
        Ok(permit)
    }

    /// Is turned away, whatever the reason. A way in after `until` is not held against it.
    pub(super) async fn refused(&self, until: Option<Instant>) -> Found<Rejection> {
        match self.asked().await? {
            Err(rejection) => Ok(rejection),
            Ok(_) if until.is_some_and(|until| until <= Instant::now()) => {
                Err(Finding::Late("whether a call was rejected in time".into()))
            }
            Ok(permit) => broken(format!("expected a rejection, got {permit:?}")),
        }
    }

    pub(super) async fn rejected(&self, reason: RejectReason, until: Option<Instant>) -> Found<Rejection> {
        let rejection = self.refused(until).await?;
        // One that came too late may have found the next state.
        if rejection.reason != reason && until.is_some_and(|until| until <= Instant::now()) {
            return Err(Finding::Late("why a call was rejected".into()));
        }
        require(rejection.reason == reason, || format!("expected {reason:?}, got {:?}", rejection.reason))?;
        Ok(rejection)
    }

    pub(super) async fn settle(&self, permit: Permit, verdict: Verdict) {
        permit.settle(verdict);
        self.sync().await;
    }

    pub(super) async fn call(&self, verdict: Verdict) -> Found {
        let permit = self.free().await?;
        self.settle(permit, verdict).await;
        Ok(())
    }

    pub(super) async fn fail(&self, times: u32) -> Found {
        for _ in 0..times {
            self.free().await?.settle(Verdict::Failure);
        }
        self.sync().await;
        Ok(())
    }

    /// Opens it.
    pub(super) async fn trip(&self) -> Found<Opened> {
        ready(self.fail(self.plan.failures.get() - 1).await)?;
        let permit = ready(self.free().await)?;
        let opened = self.opens_by(permit).await;
        ready(self.refused(Some(opened.earliest)).await)?;
        Ok(opened)
    }

    /// Opens it with the failure of this call.
    pub(super) async fn opens_by(&self, permit: Permit) -> Opened {
        let earliest = self.after(self.plan.cooldown);
        self.settle(permit, Verdict::Failure).await;
        Opened { earliest, over: self.surely_after(self.plan.cooldown) }
    }

    /// Opens it, and waits until the next call goes out as a probe.
    pub(super) async fn cooled(&self) -> Found {
        let opened = self.trip().await?;
        sleep_until(opened.over).await;
        Ok(())
    }

    /// Opens it, waits, and has a probe out.
    pub(super) async fn half_open(&self) -> Found<Permit> {
        self.cooled().await?;
        ready(self.probe().await)
    }

    /// Opens it and closes it again.
    pub(super) async fn recover(&self) -> Found {
        let probe = self.half_open().await?;
        self.settle(probe, Verdict::Success).await;
        ready(self.is(State::Closed).await)
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

    pub(super) async fn is(&self, state: State) -> Found {
        let status = self.status().await?;
        require(status.state == state, || format!("expected it to be {state}, got {status:?}"))
    }

    /// Asks as no guard does: without [`Breaker::try_acquire`].
    pub(super) async fn ask(
        &self,
        lease: LeaseId,
        hold: Option<Duration>,
    ) -> Found<Result<Admission, Rejection>> {
        let ask = hold.map_or(Ask::new(lease), |hold| Ask::new(lease).with_hold(hold));
        run::within(self.pace, self.backend().acquire(self.circuit.key(), &ask)).await
    }

    /// A probe's lease, held without a permit.
    pub(super) async fn hold(&self, hold: Option<Duration>) -> Found<Held> {
        let lease = LeaseId::new();
        match self.ask(lease, hold).await? {
            Ok(admission @ Admission { probe: true, .. }) => Ok(Held { lease, admission }),
            Ok(admission) => broken(format!("expected a probe's admission, got {admission:?}")),
            Err(rejection) => broken(format!("expected to get through, got: {rejection}")),
        }
    }

    pub(super) async fn end(&self, held: Held, verdict: Verdict) {
        self.backend().settle(self.circuit.key(), Some(held.lease), held.admission, verdict.into());
        self.sync().await;
    }

    pub(super) fn abandon(&self, lease: LeaseId, admission: Option<Admission>) {
        self.backend().abandon(self.circuit.key(), lease, admission);
    }

    /// One slot is free, and no more.
    pub(super) async fn one_slot(&self) -> Found<Permit> {
        let probe = self.probe().await?;
        self.refused(None).await?;
        Ok(probe)
    }
}
