//! The state machine of one key. Pure: what happens, and when, are arguments; storage and clock are the shell's.

mod tally;
mod view;
mod word;

use std::time::Duration;

use crate::breaker::{Admission, Settlement, Verdict};
use crate::in_process::clock::Time;
use crate::in_process::leases::Leases;
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};
use crate::settings::{Settings, Trip};
use crate::status::{Counts, Mode, State};
use tally::{Ended, Tally};
pub(super) use word::Word;

/// One key's state.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    mode: Mode,
    phase: Phase,
    /// When it entered its phase.
    entered: Time,
    /// When it was last asked, or told, something that counts.
    heard: Time,
    /// Those that opened it, where the circuit is not closed.
    failures: u32,
    /// In a row, without a closed circuit between them.
    openings: u32,
    /// Since the circuit was last closed.
    rejected: u64,
    /// The epoch of the last transition. An admission from before it carries a smaller one.
    since: u64,
    /// It changed its state, and results from before may be on their way.
    moved: bool,
}

#[derive(Debug, Clone)]
enum Phase {
    Closed(Tally),
    Open {
        until: Time,
    },
    /// Without a bound on probes, they are not listed: nothing depends on how many there are.
    HalfOpen {
        probes: Leases,
        results: Counts,
    },
}

/// When something happens: the time since the breaker was made, and the latest epoch of any of its keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Time,
    pub(super) epoch: u64,
    /// Between 0 and 1, for a cooldown that is jittered.
    pub(super) roll: f64,
}

/// A transition that took place. In a box, as most calls bring none and are not to carry its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) mode: Mode,
    pub(super) failures: u32,
    pub(super) cooldown: Option<Duration>,
    pub(super) epoch: u64,
}

impl Machine {
    /// A closed circuit whose current results carry `since` or more, first heard of `now`.
    pub(super) fn new(rules: &Settings, since: u64, now: Time) -> Self {
        Self {
            mode: Mode::Automatic,
            phase: Phase::Closed(Tally::new(rules)),
            entered: now,
            heard: now,
            failures: 0,
            openings: 0,
            rejected: 0,
            since,
            moved: false,
        }
    }

    /// The answer to a call that asks for leave, where none has to be held for it.
    pub(super) fn try_acquire(&mut self, at: Moment) -> Option<Result<Admission, Rejection>> {
        match (self.mode, &self.phase) {
            (Mode::ForcedOpen, _) => Some(Err(self.reject(Rejection::new(RejectReason::ForcedOpen)))),
            (_, Phase::Closed(_)) => Some(Ok(Admission::closed(at.epoch.max(self.since)))),
            (_, &Phase::Open { until }) if at.now < until => {
                let rest = until.since(at.now);
                Some(Err(self.reject(Rejection::new(RejectReason::Open).with_retry_after(rest))))
            }
            _ => None,
        }
    }

    /// A call asks for leave.
    pub(super) fn acquire(
        &mut self,
        ask: &Ask,
        rules: &Settings,
        at: Moment,
    ) -> (Result<Admission, Rejection>, Option<Box<Moved>>) {
        if let Some(opened) = self.give_up_half_open(rules, at) {
            let rest = opened.cooldown.unwrap_or_default();
            let rejection = Rejection::new(RejectReason::Open).with_retry_after(rest);
            return (Err(self.reject(rejection)), Some(opened));
        }
        if let Some(answer) = self.try_acquire(at) {
            return (answer, None);
        }
        let mut moved = None;
        self.hear(at.now);
        if matches!(self.phase, Phase::Open { .. }) {
            let phase = Phase::HalfOpen { probes: Leases::default(), results: Counts::default() };
            moved = Some(Box::new(self.enter(phase, None, at)));
        }
        let Phase::HalfOpen { probes, results } = &mut self.phase else {
            return (Ok(Admission::closed(at.epoch.max(self.since))), moved);
        };
        if let Some(limit) = rules.probes
            && !probes.is_held(ask.lease, at.now)
        {
            let limit = u64::from(limit.get()).saturating_sub(results.calls);
            if !probes.has_room(usize::try_from(limit).unwrap_or(usize::MAX), at.now) {
                return (Err(self.reject(Rejection::new(RejectReason::ProbesTaken))), moved);
            }
            probes.hold(ask.lease, (), at.now, at.now.after(rules.hold(ask.hold)));
        }
        (Ok(Admission::probe(at.epoch.max(self.since))), moved)
    }

    /// The call admitted in `epoch` ended, under `lease` if it held one.
    #[expect(clippy::inline_always, reason = "every call ends here, and most change one number")]
    #[inline(always)]
    pub(super) fn settle(
        &mut self,
        lease: Option<LeaseId>,
        epoch: u64,
        settlement: Settlement,
        rules: &Settings,
        at: Moment,
    ) -> Option<Box<Moved>> {
        let current = epoch >= self.since;
        if current {
            self.hear(at.now);
        }
        // A lease ends with its verdict, whatever that is; an expired one has ended already.
        let held = lease.is_some_and(|lease| self.release(lease, at.now));
        let ended = Ended::of(&settlement, rules).filter(|_| current && self.mode != Mode::Disabled)?;
        match &mut self.phase {
            Phase::Closed(tally) => {
                let opens = tally.note(ended, rules, at.now);
                if !opens || self.mode != Mode::Automatic {
                    return None;
                }
                self.failures = saturated(tally.counts(at.now).failures);
                Some(Box::new(self.open(rules, at)))
            }
            Phase::HalfOpen { results, .. } if held || rules.probes.is_none() => {
                results.add(ended);
                let opens = judge(results, rules)?;
                self.failures = if opens { self.failures_after(ended, rules) } else { 0 };
                Some(Box::new(if opens { self.open(rules, at) } else { self.close(rules, at) }))
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } => None,
        }
    }

