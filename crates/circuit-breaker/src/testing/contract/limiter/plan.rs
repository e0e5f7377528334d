//! What the suite asks of a limiter.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::testing::contract::pace::Pace;

/// What the limiter under test is to allow under each key, apart from deferred ones. `None` sets no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterPlan {
    /// How many requests.
    pub requests: Option<RatePlan>,
    /// How much input.
    pub input_tokens: Option<RatePlan>,
    /// How much output.
    pub output_tokens: Option<RatePlan>,
    /// How many calls at a time.
    pub in_flight: Option<NonZeroU32>,
    /// How long a call counts as out whose caller does not say. `None` leaves it to the backend, if it is longer than
    /// a rule takes: some minutes.
    pub hold: Option<Duration>,
}

/// `burst` at most may go out after a pause, and `amount` comes back in each `period`, little by little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RatePlan {
    /// How much comes back.
    pub amount: NonZeroU64,
    /// In how long.
    pub period: Duration,
    /// How much goes out at once.
    pub burst: NonZeroU64,
}

impl RatePlan {
    /// Ten at once, of which none comes back while a rule looks.
    pub(super) fn ten(pace: Pace) -> Self {
        let ten = NonZeroU64::MIN.saturating_add(9);
        Self { amount: ten, period: 10 * pace.ages(), burst: ten }
    }

    /// Four at once, and two more in a time that a rule waits for.
    pub(super) fn quick(pace: Pace) -> Self {
        let amount = NonZeroU64::MIN.saturating_add(1);
        Self { amount, period: 2 * pace.span(), burst: amount.saturating_add(2) }
    }

    /// The time in which one comes back.
    pub(super) fn each(&self) -> Duration {
        self.period / u32::try_from(self.amount.get()).unwrap_or(u32::MAX)
    }
}

impl LimiterPlan {
    pub(super) fn requests(rate: RatePlan) -> Self {
        Self { requests: Some(rate), ..Self::default() }
    }

    pub(super) fn input(rate: RatePlan) -> Self {
        Self { input_tokens: Some(rate), ..Self::default() }
    }

    pub(super) fn in_flight(calls: u32) -> Self {
        Self { in_flight: NonZeroU32::new(calls), ..Self::default() }
    }
}
