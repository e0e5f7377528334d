//! What a closed circuit remembers of its calls, and when that opens it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::in_process::clock::Time;
use crate::settings::{Rates, Settings, Trip, Window};
use crate::status::Counts;

/// How one call ended, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tally {
    /// Failures in a row.
    Row(u32),
    Calls(Box<LastCalls>),
    Time(Box<Buckets>),
}

impl Tally {
    pub(super) fn new(rules: &Settings) -> Self {
        match rules.trip {
            Trip::Consecutive(_) => Self::Row(0),
            Trip::Rates(Rates { window: Window::Calls(_), .. }) => Self::Calls(Box::default()),
            Trip::Rates(Rates { window: Window::Time(length), .. }) => {
                Self::Time(Box::new(Buckets::new(length)))
            }
        }
    }

    /// Whether the circuit opens with this call.
    pub(super) fn note(&mut self, ended: Ended, rules: &Settings, now: Time) -> bool {
        match (self, &rules.trip) {
            (Self::Row(failures), Trip::Consecutive(threshold)) => {
                *failures = if ended.failed { failures.saturating_add(1) } else { 0 };
                *failures >= threshold.get()
            }
            (Self::Calls(calls), Trip::Rates(rates)) => {
                let Window::Calls(size) = rates.window else { return false };
                calls.push(ended, size.get() as usize);
                rates.opens(&calls.counts, rates.minimum_calls.min(size).get().into())
            }
            (Self::Time(buckets), Trip::Rates(rates)) => {
                buckets.advance(now);
                buckets.push(ended);
                rates.opens(&buckets.counts, rates.minimum_calls.get().into())
            }
            // A tally is made for the rules it is asked with.
            _ => false,
        }
    }

    pub(super) fn counts(&self, now: Time) -> Counts {
        match self {
            Self::Row(failures) => {
                let failures = u64::from(*failures);
                Counts { calls: failures, failures, slow: 0 }
            }
            Self::Calls(calls) => calls.counts,
            Self::Time(buckets) => {
                let mut later = buckets.clone();
                later.advance(now);
                later.counts
            }
        }
    }

    /// Nothing that could open the circuit. What a window would forget by now may still be in it.
    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Row(failures) => *failures == 0,
            Self::Calls(calls) => calls.counts.is_clean(),
            Self::Time(buckets) => buckets.counts.is_clean(),
        }
    }

    /// A success would leave no trace.
    pub(super) const fn ignores_success(&self) -> bool {
        matches!(self, Self::Row(0))
    }
}

impl Rates {
    /// Whether such results open a circuit, or keep it from closing.
    pub(super) fn opens(&self, counts: &Counts, minimum: u64) -> bool {
        let reached = |share: crate::Percent, part| part > 0 && share.is_reached(part, counts.calls);
        counts.calls >= minimum
            && (self.failures.is_some_and(|share| reached(share, counts.failures))
                || self.slow.is_some_and(|slow| reached(slow.share, counts.slow)))
    }
}

impl Counts {
    pub(in crate::in_process) const fn is_clean(&self) -> bool {
        self.failures == 0 && self.slow == 0
    }

    pub(super) const fn add(&mut self, ended: Ended) {
        self.calls += 1;
        self.failures += ended.failed as u64;
        self.slow += ended.slow as u64;
    }

    const fn remove(&mut self, other: Self) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}

/// The last calls, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LastCalls {
    ended: VecDeque<Ended>,
    counts: Counts,
}

impl LastCalls {
    fn push(&mut self, ended: Ended, size: usize) {
        let oldest = if self.ended.len() >= size { self.ended.pop_front() } else { None };
        self.ended.push_back(ended);
        // As in most calls: one success comes and another goes.
        if oldest == Some(ended) {
            return;
        }
        if let Some(oldest) = oldest {
            let mut gone = Counts::default();
            gone.add(oldest);
            self.counts.remove(gone);
        }
        self.counts.add(ended);
    }
}

const BUCKETS: usize = 10;

/// The calls of the last ten tenths of a window, the current one begun and not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Buckets {
    tenths: [Counts; BUCKETS],
    counts: Counts,
    /// The one of now.
    current: usize,
    /// When it ends.
    until: Time,
    /// How long each lasts, in nanoseconds.
    tenth: u64,
}

impl Buckets {
    fn new(length: Duration) -> Self {
        let tenth = u64::try_from(length.as_nanos() / BUCKETS as u128).unwrap_or(u64::MAX).max(1);
        Self { tenths: <_>::default(), counts: <_>::default(), current: 0, until: Time::ZERO, tenth }
    }

    fn push(&mut self, ended: Ended) {
        if let Some(bucket) = self.tenths.get_mut(self.current) {
            bucket.add(ended);
            self.counts.add(ended);
        }
    }

    fn advance(&mut self, now: Time) {
        if now < self.until {
            return;
        }
        let (now, until) = (now.as_nanos(), self.until.as_nanos());
        let passed = ((now - until) / self.tenth).saturating_add(1);
        for _ in 0..passed.min(BUCKETS as u64) {
            self.current = (self.current + 1) % BUCKETS;
            if let Some(bucket) = self.tenths.get_mut(self.current) {
                self.counts.remove(std::mem::take(bucket));
            }
        }
        self.until = Time::from_nanos(until.saturating_add(self.tenth.saturating_mul(passed)));
    }
}
