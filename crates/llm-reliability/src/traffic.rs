//! What a client has seen of a candidate: how many attempts are under way, and how long its first tokens took.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// How many first tokens are remembered.
const KEPT: usize = 256;

/// The traffic of one candidate through one client.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    in_flight: AtomicUsize,
    first_tokens: Mutex<FirstTokens>,
}

impl Traffic {
    pub(crate) fn dispatched(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn landed(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A first token took so long, or is known to have taken no less.
    pub(crate) fn note(&self, first_token: Duration) {
        self.first_tokens.lock().push(first_token);
    }

    /// How many first tokens there have been.
    pub(crate) fn noted(&self) -> u64 {
        self.first_tokens.lock().noted
    }

    /// The time within which this share of the last `window` first tokens came, where there are `least` of them.
    pub(crate) fn quantile(&self, share: f64, window: usize, least: usize) -> Option<Duration> {
        let mut recent = self.first_tokens.lock().last(window);
        if recent.is_empty() || recent.len() < least {
            return None;
        }
        let rank = rank(share, recent.len());
        let (_, micros, _) = recent.select_nth_unstable(rank);
        Some(Duration::from_micros(u64::from(*micros)))
    }
}

/// The place, from 0, of the smallest of so many values that this share of them does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "256 at most"
)]
fn rank(share: f64, values: usize) -> usize {
    ((share * values as f64).ceil() as usize).clamp(1, values) - 1
}

/// The last of them, in microseconds: up to 71 minutes.
#[derive(Debug, Default)]
struct FirstTokens {
    ring: Vec<u32>,
    next: usize,
    noted: u64,
}

impl FirstTokens {
    fn push(&mut self, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = micros,
            None => self.ring.push(micros),
        }
        self.next = (self.next + 1) % KEPT;
        self.noted += 1;
    }

    /// The last `window` of them, in no order.
    fn last(&self, window: usize) -> Vec<u32> {
        let (newer, older) = self.ring.split_at(self.next.min(self.ring.len()));
        newer.iter().rev().chain(older.iter().rev()).take(window).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: impl IntoIterator<Item = u64>) -> Traffic {
        let traffic = Traffic::default();
        millis.into_iter().for_each(|millis| traffic.note(Duration::from_millis(millis)));
        traffic
    }

    #[test]
    fn a_quantile_is_the_time_that_so_many_did_not_exceed() {
        let traffic = after((1..=100).rev());
        for (share, millis) in [(0.0, 1), (0.01, 1), (0.5, 50), (0.95, 95), (0.991, 100), (1.0, 100)] {
            assert_eq!(traffic.quantile(share, 256, 100), Some(Duration::from_millis(millis)), "{share}");
        }
    }

    #[test]
    fn it_is_never_guessed_from_fewer_than_asked_for() {
        assert_eq!(after([]).quantile(0.5, 256, 0), None);
        assert_eq!(after(1..=9).quantile(0.5, 256, 10), None);
        assert!(after(1..=10).quantile(0.5, 256, 10).is_some());
        assert_eq!(after(1..=99).quantile(0.5, 8, 10), None, "no more are looked at");
    }

    #[test]
    fn only_the_last_ones_count() {
        // 300 of 1 s, then 10 of 2 ms, over the end of the ring.
        let traffic = after(std::iter::repeat_n(1000, 300).chain([2; 10]));
        assert_eq!(traffic.quantile(1.0, 10, 10), Some(Duration::from_millis(2)));
        assert_eq!(traffic.quantile(1.0, 11, 11), Some(Duration::from_secs(1)));
        assert_eq!(traffic.quantile(0.03, 256, 256), Some(Duration::from_millis(2)), "10 of 256");
        assert_eq!(traffic.quantile(0.04, 256, 256), Some(Duration::from_secs(1)));
        assert_eq!(traffic.quantile(0.5, 999, 257), None, "256 are kept");
    }

    #[test]
    fn what_takes_hours_took_long() {
        let hours = Duration::from_secs(90 * 3600);
        let traffic = Traffic::default();
        traffic.note(hours);
        assert!(traffic.quantile(0.5, 1, 1).is_some_and(|longest| longest > Duration::from_secs(4000)));
    }
}
