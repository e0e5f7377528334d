//! What the limiter does while its store is out of reach.

use std::time::Duration;

use tokio::time::Instant;

use super::Core;
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::refusal::{LimitReason, Limited};
use crate::store::OnOutage;

impl Core {
    /// An answer without the store, where that is lost and nothing has to be reserved.
    pub(super) fn try_stand_in(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        if !self.shared.is_down(key) {
            return None;
        }
        match self.on_outage.get() {
            OnOutage::LocalFallback => {
                self.prepare(key);
                self.local.try_acquire(key, cost).map(degraded)
            }
            OnOutage::FailOpen | OnOutage::FailClosed => Some(self.fixed(cost)),
        }
    }

    /// An answer without the store.
    pub(super) async fn stand_in(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        match self.on_outage.get() {
            OnOutage::LocalFallback => {
                self.prepare(key);
                degraded(self.local.acquire(key, ask, cost).await)
            }
            OnOutage::FailOpen | OnOutage::FailClosed => self.fixed(cost),
        }
    }

    fn fixed(&self, cost: &Cost) -> Result<Reservation, Limited> {
        match self.on_outage.get() {
            OnOutage::FailClosed => Err(Limited::new(LimitReason::StoreUnavailable).with_degraded(true)),
            _ => Ok(Reservation::new(*cost).with_degraded(true)),
        }
    }

    /// Sees to it that the limiter that stands in knows of the hints that were known when the store went away.
    fn prepare(&self, key: &str) {
        let outage = self.shared.outage(key);
        let mut place = self.known.lock(key);
        let Some(known) = place.get() else { return };
        if known.stood_in.replace(outage) != Some(outage) {
            let rest = known.deferred_until.saturating_duration_since(Instant::now());
            drop(place);
            self.local.defer(key, rest);
        }
    }

    pub(super) fn settle_alone(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost) {
        if self.on_outage.get() == OnOutage::LocalFallback {
            self.local.settle(key, lease, reservation, actual);
        }
    }

    pub(super) fn give_back_alone(&self, key: &str, lease: LeaseId, reservation: Reservation) {
        if self.on_outage.get() == OnOutage::LocalFallback {
            self.local.abandon(key, lease, Some(reservation));
        }
    }

    /// The store hears of a hint when it is back; who stands in hears of it now.
    pub(super) fn postpone_alone(&self, key: &str, delay: Duration) {
        if self.on_outage.get() == OnOutage::LocalFallback && self.shared.is_down(key) {
            self.local.defer(key, delay);
        }
    }
}

fn degraded(answer: Result<Reservation, Limited>) -> Result<Reservation, Limited> {
    answer.map(|reservation| reservation.with_degraded(true)).map_err(|limited| limited.with_degraded(true))
}
