//! The state machine of one key. Pure: what happens, and when, are arguments; storage and clock are the shell's.

mod tally;

use std::time::Duration;

use crate::breaker::{Admission, Settlement, Verdict};
use crate::in_process::cell::Summary;
use crate::in_process::leases::Leases;
use crate::in_process::settings::{Settings, Trip};
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};
use crate::status::{Counts, Mode, Snapshot, State, Status};
use tally::{Ended, Tally};

/// One key's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    mode: Mode,
    phase: Phase,
    /// When it entered its phase.
    entered: Duration,
    /// When it was last asked, or told, something that counts.
    heard: Duration,
    /// Those that opened it, where the circuit is not closed.
    failures: u32,
    /// In a row, without a closed circuit between them.
    openings: u32,
    /// Since the circuit was last closed.
    rejected: u64,
    /// The epoch of the last transition. An admission from before it carries a smaller one.
    since: u64,
    /// Nothing happened that it would have to be remembered for. It calls for no visit of its key.
    calm: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Closed(Tally),
    Open {
        until: Duration,
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
    pub(super) now: Duration,
    pub(super) epoch: u64,
    /// Between 0 and 1, for a cooldown that is jittered.
    pub(super) roll: f64,
}

/// A transition that took place.
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
    pub(super) fn new(rules: &Settings, since: u64, now: Duration) -> Self {
        Self {
            mode: Mode::Automatic,
            phase: Phase::Closed(Tally::new(rules)),
            entered: now,
            heard: now,
            failures: 0,
            openings: 0,
            rejected: 0,
            since,
            calm: true,
        }
    }

    /// The answer to a call that asks for leave, where none has to be held for it.
    pub(super) fn try_acquire(&mut self, at: Moment) -> Option<Result<Admission, Rejection>> {
        match (self.mode, &self.phase) {
            (Mode::ForcedOpen, _) => Some(Err(self.reject(Rejection::new(RejectReason::ForcedOpen)))),
            (_, Phase::Closed(_)) => Some(Ok(Admission::closed(at.epoch.max(self.since)))),
            (_, &Phase::Open { until }) if at.now < until => {
                let rest = until.saturating_sub(at.now);
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
    ) -> (Result<Admission, Rejection>, Option<Moved>) {
        let mut moved = self.give_up_half_open(rules, at);
        if let Some(answer) = self.try_acquire(at) {
            return (answer, moved);
        }
        self.heard = at.now;
        if matches!(self.phase, Phase::Open { .. }) {
            let phase = Phase::HalfOpen { probes: Leases::default(), results: Counts::default() };
            moved = Some(self.enter(phase, None, at));
        }
        let Phase::HalfOpen { probes, results } = &mut self.phase else {
            return (Ok(Admission::closed(at.epoch.max(self.since))), moved);
        };
        if let Some(limit) = rules.probes
            && probes.get(ask.lease, at.now).is_none()
        {
            let limit = u64::from(limit.get()).saturating_sub(results.calls);
            if !probes.has_room(usize::try_from(limit).unwrap_or(usize::MAX), at.now) {
                return (Err(self.reject(Rejection::new(RejectReason::ProbesTaken))), moved);
            }
            probes.hold(ask.lease, (), at.now.saturating_add(rules.hold(ask.hold)));
        }
        (Ok(Admission::probe(at.epoch.max(self.since))), moved)
    }

    /// The call admitted in `epoch` ended, under `lease` if it held one.
    pub(super) fn settle(
        &mut self,
        lease: Option<LeaseId>,
        epoch: u64,
        settlement: Settlement,
        rules: &Settings,
        at: Moment,
    ) -> Option<Moved> {
        let current = epoch >= self.since;
        if current {
            self.heard = at.now;
        }
        // A lease ends with its verdict, whatever that is; an expired one has ended already.
        let held = lease.is_some_and(|lease| self.release(lease, at.now));
        let counts = current && settlement.verdict != Verdict::Neutral && self.mode != Mode::Disabled;
        if !counts {
            return None;
        }
        let ended = Ended::of(settlement, rules);
        match &mut self.phase {
            Phase::Closed(tally) => {
                let opens = tally.note(ended, rules, at.now);
                self.calm &= tally.ignores_success();
                if !opens || self.mode != Mode::Automatic {
                    return None;
                }
                self.failures = saturated(tally.counts(at.now).failures);
                Some(self.open(rules, at))
            }
            Phase::HalfOpen { results, .. } if held || rules.probes.is_none() => {
                results.add(ended);
                let opens = judge(results, rules)?;
                self.failures = if opens { self.failures_after(ended, rules) } else { 0 };
                Some(if opens { self.open(rules, at) } else { self.close(rules, at) })
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } => None,
        }
    }

    /// Frees the slot that `lease` holds, if any. Says whether it held one still.
    pub(super) fn release(&mut self, lease: LeaseId, now: Duration) -> bool {
        let Phase::HalfOpen { probes, .. } = &mut self.phase else { return false };
        probes.end(lease, now).is_some()
    }

    /// A person takes over, or lets go: it starts anew, and earlier calls have no say any more.
    pub(super) fn set_mode(&mut self, mode: Mode, rules: &Settings, at: Moment) -> Option<Moved> {
        if mode == self.mode {
            return None;
        }
        let from = self.state();
        self.mode = mode;
        self.failures = 0;
        Some(Moved { from, ..self.close(rules, at) })
    }

    pub(super) fn status(&self, now: Duration) -> Status {
        let status = Status::new(self.state(), self.failures).with_mode(self.mode);
        match &self.phase {
            Phase::Closed(tally) => {
                let failures = saturated(tally.counts(now).failures);
                Status { failures, ..status }
            }
            Phase::Open { until } => status.with_retry_after(until.saturating_sub(now)),
            Phase::HalfOpen { probes, .. } => {
                status.with_probes(u32::try_from(probes.count(now)).unwrap_or(u32::MAX))
            }
        }
    }

    pub(super) fn snapshot(&self, now: Duration) -> Snapshot {
        Snapshot {
            status: self.status(now),
            counts: match &self.phase {
                Phase::Closed(tally) => tally.counts(now),
                Phase::HalfOpen { results, .. } => *results,
                Phase::Open { .. } => Counts::default(),
            },
            rejected: self.rejected,
            openings: self.openings,
            in_state: now.saturating_sub(self.entered),
            epoch: self.since,
        }
    }

    /// Closed, and without anything that counts: it differs from a key never heard of only by the results it ignores.
    pub(super) fn is_blank(&self) -> bool {
        self.mode == Mode::Automatic && matches!(&self.phase, Phase::Closed(tally) if tally.is_blank())
    }

    /// Closed and without failures, and for so long that no result of an earlier state is on its way any more.
    pub(super) fn is_idle(&self, rules: &Settings, now: Duration) -> bool {
        let clean = matches!(&self.phase, Phase::Closed(tally) if tally.is_clean());
        self.mode == Mode::Automatic && clean && self.is_quiet_for(rules.max_hold, now)
    }

    /// Nothing was heard of it for `silence`, nothing that it admitted as a probe is out, and it keeps nobody away.
    pub(super) fn is_stale(&self, silence: Duration, now: Duration) -> bool {
        self.mode == Mode::Automatic
            && match &self.phase {
                Phase::Closed(_) => self.is_quiet_for(silence, now),
                Phase::Open { until } => until.saturating_add(silence) <= now,
                Phase::HalfOpen { probes, .. } => self.is_quiet_for(silence, now) && probes.count(now) == 0,
            }
    }

    fn is_quiet_for(&self, silence: Duration, now: Duration) -> bool {
        self.heard.saturating_add(silence) <= now
    }

    /// Nothing of what happened matters any more, though it stays because it is held on to.
    pub(super) fn calm_down(&mut self) {
        self.calm = matches!(&self.phase, Phase::Closed(tally) if tally.ignores_success());
    }

    pub(super) const fn since(&self) -> u64 {
        self.since
    }

    fn reject(&mut self, rejection: Rejection) -> Rejection {
        self.rejected = self.rejected.saturating_add(1);
        rejection
    }

    /// Opens a circuit that was half-open for too long.
    fn give_up_half_open(&mut self, rules: &Settings, at: Moment) -> Option<Moved> {
        let longest = rules.longest_half_open?;
        let overdue = matches!(self.phase, Phase::HalfOpen { .. })
            && self.mode == Mode::Automatic
            && at.now >= self.entered.saturating_add(longest);
        overdue.then(|| self.open(rules, at))
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
        self.enter(Phase::Open { until: at.now.saturating_add(cooldown) }, Some(cooldown), at)
    }

    fn close(&mut self, rules: &Settings, at: Moment) -> Moved {
        (self.openings, self.rejected) = (0, 0);
        self.enter(Phase::Closed(Tally::new(rules)), None, at)
    }

    fn enter(&mut self, phase: Phase, cooldown: Option<Duration>, at: Moment) -> Moved {
        let from = self.state();
        (self.phase, self.entered, self.calm) = (phase, at.now, false);
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
    fn of(settlement: Settlement, rules: &Settings) -> Self {
        let slow = match &rules.trip {
            Trip::Rates(rates) => rates.slow.zip(settlement.latency),
            Trip::Consecutive(_) => None,
        };
        Self {
            failed: settlement.verdict == Verdict::Failure,
            slow: slow.is_some_and(|(slow, latency)| latency >= slow.from),
        }
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

/// What can be said of a machine without its lock, in one word beside its epoch.
impl Summary for Machine {
    fn word(&self) -> u64 {
        let free = self.mode != Mode::ForcedOpen && matches!(self.phase, Phase::Closed(_));
        let mute = match (&self.phase, self.mode) {
            (Phase::Closed(_), Mode::Disabled) => true,
            (Phase::Closed(tally), _) => tally.ignores_success(),
            _ => false,
        };
        Word { free, mute, calm: self.calm, epoch: self.since }.packed()
    }
}

/// A machine's [summary](Summary), unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are bits")]
pub(super) struct Word {
    /// A call may go out, and holds nothing.
    pub(super) free: bool,
    /// A success changes nothing, whenever its call was admitted.
    pub(super) mute: bool,
    /// There is nothing to remember.
    pub(super) calm: bool,
    /// That of the last transition.
    pub(super) epoch: u64,
}

impl Word {
    pub(super) const fn packed(self) -> u64 {
        self.epoch << 3 | (self.calm as u64) << 2 | (self.mute as u64) << 1 | self.free as u64
    }
}

impl From<u64> for Word {
    fn from(word: u64) -> Self {
        Self { free: word & 1 != 0, mute: word & 2 != 0, calm: word & 4 != 0, epoch: word >> 3 }
    }
}

#[cfg(test)]
mod tests;
