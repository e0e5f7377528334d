//! What a limiter allows under one key.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::limiter::Cost;
use crate::refusal::LimitReason;

/// What may go out under one key. The default has no bounds: only retry hints are followed.
///
/// ```
/// use std::num::{NonZeroU32, NonZeroU64};
/// use circuit_breaker::{Limits, Rate};
///
/// let n = |n| NonZeroU64::new(n).unwrap();
/// let limits = Limits::default()
///     .requests(Rate::per_minute(n(500)))
///     .input_tokens(Rate::per_minute(n(30_000)).burst(n(10_000)))
///     .in_flight(NonZeroU32::new(20).unwrap());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// How many requests.
    pub requests: Option<Rate>,
    /// How much input.
    pub input_tokens: Option<Rate>,
    /// How much output.
    pub output_tokens: Option<Rate>,
    /// How many calls at a time.
    pub in_flight: Option<NonZeroU32>,
}

impl Limits {
    /// Bounds the requests.
    pub const fn requests(mut self, rate: Rate) -> Self {
        self.requests = Some(rate);
        self
    }

    /// Bounds the units of input, such as tokens.
    pub const fn input_tokens(mut self, rate: Rate) -> Self {
        self.input_tokens = Some(rate);
        self
    }

    /// Bounds the units of output, such as tokens.
    pub const fn output_tokens(mut self, rate: Rate) -> Self {
        self.output_tokens = Some(rate);
        self
    }

    /// Bounds the calls that are out at a time.
    pub const fn in_flight(mut self, calls: NonZeroU32) -> Self {
        self.in_flight = Some(calls);
        self
    }

    pub(crate) const fn is_unbounded(&self) -> bool {
        matches!(self, Self { requests: None, input_tokens: None, output_tokens: None, in_flight: None })
    }

    pub(crate) const fn rates(&self) -> [Option<Rate>; DIMENSIONS] {
        [self.requests, self.input_tokens, self.output_tokens]
    }
}

/// Requests, input, output: in this order wherever there is one of each.
pub(crate) const DIMENSIONS: usize = 3;

/// Why a call is refused whose cost in this dimension does not fit now.
pub(crate) const REASONS: [LimitReason; DIMENSIONS] =
    [LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];

/// A cost by dimension.
pub(crate) fn amounts(cost: &Cost) -> [Option<u64>; DIMENSIONS] {
    [Some(cost.requests.into()), cost.input_tokens, cost.output_tokens]
}

/// So much in so much time. What is not used adds up, to the burst at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    amount: NonZeroU64,
    period: Duration,
    burst: NonZeroU64,
}

impl Rate {
    /// So much a minute. All of it may go out at once, unless the [burst](Self::burst) is set smaller.
    pub const fn per_minute(amount: NonZeroU64) -> Self {
        Self::new(amount, Duration::from_secs(60))
    }

    /// So much a second. All of it may go out at once, unless the [burst](Self::burst) is set smaller.
    pub const fn per_second(amount: NonZeroU64) -> Self {
        Self::new(amount, Duration::from_secs(1))
    }

    /// So much in `period`. All of it may go out at once, unless the [burst](Self::burst) is set smaller. With
    /// `Duration::MAX` it never comes back; with zero, only what is larger than the burst is refused.
    pub const fn new(amount: NonZeroU64, period: Duration) -> Self {
        Self { amount, period, burst: amount }
    }

    /// Sets how much may go out at once after a pause. A call that costs more never fits.
    pub const fn burst(mut self, burst: NonZeroU64) -> Self {
        self.burst = burst;
        self
    }

    pub(crate) const fn ever_fits(&self, amount: u64) -> bool {
        amount <= self.burst.get()
    }

    /// The most that may go out at once.
    #[cfg(feature = "redis")]
    pub(crate) const fn largest(&self) -> u64 {
        self.burst.get()
    }

    /// How much comes back in a [period](Self::span_of_period).
    #[cfg(feature = "redis")]
    pub(crate) const fn per_period(&self) -> u64 {
        self.amount.get()
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn span_of_period(&self) -> Duration {
        self.period
    }

    /// A time in ticks, of which a nanosecond has as many as the rate has units.
    pub(crate) fn ticks(&self, nanos: u64) -> u128 {
        u128::from(nanos) * u128::from(self.amount.get())
    }

    /// A time in nanoseconds, rounded up.
    pub(crate) fn nanos(&self, ticks: u128) -> u64 {
        u64::try_from(ticks.div_ceil(self.amount.get().into())).unwrap_or(u64::MAX)
    }

    /// In ticks, the time in which `amount` comes back.
    pub(crate) fn span(&self, amount: u64) -> u128 {
        u128::from(amount).saturating_mul(self.period.as_nanos())
    }

    /// In ticks.
    pub(crate) fn period(&self) -> u128 {
        self.span(self.amount.get())
    }

    /// In ticks, the time in which the burst comes back.
    pub(crate) fn tolerance(&self) -> u128 {
        self.span(self.burst.get())
    }
}
