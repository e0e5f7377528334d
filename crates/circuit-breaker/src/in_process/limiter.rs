//! The in-process limiter: rates, calls in flight and retry hints per key, each under its own lock, with tokio's clock.

mod local;
#[cfg(feature = "redis")]
mod stand_in;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::in_process::account::Account;
use crate::in_process::cell::Cell;
use crate::in_process::clock::{Clock, Time};
use crate::in_process::shards::{Place, Shards};
use crate::in_process::untracked::{Untold, Untracked};
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::limits::{Limits, amounts};
use crate::refusal::Limited;
use crate::settings::{DAY, hold};
pub use local::{LocalQuota, LocalSlot};

/// A limiter that keeps its state in this process, for any threads and runtimes, or none. The default has no rates: it
/// lets everything through, except under keys that were [deferred](Limiter::defer), until their time has passed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::num::NonZeroU64;
/// use std::sync::Arc;
/// use std::time::Duration;
/// use circuit_breaker::{Cost, InProcessLimiter, LimitReason, Limits, Quota, Rate};
///
/// let two_a_minute = Limits::default().requests(Rate::per_minute(NonZeroU64::new(2).unwrap()));
/// let quota = Quota::new(Arc::new(InProcessLimiter::new(two_a_minute)), "search");
///
/// for _ in 0..2 {
///     let mut slot = quota.admit(Cost::REQUEST).await.unwrap();
///     slot.dispatched(); // the request leaves
///     slot.settle(&Cost::REQUEST.with_output_tokens(300)); // and this is what it did cost
/// }
/// let limited = quota.admit(Cost::REQUEST).await.unwrap_err();
/// assert_eq!(limited.reason, LimitReason::RequestRate);
/// assert!(limited.retry_after.unwrap() <= Duration::from_secs(30));
///
/// quota.defer(Duration::from_secs(90)); // the service answered 429, Retry-After: 90
/// assert_eq!(quota.admit(Cost::REQUEST).await.unwrap_err().reason, LimitReason::Deferred);
/// # }
/// ```
///
/// # What a call costs
///
/// What is known is reserved with the yes. What is not, the [estimator](Self::estimator) may say; without one, a call
/// of unknown size needs room for one unit and reserves none. The settlement sets each right: what was too much is
/// given back as far as it has not come back by itself, what was too little is charged (of one report, as much as comes
/// back in a day, or in the rate's period if that is longer: what claims more is a mistake).
///
/// # Memory
///
/// A key is kept track of as long as it differs from one never heard of: it is deferred, calls are out under it, a rate
/// is not full, or a [`LocalQuota`] holds it. At most [`max_keys`](Self::max_keys) are; beyond it calls go out
/// [untracked](Self::on_untracked), and hints are not remembered.
///
/// Time is tokio's, so a paused clock in a test is followed.
pub struct InProcessLimiter {
    limits: Limits,
    exceptions: HashMap<Arc<str>, Limits>,
    accounts: Shards<Arc<Cell<Account>>>,
    clock: Clock,
    estimator: Option<Estimator>,
    longest_deferral: Duration,
    max_hold: Duration,
    untold: Untold,
}

type Estimator = Box<dyn Fn(&str, &Cost) -> Cost + Send + Sync>;

impl InProcessLimiter {
    /// The longest that a hint is followed, unless set otherwise: a day, after which every quota that has a window has
    /// reset.
    pub const LONGEST_DEFERRAL: Duration = DAY;

