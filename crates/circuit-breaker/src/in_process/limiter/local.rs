//! One key of the in-process limiter, resolved once: the path without a runtime or a look-up.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::InProcessLimiter;
use crate::in_process::account::Account;
use crate::in_process::cell::Cell;
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Reservation};
use crate::refusal::Limited;

/// One key of an [`InProcessLimiter`], resolved once: for callers that call often, in any thread, with or without a
/// runtime. It shares its state with all who use the same key, in whichever way.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use circuit_breaker::{Cost, InProcessLimiter, Limits};
///
/// let limits = Limits::default().in_flight(NonZeroU32::MIN);
/// let quota = Arc::new(InProcessLimiter::new(limits)).quota("search");
///
/// let slot = quota.admit(Cost::REQUEST).unwrap();
/// assert!(quota.admit(Cost::REQUEST).is_err(), "one at a time");
/// drop(slot);
/// assert!(quota.admit(Cost::REQUEST).is_ok());
/// ```
#[derive(Clone)]
pub struct LocalQuota {
    limiter: Arc<InProcessLimiter>,
    key: Arc<str>,
    /// `None` where there was no room for it.
    cell: Option<Arc<Cell<Account>>>,
    /// There is something to hold under it.
    bounded: bool,
}

impl LocalQuota {
    pub(super) fn new(limiter: Arc<InProcessLimiter>, key: Arc<str>) -> Self {
        let mut place = limiter.accounts.lock(&key);
        let now = limiter.clock.now();
        let cell = limiter.there(&mut place, now).cloned();
        drop(place);
        if cell.is_none() {
            limiter.untold.tell(&key, now);
        }
        let bounded = !limiter.limits(&key).is_unbounded();
        Self { limiter, key, cell, bounded }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The limiter that holds this key's state.
    pub const fn limiter(&self) -> &Arc<InProcessLimiter> {
        &self.limiter
    }

    /// Asks for leave to make a call that costs `cost`. It does not wait until the cost fits.
    ///
    /// # Errors
    ///
    /// [`Limited`] says why not, and when to come back.
    pub fn admit(&self, cost: Cost) -> Result<LocalSlot<'_>, Limited> {
        self.ask(cost, None, None)
    }

    /// Like [`admit`](Self::admit), for a call that takes `hold` at most: a slot that is leaked ends by then.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    pub fn admit_for(&self, cost: Cost, hold: Duration) -> Result<LocalSlot<'_>, Limited> {
        self.ask(cost, Some(hold), None)
    }

    /// Like [`admit`](Self::admit), for a caller that has just read the clock: it is not read again. (Under
    /// a paused clock, that of `tokio::time::Instant::now().into_std()`.)
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    pub fn admit_at(&self, cost: Cost, now: Instant) -> Result<LocalSlot<'_>, Limited> {
        self.ask(cost, None, Some(now))
    }

    /// Keeps calls away for `delay` from now: a service's retry hint. A shorter hint never takes back a longer one,
    /// and the limiter caps it.
    pub fn defer(&self, delay: Duration) {
        match &self.cell {
            Some(cell) => {
                let until = self.limiter.clock.now().after(delay.min(self.limiter.longest_deferral));
                cell.lock().change(|account| account.defer(until));
            }
            None => self.limiter.postpone(&self.key, delay),
        }
    }

    fn ask(
        &self,
        cost: Cost,
        hold: Option<Duration>,
        now: Option<Instant>,
    ) -> Result<LocalSlot<'_>, Limited> {
        let limiter = &*self.limiter;
        let slot = |lease, reservation| LocalSlot { quota: self, lease, reservation, dispatched: false };
        let Some(cell) = &self.cell else {
            if let Some(answer) = limiter.try_ask(&self.key, &cost) {
                return answer.map(|reservation| slot(None, reservation));
            }
            let ask = Ask { lease: LeaseId::local(), hold };
            return limiter.ask(&self.key, &ask, &cost).map(|reservation| slot(Some(ask.lease), reservation));
        };
        if cell.word() == 1 {
            return Ok(slot(None, Reservation::new(cost)));
        }
        let ask = Ask { lease: LeaseId::local(), hold };
        let cost = if self.bounded { limiter.estimate(&self.key, &cost) } else { cost };
        let now = now.map_or_else(|| limiter.clock.now(), |now| limiter.clock.at(now));
        let reservation = limiter.take(cell, &ask, cost, now)?;
        Ok(slot(self.bounded.then_some(ask.lease), reservation))
    }

    fn settle(&self, lease: LeaseId, reserved: &Cost, actual: &Cost) {
        let Some(cell) = &self.cell else { return self.limiter.report(&self.key, lease, reserved, actual) };
        let now = self.limiter.clock.now();
        cell.lock().change(|account| account.settle(lease, reserved, actual, now));
    }

    fn abandon(&self, lease: LeaseId) {
        let Some(cell) = &self.cell else { return self.limiter.release(&self.key, lease) };
        let now = self.limiter.clock.now();
        cell.lock().change(|account| account.abandon(lease, now));
    }
}

/// The last one that held on to a key of which there is nothing to remember takes it along.
impl Drop for LocalQuota {
    fn drop(&mut self) {
        // First, so that of two that go at the same time the later one is alone.
        if self.cell.take().is_some() {
            let mut place = self.limiter.accounts.lock(&self.key);
            self.limiter.remove_if_idle(&mut place);
        }
    }
}

impl fmt::Debug for LocalQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalQuota").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// A reservation of a [`LocalQuota`].
///
/// Dropped before the call went out, it gives everything back. Dropped after [`dispatched`](Self::dispatched), it
/// keeps what was reserved, as the service has counted the call by then. [`settle`](Self::settle) sets it right by
/// what the call did cost.
#[must_use = "dropping a slot gives its reservation back"]
pub struct LocalSlot<'a> {
    quota: &'a LocalQuota,
    /// `None` where nothing is held, or nothing any more.
    lease: Option<LeaseId>,
    reservation: Reservation,
    dispatched: bool,
}

impl LocalSlot<'_> {
    /// The call goes out now: from here on, dropping the slot no longer gives back what was reserved.
    pub const fn dispatched(&mut self) {
        self.dispatched = true;
    }

    /// Reports what the call did cost; a part that is unknown stays as reserved.
    pub fn settle(mut self, actual: &Cost) {
        if let Some(lease) = self.lease.take() {
            self.quota.settle(lease, &self.reservation.cost, actual);
        }
    }

    /// What was reserved.
    pub const fn cost(&self) -> &Cost {
        &self.reservation.cost
    }

    /// The key it was admitted under.
    pub fn key(&self) -> &str {
        self.quota.key()
    }
}

impl Drop for LocalSlot<'_> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if self.dispatched {
            let reserved = self.reservation.cost;
            self.quota.settle(lease, &reserved, &reserved);
        } else {
            self.quota.abandon(lease);
        }
    }
}

impl fmt::Debug for LocalSlot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSlot")
            .field("key", &self.key())
            .field("lease", &self.lease)
            .field("reservation", &self.reservation)
            .field("dispatched", &self.dispatched)
            .finish_non_exhaustive()
    }
}