    /// Frees the slot that `lease` holds, if any. Says whether it held one still.
    pub(super) fn release(&mut self, lease: LeaseId, now: Time) -> bool {
        let Phase::HalfOpen { probes, .. } = &mut self.phase else { return false };
        probes.end(lease, now).is_some()
    }

    /// A person takes over, or lets go: it starts anew, and earlier calls have no say any more.
    pub(super) fn set_mode(&mut self, mode: Mode, rules: &Settings, at: Moment) -> Option<Box<Moved>> {
        if mode == self.mode {
            return None;
        }
        let from = self.state();
        (self.mode, self.failures) = (mode, 0);
        Some(Box::new(Moved { from, ..self.close(rules, at) }))
    }

    /// Begins where another left off: open for `rest`, or closed, with so many failures.
    #[cfg(feature = "redis")]
    pub(super) fn take_over(&mut self, rest: Option<Duration>, failures: u32, rules: &Settings, at: Moment) {
        self.failures = 0;
        self.close(rules, at);
        if let Some(rest) = rest {
            (self.failures, self.openings) = (failures, 1);
            self.enter(Phase::Open { until: at.now.after(rest) }, None, at);
        } else if let Phase::Closed(Tally::Row(row)) = &mut self.phase {
            *row = failures;
        }
    }

    /// No result from before its last transition is on its way any more.
    pub(super) const fn calm_down(&mut self) {
        self.moved = false;
    }

    pub(super) const fn since(&self) -> u64 {
        self.since
    }

    /// Whoever supplies the time may be late with it.
    fn hear(&mut self, now: Time) {
        self.heard = self.heard.max(now);
    }

    /// Starts anew, in its mode; earlier calls have no say any more.
    pub(super) fn reset(&mut self, rules: &Settings, at: Moment) -> Moved {
        self.failures = 0;
        self.close(rules, at)
    }

    fn reject(&mut self, rejection: Rejection) -> Rejection {
        self.rejected = self.rejected.saturating_add(1);
        rejection
    }

    /// Opens a circuit that was half-open for too long.
    fn give_up_half_open(&mut self, rules: &Settings, at: Moment) -> Option<Box<Moved>> {
        let longest = rules.longest_half_open?;
        let overdue = matches!(self.phase, Phase::HalfOpen { .. })
            && self.mode == Mode::Automatic
            && at.now >= self.entered.after(longest);
        overdue.then(|| Box::new(self.open(rules, at)))
    }

    fn failures_after(&self, ended: Ended, rules: &Settings) -> u32 {
        match (&rules.trip, &self.phase) {
            (Trip::Rates(_), Phase::HalfOpen { results, .. }) => saturated(results.failures),
            _ => self.failures.saturating_add(u32::from(ended.failed)),
        }
    }

    fn open(&mut self, rules: &Settings, at: Moment) -> Moved {
        self.openings = self.openings.saturating_add(1);
        let cooldown = rules.cooldown_of(self.openings, at.roll);
        self.enter(Phase::Open { until: at.now.after(cooldown) }, Some(cooldown), at)
    }

    fn close(&mut self, rules: &Settings, at: Moment) -> Moved {
        (self.openings, self.rejected) = (0, 0);
        self.enter(Phase::Closed(Tally::new(rules)), None, at)
    }

    fn enter(&mut self, phase: Phase, cooldown: Option<Duration>, at: Moment) -> Moved {
        let from = self.state();
        (self.phase, self.entered, self.moved) = (phase, at.now, true);
        self.hear(at.now);
        self.since = at.epoch.max(self.since).saturating_add(1);
        let (to, mode, failures) = (self.state(), self.mode, self.failures);
        Moved { from, to, mode, failures, cooldown, epoch: self.since }
    }

    const fn state(&self) -> State {
        match (self.mode, &self.phase) {
            (Mode::ForcedOpen, _) | (_, Phase::Open { .. }) => State::Open,
            (_, Phase::HalfOpen { .. }) => State::HalfOpen,
            (_, Phase::Closed(_)) => State::Closed,
        }
    }
}

impl Ended {
    /// `None` where it does not count.
    #[inline]
    fn of(settlement: &Settlement, rules: &Settings) -> Option<Self> {
        let failed = match settlement.verdict {
            Verdict::Success => false,
            Verdict::Failure => true,
            Verdict::Neutral => return None,
        };
        Some(Self { failed, slow: rules.is_slow(settlement.latency) })
    }
}

/// Whether the circuit opens again or closes; `None` as long as more probes have to tell.
fn judge(results: &Counts, rules: &Settings) -> Option<bool> {
    match (&rules.trip, rules.probes) {
        (Trip::Rates(rates), Some(probes)) if results.calls < probes.get().into() => None,
        (Trip::Rates(rates), _) => Some(rates.opens(results, 1)),
        (Trip::Consecutive(_), _) => Some(results.failures > 0),
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
