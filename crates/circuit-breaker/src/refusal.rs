//! How a breaker and a limiter say no: why, and when to come back.

use std::fmt;
use std::time::Duration;

/// A breaker let nothing through. Nothing is held: there is no lease to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", Again(*retry_after))]
#[non_exhaustive]
pub struct Rejection {
    /// How long from now until asking again makes sense; `None` when that cannot be known.
    pub retry_after: Option<Duration>,
    /// Why.
    pub reason: RejectReason,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Rejection {
    /// A rejection of which no more is known than the reason.
    pub const fn new(reason: RejectReason) -> Self {
        Self { retry_after: None, reason, degraded: false }
    }

    /// Says how long from now until asking again makes sense.
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}

/// Why a breaker let nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The circuit is open and its cooldown has not passed.
    Open,
    /// The circuit is half-open and all its probes are out. When one of them ends is not known.
    ProbesTaken,
    /// A person holds the circuit open.
    ForcedOpen,
    /// The shared store did not answer, and the backend was told to refuse then.
    StoreUnavailable,
}

impl RejectReason {
    /// Every reason that this version knows.
    pub const ALL: &[Self] = &[Self::Open, Self::ProbesTaken, Self::ForcedOpen, Self::StoreUnavailable];

    /// The name in reports and metrics, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::ProbesTaken => "probes_taken",
            Self::ForcedOpen => "forced_open",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "circuit open",
            Self::ProbesTaken => "circuit half-open, its probes are out",
            Self::ForcedOpen => "circuit forced open",
            Self::StoreUnavailable => "circuit store unavailable",
        })
    }
}

/// A limiter let nothing through. Nothing is held: there is no lease to give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}", Again(*retry_after))]
#[non_exhaustive]
pub struct Limited {
    /// How long from now until the same cost would fit, if nobody else takes the room; `None` when that cannot be known,
    /// or when it never will.
    pub retry_after: Option<Duration>,
    /// Why.
    pub reason: LimitReason,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Limited {
    /// A refusal of which no more is known than the reason.
    pub const fn new(reason: LimitReason) -> Self {
        Self { retry_after: None, reason, degraded: false }
    }

    /// Says how long from now until the same cost would fit.
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}

/// Why a limiter let nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitReason {
    /// The service itself asked to be left alone for a while.
    Deferred,
    /// A rate is used up for now; which one is not said.
    Rate,
    /// As many requests have gone out as the rate allows for now.
    RequestRate,
    /// As much input has gone out as the rate allows for now.
    InputTokenRate,
    /// As much output has come, or is expected, as the rate allows for now.
    OutputTokenRate,
    /// Too many calls are out already.
    InFlight,
    /// The cost is more than the limit ever holds: waiting does not help.
    NeverFits,
    /// The shared store did not answer, and the backend was told to refuse then.
    StoreUnavailable,
}

impl LimitReason {
    /// Every reason that this version knows.
    pub const ALL: &[Self] = &[
        Self::Deferred,
        Self::Rate,
        Self::RequestRate,
        Self::InputTokenRate,
        Self::OutputTokenRate,
        Self::InFlight,
        Self::NeverFits,
        Self::StoreUnavailable,
    ];

    /// The name in reports and metrics, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Rate => "rate",
            Self::RequestRate => "request_rate",
            Self::InputTokenRate => "input_token_rate",
            Self::OutputTokenRate => "output_token_rate",
            Self::InFlight => "in_flight",
            Self::NeverFits => "never_fits",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

impl fmt::Display for LimitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deferred => "deferred at the service's request",
            Self::Rate => "rate limit reached",
            Self::RequestRate => "request rate reached",
            Self::InputTokenRate => "rate of input tokens reached",
            Self::OutputTokenRate => "rate of output tokens reached",
            Self::InFlight => "too many calls in flight",
            Self::NeverFits => "costs more than the limit ever holds",
            Self::StoreUnavailable => "limiter store unavailable",
        })
    }
}

/// The end of a refusal's message.
pub(crate) struct Again(pub(crate) Option<Duration>);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(delay) => write!(f, ", try again in {delay:.1?}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The compiler asks here for a reason that is new.
    #[test]
    fn all_reasons_are_all_there_are() {
        let place = |reason: &RejectReason| match reason {
            RejectReason::Open => 0,
            RejectReason::ProbesTaken => 1,
            RejectReason::ForcedOpen => 2,
            RejectReason::StoreUnavailable => 3,
        };
        assert!(RejectReason::ALL.iter().map(place).eq(0..4));
        let place = |reason: &LimitReason| match reason {
            LimitReason::Deferred => 0,
            LimitReason::Rate => 1,
            LimitReason::RequestRate => 2,
            LimitReason::InputTokenRate => 3,
            LimitReason::OutputTokenRate => 4,
            LimitReason::InFlight => 5,
            LimitReason::NeverFits => 6,
            LimitReason::StoreUnavailable => 7,
        };
        assert!(LimitReason::ALL.iter().map(place).eq(0..8));
    }

    #[test]
    fn a_refusal_says_why_and_when() {
        let rejection = Rejection::new(RejectReason::Open).with_retry_after(Duration::from_secs(90));
        assert_eq!(rejection.to_string(), "circuit open, try again in 90.0s");
        assert_eq!(Limited::new(LimitReason::NeverFits).to_string(), "costs more than the limit ever holds");
    }
}
