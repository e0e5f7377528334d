//! One rate of one key: the generic cell rate algorithm, settled after the fact. Pure, and exact.
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
//! Time is spent on the oldest amount first, also where that turns out not to have been used, so that somewhat less goes
//! out than with hindsight.
//!
//! Times are counted in ticks, of which a nanosecond has as many as the rate has units. So a unit takes a whole number of
//! them to come back, whatever the rate, and only what a refusal tells is rounded.

use crate::limits::Rate;

const DAY: u64 = 24 * 3600 * 1_000_000_000;

/// The state of one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Gcra {
    /// When the bucket is full again, in ticks.
    full_at: u128,
}

/// When the last of an amount has come back, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(u128);

/// Why an amount does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For so many nanoseconds.
    For(u64),
    /// It is more than the burst.
    Always,
}

impl Gcra {
    /// Whether `amount` fits now. An unknown one does when any does.
    pub(super) fn check(self, rate: &Rate, amount: Option<u64>, now: u64) -> Result<(), Full> {
        let amount = amount.unwrap_or(1);
        if !rate.ever_fits(amount) {
            return Err(Full::Always);
        }
        // Not the sum of backlog and span, which may be more than there are numbers.
        let room = rate.tolerance().saturating_sub(rate.span(amount));
        match self.full_at.saturating_sub(rate.ticks(now)).saturating_sub(room) {
            0 => Ok(()),
            wait => Err(Full::For(rate.nanos(wait))),
        }
    }

    /// Takes `amount`, whether it fits or not.
    pub(super) fn take(&mut self, rate: &Rate, amount: u64, now: u64) -> Mark {
        self.full_at = self.full_at.max(rate.ticks(now)).saturating_add(rate.span(amount));
        Mark(self.full_at)
    }

    /// What was taken as `reserved` is `actual`, as it turns out. Returns what was given back, by which all that was taken
    /// later [moves up](Mark::moves_up).
    pub(super) fn correct(&mut self, rate: &Rate, mark: Mark, reserved: u64, actual: u64, now: u64) -> u128 {
        if actual > reserved {
            self.charge(rate, actual - reserved, now);
            return 0;
        }
        let back = rate.span(reserved - actual).min(mark.0.saturating_sub(rate.ticks(now)));
        self.full_at = self.full_at.saturating_sub(back);
        back
    }

    /// What was not reserved, and is known now. One report keeps nobody away for longer than a day, or than the rate's
    /// period, or than the burst takes to come back: what claims more is a mistake.
    pub(super) fn charge(&mut self, rate: &Rate, amount: u64, now: u64) {
        let longest = rate.tolerance().max(rate.period()).max(rate.ticks(DAY));
        self.full_at = self.full_at.max(rate.ticks(now)).saturating_add(rate.span(amount).min(longest));
    }

    pub(super) fn is_full(self, rate: &Rate, now: u64) -> bool {
        self.full_at <= rate.ticks(now)
    }
}

impl Mark {
    /// Something was given back of what has the mark `of`. Only what was taken after it comes back the sooner.
    pub(super) const fn moves_up(&mut self, of: Self, by: u128) {
        if self.0 > of.0 {
            self.0 = self.0.saturating_sub(by);
        }
    }
}

#[cfg(test)]
mod tests;
