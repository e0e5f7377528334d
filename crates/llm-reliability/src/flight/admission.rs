//! What happens before anything leaves: the candidate, its breaker and its limiter may object.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{LimitReason, Limited, Permit, RejectReason, Rejection, Slot};
use llm_protocol::{Clock, Error};

use super::{Cause, Flight};
use crate::attempt::Outcome;
use crate::run::within;
use crate::timeouts::deadline;

/// How long a store may take over an admission before the candidate is passed over.
pub(crate) const ADMISSION: Duration = Duration::from_secs(5);

impl Flight {
    /// Asks everyone who may object, before anything leaves. Who has to be waited for is boxed: most need not be, and an
    /// attempt takes less room without.
    pub(super) async fn admit(&mut self) -> Result<(), Cause> {
        let capabilities = self.seat.candidate.adapter.capabilities();
        if let Some(missing) = capabilities.missing(&self.run.request) {
            let error = Error::unsupported(missing.as_str()).with_model_key(Arc::clone(&self.seat.key));
            return Err(Cause::preempted(Outcome::PreemptedUnsupported(error)));
        }
        let hold = self.run.hold(self.meter.longest()).saturating_add(ADMISSION);
        let admitted = if let Some(answer) = self.seat.circuit.try_admit() {
            answer
        } else {
            let silent = Rejection::new(RejectReason::StoreUnavailable).with_degraded(true);
            Box::pin(self.in_time(self.seat.circuit.admit_for(hold), Err(silent))).await?
        };
        self.degraded |= admitted.as_ref().map_or_else(|rejection| rejection.degraded, Permit::degraded);
        self.permit = Some(admitted.map_err(|rejection| {
            let Rejection { retry_after, reason, .. } = rejection;
            self.degraded |= reason == RejectReason::StoreUnavailable;
            Cause::preempted(Outcome::PreemptedOpen { retry_after, reason })
        })?);

        let cost = self.run.cost();
        let admitted = if let Some(answer) = self.seat.quota.try_admit(cost) {
            answer
        } else {
            let silent = Limited::new(LimitReason::StoreUnavailable).with_degraded(true);
            Box::pin(self.in_time(self.seat.quota.admit_for(cost, hold), Err(silent))).await?
        };
        self.degraded |= admitted.as_ref().map_or_else(|limited| limited.degraded, Slot::degraded);
        self.slot = Some(admitted.map_err(|limited| {
            let Limited { retry_after, reason, .. } = limited;
            self.degraded |= reason == LimitReason::StoreUnavailable;
            Cause::preempted(Outcome::PreemptedLimited { retry_after, reason })
        })?);
        Ok(())
    }

    /// What a store says, or what stands for it when the store says nothing for too long. Stores have limits of their
    /// own, and much shorter ones: this one keeps a store that has none from holding up the call for ever.
    fn in_time<T>(
        &self,
        admission: impl Future<Output = T> + Send,
        silent: T,
    ) -> impl Future<Output = Result<T, Error>> + Send
    where
        T: Send,
    {
        let limit = deadline(self.begun, ADMISSION);
        let total = self.run.total.filter(|total| *total < limit);
        async move {
            match total {
                Some(total) => within(total, admission).await.ok_or_else(|| Error::timeout(Clock::Total)),
                None => Ok(within(limit, admission).await.unwrap_or(silent)),
            }
        }
    }
}
