//! The time since a backend was made, on tokio's clock.

use std::time::Duration;

use tokio::time::Instant;

/// Where a backend's time begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now().into_std() }
    }

    pub(crate) fn now(self) -> Time {
        self.at(Instant::now().into_std())
    }

    /// A time that somebody has read already.
    pub(crate) fn at(self, now: std::time::Instant) -> Time {
        now.saturating_duration_since(self.origin).into()
    }
}

/// A point in time: nanoseconds since the backend was made, for 584 years. One word, as it is copied on every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Time(u64);

impl Time {
    /// When the backend was made.
    pub(crate) const ZERO: Self = Self(0);

    /// After everything.
    pub(crate) const END: Self = Self(u64::MAX);

    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So much later, or the end of time.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(nanos(delay)))
    }

    /// How long it is from `earlier` to this; zero when it is not earlier.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Time {
    fn from(since_start: Duration) -> Self {
        Self(nanos(since_start))
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        Self::from_nanos(time.0)
    }
}

/// In one word throughout: `Duration::as_nanos` needs two, on every call.
const fn nanos(duration: Duration) -> u64 {
    const IN_A_SECOND: u64 = 1_000_000_000;
    duration.as_secs().saturating_mul(IN_A_SECOND).saturating_add(duration.subsec_nanos() as u64)
}
