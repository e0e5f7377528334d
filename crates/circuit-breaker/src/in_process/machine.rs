//! The state machine of one key. Pure: what happens, and when, are arguments; storage and clock are the shell's.

use std::time::Duration;

use crate::breaker::{Admission, State, Status, Verdict};
use crate::in_process::settings::Settings;
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};

/// One key's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    phase: Phase,
    /// When it was last asked, or told, something that counts.
    heard: Duration,
    /// In a row, since the last success.
    failures: u32,
    /// The epoch of the last transition. An admission from before it carries a smaller one.
    since: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Closed,
    Open {
        until: Duration,
    },
    /// Without a bound on probes, they are not listed: nothing depends on how many there are.
    HalfOpen {
        probes: Vec<Probe>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    lease: LeaseId,
    expires: Duration,
}

/// When something happens: the time since the breaker was made, and the latest epoch of any of its keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) epoch: u64,
}

/// A transition that took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) failures: u32,
    pub(super) cooldown: Option<Duration>,
    pub(super) epoch: u64,
}

impl Machine {
    /// A closed circuit whose current results carry `since` or more, first heard of `now`.
    pub(super) const fn new(since: u64, now: Duration) -> Self {
        Self { phase: Phase::Closed, heard: now, failures: 0, since }
    }

    /// A call asks for leave.
    pub(super) fn acquire(
        &mut self,
        ask: &Ask,
        rules: &Settings,
        at: Moment,
    ) -> (Result<Admission, Rejection>, Option<Moved>) {
        let mut moved = None;
        if let Phase::Open { until } = self.phase {
            if at.now < until {
                let rejection =
                    Rejection::new(RejectReason::Open).with_retry_after(until.saturating_sub(at.now));
                return (Err(rejection), None);
            }
            moved = Some(self.enter(Phase::HalfOpen { probes: Vec::new() }, None, at));
        }
        self.heard = at.now;
        let epoch = at.epoch.max(self.since);
        let Phase::HalfOpen { probes } = &mut self.phase else {
            return (Ok(Admission::closed(epoch)), moved);
        };
        if let Some(limit) = rules.probes {
            probes.retain(|probe| at.now < probe.expires);
            if !probes.iter().any(|probe| probe.lease == ask.lease) {
                if probes.len() >= limit.get() as usize {
                    return (Err(Rejection::new(RejectReason::ProbesTaken)), moved);
                }
                let expires = at.now.saturating_add(rules.hold(ask.hold));
                probes.push(Probe { lease: ask.lease, expires });
            }
        }
        (Ok(Admission::probe(epoch)), moved)
    }

    /// The call admitted under `lease` in `epoch` ended.
    pub(super) fn settle(
        &mut self,
        lease: LeaseId,
        epoch: u64,
        verdict: Verdict,
        rules: &Settings,
        at: Moment,
    ) -> Option<Moved> {
        let current = epoch >= self.since;
        if current {
            self.heard = at.now;
        }
        // A lease ends with its verdict, whatever that is; an expired one has ended already.
        let held = self.release(lease, at.now);
        match (&self.phase, verdict) {
            (Phase::Closed, Verdict::Success) if current => {
                self.failures = 0;
                None
            }
            (Phase::Closed, Verdict::Failure) if current => {
                self.failures = self.failures.saturating_add(1);
                (self.failures >= rules.failure_threshold.get()).then(|| self.open(rules, at))
            }
            (Phase::HalfOpen { .. }, Verdict::Success) if current && (held || rules.probes.is_none()) => {
                self.failures = 0;
                Some(self.enter(Phase::Closed, None, at))
            }
            (Phase::HalfOpen { .. }, Verdict::Failure) if current && (held || rules.probes.is_none()) => {
                self.failures = self.failures.saturating_add(1);
                Some(self.open(rules, at))
            }
            _ => None,
        }
    }

    /// Frees the slot that `lease` holds, if any. Says whether it held one still.
    pub(super) fn release(&mut self, lease: LeaseId, now: Duration) -> bool {
        let Phase::HalfOpen { probes } = &mut self.phase else { return false };
        let Some(place) = probes.iter().position(|probe| probe.lease == lease) else { return false };
        now < probes.swap_remove(place).expires
    }

    pub(super) fn status(&self, now: Duration) -> Status {
        match &self.phase {
            Phase::Closed => Status::new(State::Closed, self.failures),
            Phase::Open { until } => {
                Status::new(State::Open, self.failures).with_retry_after(until.saturating_sub(now))
            }
            Phase::HalfOpen { probes } => {
                let out = probes.iter().filter(|probe| now < probe.expires).count();
                Status::new(State::HalfOpen, self.failures)
                    .with_probes(u32::try_from(out).unwrap_or(u32::MAX))
            }
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Closed and without failures: it differs from a key never heard of only by the results it ignores.
    pub(super) const fn is_clean(&self) -> bool {
        self.is_closed() && self.failures == 0
    }

    /// Clean, and for so long that no result of an earlier state is on its way any more.
    pub(super) fn is_idle(&self, rules: &Settings, now: Duration) -> bool {
        self.is_clean() && self.is_quiet_for(rules.max_hold, now)
    }

    /// Nothing was heard of it for `silence`, nothing that it admitted as a probe is out, and it keeps nobody away.
    pub(super) fn is_stale(&self, silence: Duration, now: Duration) -> bool {
        match &self.phase {
            Phase::Closed => self.is_quiet_for(silence, now),
            Phase::Open { until } => until.saturating_add(silence) <= now,
            Phase::HalfOpen { probes } => {
                self.is_quiet_for(silence, now) && probes.iter().all(|probe| probe.expires <= now)
            }
        }
    }

    fn is_quiet_for(&self, silence: Duration, now: Duration) -> bool {
        self.heard.saturating_add(silence) <= now
    }

    pub(super) const fn since(&self) -> u64 {
        self.since
    }

    fn open(&mut self, rules: &Settings, at: Moment) -> Moved {
        let until = at.now.saturating_add(rules.cooldown);
        self.enter(Phase::Open { until }, Some(rules.cooldown), at)
    }

    fn enter(&mut self, phase: Phase, cooldown: Option<Duration>, at: Moment) -> Moved {
        let from = self.state();
        self.phase = phase;
        self.since = at.epoch.max(self.since).saturating_add(1);
        Moved { from, to: self.state(), failures: self.failures, cooldown, epoch: self.since }
    }

    const fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests;