    /// A limiter that allows this under each key.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            exceptions: HashMap::new(),
            accounts: Shards::new(65_536),
            clock: Clock::start(),
            estimator: None,
            longest_deferral: Self::LONGEST_DEFERRAL,
            max_hold: Duration::from_secs(600),
            untold: Untold::default(),
        }
    }

    /// Allows something else under this key.
    pub fn limits_for(mut self, key: impl Into<Arc<str>>, limits: Limits) -> Self {
        self.exceptions.insert(key.into(), limits);
        self
    }

    /// Asks `estimate` what a call under a key will cost that comes with this cost, in which something may be unknown.
    /// What it returns is reserved. It runs on the way of every call under a key that has bounds.
    pub fn estimator(mut self, estimate: impl Fn(&str, &Cost) -> Cost + Send + Sync + 'static) -> Self {
        self.estimator = Some(Box::new(estimate));
        self
    }

    /// Sets the longest that a hint is followed; what a service asks beyond it is cut.
    pub const fn longest_deferral(mut self, longest: Duration) -> Self {
        self.longest_deferral = longest;
        self
    }

    /// Sets how long a call counts as out that is neither settled nor dropped, where its caller does not say for how
    /// long it asks. 600 s unless set.
    pub const fn max_hold(mut self, max_hold: Duration) -> Self {
        self.max_hold = max_hold;
        self
    }

    /// Sets how many keys are kept track of at most, and forgets those there are. 65,536 unless set.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.accounts = Shards::new(max_keys);
        self
    }

    /// Tells `listener` when calls or hints went untracked because there was no room for their keys: at once for the
    /// first, and then once a minute at most, with their number. In the thread of the call and outside every lock. When
    /// it panics, the panic ends there.
    pub fn on_untracked(mut self, listener: impl Fn(&Untracked) + Send + Sync + 'static) -> Self {
        self.untold = Untold::new(listener);
        self
    }

    /// What it allows under this key.
    pub fn limits(&self, key: &str) -> Limits {
        if self.exceptions.is_empty() {
            return self.limits;
        }
        self.exceptions.get(key).copied().unwrap_or(self.limits)
    }

    /// How many keys it keeps track of now; for some, the time may have passed.
    pub fn tracked_keys(&self) -> usize {
        self.accounts.len()
    }

    /// Resolves `key` once, for callers that call often: the result needs no runtime and looks nothing up. Its key is
    /// kept track of for as long as it exists. Where there is no room for that, it is like any other caller: it looks
    /// its key up each time.
    pub fn quota(self: &Arc<Self>, key: impl Into<Arc<str>>) -> LocalQuota {
        LocalQuota::new(Arc::clone(self), key.into())
    }

    /// Starts a key anew: its rates are full, and no hint is followed. Calls in flight stay so, and are settled as ever.
    pub fn reset(&self, key: &str) {
        let mut place = self.accounts.lock(key);
        if let Some(cell) = place.get() {
            cell.lock().change(Account::reset);
        }
        self.remove_if_idle(&mut place);
    }

    fn try_ask(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        if !self.limits(key).is_unbounded() {
            return None;
        }
        if self.accounts.is_empty() {
            return Some(Ok(Reservation::new(*cost)));
        }
        let mut place = self.accounts.lock(key);
        self.sweep_if_due(&mut place);
        let limited = place.get().filter(|cell| cell.word() == 0).and_then(|cell| {
            let now = self.clock.now();
            cell.lock().change(|account| account.deferral(now)).0
        });
        if limited.is_none() {
            self.remove_if_idle(&mut place);
        }
        Some(limited.map_or(Ok(Reservation::new(*cost)), Err))
    }

    fn ask(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        if let Some(answer) = self.try_ask(key, cost) {
            return answer;
        }
        let cost = self.estimate(key, cost);
        let mut place = self.accounts.lock(key);
        self.sweep_if_due(&mut place);
        let now = self.clock.now();
        let Some(cell) = self.there(&mut place, now) else {
            drop(place);
            self.untold.tell(key, now);
            return Ok(Reservation::new(cost));
        };
        self.take(cell, ask, cost, now)
    }

    pub(crate) fn estimate(&self, key: &str, cost: &Cost) -> Cost {
        self.estimator.as_ref().map_or(*cost, |estimate| estimate(key, cost))
    }

    fn take(&self, cell: &Cell<Account>, ask: &Ask, cost: Cost, now: Time) -> Result<Reservation, Limited> {
        let expires = now.after(hold(self.max_hold, ask.hold));
        cell.lock().change(|account| account.acquire(ask.lease, cost, now, expires)).0
    }

    fn report(&self, key: &str, lease: LeaseId, reserved: &Cost, actual: &Cost) {
        let mut place = self.accounts.lock(key);
        self.sweep_if_due(&mut place);
        let now = self.clock.now();
        // A call that was out for longer than its hold may have been forgotten, and is charged all the same.
        if place.get().is_none() && !exceeds(actual, reserved) {
            return;
        }
        let Some(cell) = self.there(&mut place, now) else {
            drop(place);
            return self.untold.tell(key, now);
        };
        cell.lock().change(|account| account.settle(lease, reserved, actual, now));
        self.remove_if_idle(&mut place);
    }

    fn release(&self, key: &str, lease: LeaseId) {
        let mut place = self.accounts.lock(key);
        self.sweep_if_due(&mut place);
        if let Some(cell) = place.get() {
            let now = self.clock.now();
            cell.lock().change(|account| account.abandon(lease, now));
            self.remove_if_idle(&mut place);
        }
    }

    fn postpone(&self, key: &str, delay: Duration) {
        let delay = delay.min(self.longest_deferral);
        if delay.is_zero() {
            return;
        }
        let mut place = self.accounts.lock(key);
        let now = self.clock.now();
        let Some(cell) = self.there(&mut place, now) else {
            drop(place);
            return self.untold.tell(key, now);
        };
        cell.lock().change(|account| account.defer(now.after(delay)));
    }

    /// The account of a key, a new one if need be; `None` where there is no room for one.
    fn there<'a>(
        &self,
        place: &'a mut Place<'_, Arc<Cell<Account>>>,
        now: Time,
    ) -> Option<&'a mut Arc<Cell<Account>>> {
        if place.get().is_none() {
            let account = Account::new(self.limits(place.name()));
            place.insert_with(|| Arc::new(Cell::new(account)), |cell| keep(cell, now), now);
        }
        place.get()
    }

    fn sweep_if_due(&self, place: &mut Place<'_, Arc<Cell<Account>>>) {
        if place.is_sweep_due() {
            let now = self.clock.now();
            place.tidy(|cell| keep(cell, now), now);
        }
    }

    fn remove_if_idle(&self, place: &mut Place<'_, Arc<Cell<Account>>>) {
        if place.get().is_some_and(|cell| !keep(cell, self.clock.now())) {
            place.remove();
        }
    }
}

/// Whether a call has cost more than was reserved for it, in any dimension.
fn exceeds(actual: &Cost, reserved: &Cost) -> bool {
    amounts(actual).into_iter().zip(amounts(reserved)).any(|(actual, reserved)| actual > reserved)
}

fn keep(cell: &Arc<Cell<Account>>, now: Time) -> bool {
    Arc::strong_count(cell) > 1 || !cell.lock().get().is_idle(now)
}

#[async_trait]
impl Limiter for InProcessLimiter {
    fn try_acquire(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        self.try_ask(key, cost)
    }

    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        self.ask(key, ask, cost)
    }

    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost) {
        self.report(key, lease, &reservation.cost, actual);
    }

    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Reservation>) {
        self.release(key, lease);
    }

    fn defer(&self, key: &str, delay: Duration) {
        self.postpone(key, delay);
    }
}

impl Default for InProcessLimiter {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl fmt::Debug for InProcessLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessLimiter")
            .field("limits", &self.limits)
            .field("exceptions", &self.exceptions.len())
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}
