//! What a caller of a limiter uses: a quota is one key of one limiter, a slot is one reservation held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::lease::{Armed, Ask, Bound, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::refusal::Limited;

/// One key of one [`Limiter`], bound once. Cheap to clone, and meant to be kept by whoever calls often.
#[derive(Clone)]
pub struct Quota {
    bound: Arc<Bound<dyn Limiter>>,
}

impl Quota {
    /// Binds `key` to `limiter`.
    pub fn new(limiter: Arc<dyn Limiter>, key: impl Into<Arc<str>>) -> Self {
        Self { bound: Arc::new(Bound { backend: limiter, key: key.into() }) }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.bound.key
    }

    /// The limiter that holds this key's state.
    pub fn limiter(&self) -> &Arc<dyn Limiter> {
        &self.bound.backend
    }

    /// Asks for leave to make a call that costs `cost`. It does not wait until the cost fits.
    ///
    /// # Errors
    ///
    /// [`Limited`] says why not, and when to come back.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any point: what the backend had reserved, or reserves later, is given back.
    pub async fn admit(&self, cost: Cost) -> Result<Slot, Limited> {
        self.ask(cost, None).await
    }

    /// Like [`admit`](Self::admit), for a call that takes `hold` at most: a slot that is leaked ends by then.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    ///
    /// # Cancellation
    ///
    /// As for [`admit`](Self::admit).
    pub async fn admit_for(&self, cost: Cost, hold: Duration) -> Result<Slot, Limited> {
        self.ask(cost, Some(hold)).await
    }

    /// The answer of [`admit`](Self::admit) where it can be told without a wait and nothing has to be held, as where
    /// there are no rates; `None` where `admit` has to be asked.
    pub fn try_admit(&self, cost: Cost) -> Option<Result<Slot, Limited>> {
        let answer = self.bound.backend.try_acquire(&self.bound.key, &cost)?;
        Some(answer.map(|reservation| Slot {
            lease: Armed::unheld(&self.bound),
            reservation,
            dispatched: false,
        }))
    }

    async fn ask(&self, cost: Cost, hold: Option<Duration>) -> Result<Slot, Limited> {
        if let Some(answer) = self.try_admit(cost) {
            return answer;
        }
        let ask = Ask { lease: LeaseId::new(), hold };
        let mut lease = Armed::new(&self.bound, ask.lease);
        match self.bound.backend.acquire(&self.bound.key, &ask, &cost).await {
            Ok(reservation) => Ok(Slot { lease: lease.granted(reservation), reservation, dispatched: false }),
            Err(limited) => {
                lease.disarm();
                Err(limited)
            }
        }
    }

    /// Keeps calls away for `delay` from now: a service's retry hint. A shorter hint never takes back a longer one,
    /// and the backend caps it. Does not block.
    pub fn defer(&self, delay: Duration) {
        self.bound.backend.defer(&self.bound.key, delay);
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A reservation held.
///
/// Dropped before the call went out, it gives everything back. Dropped after [`dispatched`](Self::dispatched), it
/// keeps what was reserved, as the service has counted the call by then. [`settle`](Self::settle) sets it right by
/// what the call did cost.
#[must_use = "dropping a slot gives its reservation back"]
pub struct Slot {
    lease: Armed<dyn Limiter>,
    reservation: Reservation,
    dispatched: bool,
}

impl Slot {
    /// The call goes out now: from here on, dropping the slot no longer gives back what was reserved.
    pub fn dispatched(&mut self) {
        self.dispatched = true;
    }

    /// Reports what the call did cost; a part that is unknown stays as reserved. Does not block.
    pub fn settle(mut self, actual: &Cost) {
        self.end(actual);
    }

    /// What was reserved.
    pub fn cost(&self) -> &Cost {
        &self.reservation.cost
    }

    /// The admission came without the shared store, which was not available.
    pub fn degraded(&self) -> bool {
        self.reservation.degraded
    }

    /// The key it was admitted under.
    pub fn key(&self) -> &str {
        &self.lease.bound.key
    }

    /// The lease it holds; `None` where nothing has to be held.
    pub fn lease(&self) -> Option<LeaseId> {
        self.lease.id()
    }

    fn end(&mut self, actual: &Cost) {
        // First, so that a backend that panics below is not asked to settle a second time while unwinding.
        self.dispatched = false;
        let Some(id) = self.lease.id() else { return };
        let Bound { backend, key } = &*self.lease.bound;
        backend.settle(key, id, self.reservation, actual);
        self.lease.disarm();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.dispatched {
            let reserved = self.reservation.cost;
            self.end(&reserved);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("key", &self.key())
            .field("lease", &self.lease())
            .field("reservation", &self.reservation)
            .field("dispatched", &self.dispatched)
            .finish_non_exhaustive()
    }
}
