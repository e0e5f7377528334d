//! The clocks of a call.

use std::time::Duration;

use tokio::time::Instant;

/// The clocks of a call, each independent of the others. What is `None` is taken from the next level: the call's own
/// first, then the candidate's, then the client's, then the default. `total` belongs to the whole call, so a candidate
/// has none; `cleanup` belongs to the client alone.
///
/// The connection has a clock of its own, which belongs to the HTTP client and is set there.
///
/// A clock that runs out counts on the candidate's circuit, unless it is `total`. The reader of a
/// [stream](crate::FailoverStream) comes when it likes, so what it comes to see more than a second late is held against
/// nobody; anywhere else it counts however late it is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From dispatch until the model shows that it is at work: text, a tool call, reasoning, or a sign of
    /// [work](llm_protocol::StreamEvent::Working) that does not show. Keep-alives do not count. Default 15 s. Only
    /// where the answer is streamed.
    pub first_token: Option<Duration>,
    /// Between two such signs of a stream, counted only while the consumer waits. Default 30 s.
    pub idle: Option<Duration>,
    /// From dispatch until the answer is whole. Default 60 s.
    pub attempt: Option<Duration>,
    /// The whole call, all attempts and pauses. Default for `failover`: the attempts' limits added up and 60 s more,
    /// at most 360 s. `fan_out` has none by default: its attempts run side by side under their own limits, and a
    /// deadline of the same length would cut each of them a moment earlier and blame nobody.
    pub total: Option<Duration>,
    /// How long `shutdown` waits for settlements to reach their store. Default 2 s. Never delays a call.
    pub cleanup: Option<Duration>,
}

const FIRST_TOKEN: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(30);
const ATTEMPT: Duration = Duration::from_secs(60);
const CLEANUP: Duration = Duration::from_secs(2);
const TOTAL_MARGIN: Duration = Duration::from_secs(60);
const TOTAL_CAP: Duration = Duration::from_secs(360);

impl Timeouts {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the limit on the first token.
    pub fn first_token(mut self, limit: Duration) -> Self {
        self.first_token = Some(limit);
        self
    }

    /// Sets the limit between two deltas.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// Sets the limit on one attempt.
    pub fn attempt(mut self, limit: Duration) -> Self {
        self.attempt = Some(limit);
        self
    }

    /// Sets the limit on the whole call.
    pub fn total(mut self, limit: Duration) -> Self {
        self.total = Some(limit);
        self
    }

    /// Sets how long `shutdown` waits.
    pub fn cleanup(mut self, limit: Duration) -> Self {
        self.cleanup = Some(limit);
        self
    }

    /// What is set here, else what is set there.
    pub fn or(&self, next: &Self) -> Self {
        Self {
            first_token: self.first_token.or(next.first_token),
            idle: self.idle.or(next.idle),
            attempt: self.attempt.or(next.attempt),
            total: self.total.or(next.total),
            cleanup: self.cleanup.or(next.cleanup),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            first_token: self.first_token.unwrap_or(FIRST_TOKEN),
            idle: self.idle.unwrap_or(IDLE),
            attempt: self.attempt.unwrap_or(ATTEMPT),
        }
    }

    pub(crate) fn cleanup_limit(&self) -> Duration {
        self.cleanup.unwrap_or(CLEANUP)
    }

    /// The default total of a call that may need all of these attempts, one after the other.
    pub(crate) fn total_of(attempts: impl Iterator<Item = Duration>) -> Duration {
        attempts.fold(TOTAL_MARGIN, Duration::saturating_add).min(TOTAL_CAP)
    }
}

/// The clocks of one attempt, settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) attempt: Duration,
}

/// As long as for ever.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// `start + limit`, in a century at the latest: a user may well say `Duration::MAX`.
pub(crate) fn deadline(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(CENTURY)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_nearest_level_that_is_set_wins() {
        let call = Timeouts::new().idle(secs(1));
        let candidate = Timeouts::new().idle(secs(2)).attempt(secs(3));
        let merged = call.or(&candidate);
        assert_eq!(merged.limits(), Limits { first_token: secs(15), idle: secs(1), attempt: secs(3) });
    }

    #[test]
    fn the_default_total_is_the_attempts_and_a_minute_at_most_six() {
        assert_eq!(Timeouts::total_of([secs(60), secs(60)].into_iter()), secs(180));
        assert_eq!(Timeouts::total_of([secs(60); 9].into_iter()), secs(360));
        assert_eq!(Timeouts::total_of([Duration::MAX; 2].into_iter()), secs(360));
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_too_long() {
        let now = Instant::now();
        assert!(deadline(now, Duration::MAX) > now + secs(10_000));
        assert_eq!(deadline(now, secs(1)), now + secs(1));
    }
}
