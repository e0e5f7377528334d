//! The in-process limiter without rates: it remembers until when a service asked to be left alone.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::in_process::shards::Shards;
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::refusal::{LimitReason, Limited};

/// A limiter without rates, for any threads and runtimes, or none: it lets everything through, except under keys that
/// were [deferred](Limiter::defer), until their time has passed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use circuit_breaker::{Cost, HintLimiter, LimitReason, Quota};
///
/// let quota = Quota::new(Arc::new(HintLimiter::default()), "search");
/// assert!(quota.admit(Cost::REQUEST).await.is_ok());
///
/// quota.defer(Duration::from_secs(20)); // the service answered 429, Retry-After: 20
/// let limited = quota.admit(Cost::REQUEST).await.unwrap_err();
/// assert_eq!(limited.reason, LimitReason::Deferred);
/// assert!(limited.retry_after.unwrap() <= Duration::from_secs(20));
/// # }
/// ```
///
/// Only deferred keys cost memory, and their number is bounded (65,536 unless set): when there is no room, hints for
/// further keys are not remembered. Time is tokio's, so a paused clock in a test is followed.
pub struct HintLimiter {
    /// Until when each key is deferred, counted from `origin`.
    deferred: Shards<Duration>,
    origin: Instant,
    longest: Duration,
}

impl HintLimiter {
    /// The longest that a hint is followed, unless set otherwise: a day, after which every quota that has a window has
    /// reset.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Sets the longest that a hint is followed; what a service asks beyond it is cut.
    pub const fn longest(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Sets how many keys are remembered at most, and forgets those there are.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.deferred = Shards::new(max_keys);
        self
    }

    /// How many keys it remembers now; some may have passed their time.
    pub fn tracked_keys(&self) -> usize {
        self.deferred.len()
    }

    fn rest(&self, key: &str) -> Option<Duration> {
        if self.deferred.is_empty() {
            return None;
        }
        let mut place = self.deferred.lock(key);
        if place.is_sweep_due() {
            let now = self.now();
            place.tidy(|until| now < *until);
        }
        let until = *place.get()?;
        let rest = until.checked_sub(self.now()).filter(|rest| !rest.is_zero());
        if rest.is_none() {
            place.remove();
        }
        rest
    }

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }
}

#[async_trait]
impl Limiter for HintLimiter {
    async fn acquire(&self, key: &str, _: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        match self.rest(key) {
            Some(rest) => Err(Limited::new(LimitReason::Deferred).with_retry_after(rest)),
            None => Ok(Reservation::new(*cost)),
        }
    }

    fn settle(&self, _: &str, _: LeaseId, _: Reservation, _: &Cost) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Reservation>) {}

    fn defer(&self, key: &str, delay: Duration) {
        let delay = delay.min(self.longest);
        if delay.is_zero() {
            return;
        }
        let mut place = self.deferred.lock(key);
        let now = self.now();
        let until = now.saturating_add(delay);
        match place.get() {
            Some(known) => *known = until.max(*known),
            None => {
                place.insert(until, |until| now < *until);
            }
        }
    }
}

impl Default for HintLimiter {
    fn default() -> Self {
        Self { deferred: Shards::new(65_536), origin: Instant::now(), longest: Self::LONGEST }
    }
}

impl fmt::Debug for HintLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HintLimiter")
            .field("longest", &self.longest)
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}
