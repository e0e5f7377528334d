//! The time since a backend was made, on tokio's clock.

use std::time::Duration;

use tokio::time::Instant;

/// Where a backend's time begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(super) fn now(self) -> Duration {
        self.at(Instant::now().into_std())
    }

    /// A time that somebody has read already.
    pub(super) fn at(self, now: std::time::Instant) -> Duration {
        now.saturating_duration_since(self.origin.into_std())
    }
}
