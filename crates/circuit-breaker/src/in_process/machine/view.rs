//! What can be told of a machine without changing it.

use std::time::Duration;

use super::{Machine, Phase, saturated};
use crate::in_process::clock::Time;
use crate::status::{Counts, Mode, Snapshot, Status};

impl Machine {
    pub(in crate::in_process) fn status(&self, now: Time) -> Status {
        let status = Status::new(self.state(), self.failures).with_mode(self.mode);
        match &self.phase {
            Phase::Closed(tally) => {
                let failures = saturated(tally.counts(now).failures);
                Status { failures, ..status }
            }
            Phase::Open { until } => status.with_retry_after(until.since(now)),
            Phase::HalfOpen { probes, .. } => {
                status.with_probes(u32::try_from(probes.count(now)).unwrap_or(u32::MAX))
            }
        }
    }

    pub(in crate::in_process) fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            status: self.status(now),
            counts: match &self.phase {
                Phase::Closed(tally) => tally.counts(now),
                Phase::HalfOpen { results, .. } => *results,
                Phase::Open { .. } => Counts::default(),
            },
            rejected: self.rejected,
            openings: self.openings,
            in_state: now.since(self.entered),
            epoch: self.since,
        }
    }

    /// Closed, and without anything that counts: it differs from a key never heard of only by the results it ignores.
    pub(in crate::in_process) fn is_blank(&self, now: Time) -> bool {
        self.closed(now).is_some_and(|counts| counts.calls == 0)
    }

    /// Closed, and without anything that could open it.
    pub(in crate::in_process) fn is_clean(&self, now: Time) -> bool {
        self.closed(now).is_some_and(|counts| counts.is_clean())
    }

    fn closed(&self, now: Time) -> Option<Counts> {
        match (&self.phase, self.mode) {
            (Phase::Closed(tally), Mode::Automatic) => Some(tally.counts(now)),
            _ => None,
        }
    }

    /// Nothing was heard of it for `silence`, nothing that it admitted as a probe is out, and it keeps nobody away.
    pub(in crate::in_process) fn is_stale(&self, silence: Duration, now: Time) -> bool {
        self.mode == Mode::Automatic
            && match &self.phase {
                Phase::Closed(_) => self.is_quiet_for(silence, now),
                Phase::Open { until } => until.after(silence) <= now,
                Phase::HalfOpen { probes, .. } => self.is_quiet_for(silence, now) && !probes.any(now),
            }
    }

    /// Nothing was heard of it for so long.
    pub(in crate::in_process) fn is_quiet_for(&self, silence: Duration, now: Time) -> bool {
        self.heard.after(silence) <= now
    }
}
