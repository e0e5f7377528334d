//! One rate of one key: the generic cell rate algorithm, settled after the fact. Pure, in nanoseconds.
//!
//! GCRA (ITU-T I.371, appendix I) keeps one number for a bucket of tokens: the time at which the bucket is full again.
//! Taking an amount moves that time on by what the amount takes to come back; an amount fits as long as the time stays
//! within the burst.
//!
//! Giving back is where it gets delicate. What was taken long ago has come back by itself, and a bucket that was full
//! since then cannot be given more; moving the time back by the whole amount would let more out than burst and rate
//! allow. So amounts come back one after the other, as they were taken, each has a mark that says when the last of it
//! will be back, and no more of it is given back than is out still. What was taken after it then comes back so much
//! sooner: its mark moves up. No mark is ever too late, so that what goes out in any time stays within burst and rate.

use super::limits::Rate;

/// The state of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gcra {
    /// When the bucket is full again.
    full_at: u64,
}

/// When the last of an amount has come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(u64);

/// Why an amount does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For so long.
    For(u64),
    /// It is more than the burst.
    Always,
}

impl Gcra {
    /// Whether `amount` fits now. An unknown one does when any does.
    pub(super) fn check(self, rate: &Rate, amount: Option<u64>, now: u64) -> Result<(), Full> {
        let (span, tolerance) = (rate.span(amount.unwrap_or(1)), rate.tolerance());
        if span > tolerance {
            return Err(Full::Always);
        }
        match self.backlog(now).saturating_add(span).saturating_sub(tolerance) {
            0 => Ok(()),
            wait => Err(Full::For(wait)),
        }
    }

    /// Takes `amount`, whether it fits or not.
    pub(super) fn take(&mut self, rate: &Rate, amount: u64, now: u64) -> Mark {
        self.full_at = self.full_at.max(now).saturating_add(rate.span(amount));
        Mark(self.full_at)
    }

    /// What was taken as `reserved` is `actual`, as it turns out. Returns what was given back, by which all that was taken
    /// later [moves up](Mark::moves_up).
    pub(super) fn correct(&mut self, rate: &Rate, mark: Mark, reserved: u64, actual: u64, now: u64) -> u64 {
        if reserved == actual {
            return 0;
        }
        let (reserved, actual) = (rate.span(reserved), rate.span(actual));
        if actual > reserved {
            self.full_at = self.full_at.max(now).saturating_add(actual - reserved);
            return 0;
        }
        let back = (reserved - actual).min(mark.0.saturating_sub(now));
        self.full_at = self.full_at.saturating_sub(back);
        back
    }

    pub(super) const fn is_full(self, now: u64) -> bool {
        self.full_at <= now
    }

    const fn backlog(self, now: u64) -> u64 {
        self.full_at.saturating_sub(now)
    }
}

impl Mark {
    /// Something was given back of what has the mark `of`. Only what was taken after it comes back the sooner.
    pub(super) const fn moves_up(&mut self, of: Self, by: u64) {
        if self.0 > of.0 {
            self.0 = self.0.saturating_sub(by);
        }
    }
}
