//! How calls ended, on its way to the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::Core;
use super::known::Unsent;
use super::scripts::{END, NOTE, TRIP};
use crate::breaker::{Admission, Settlement, Verdict};
use crate::lease::LeaseId;
use crate::redis::outbox::{LATE, Letter};
use crate::redis::script::{Arg, Invocation, lease_arg, micros};
use crate::settings::Trip;

/// Successes wait so long for others to go with.
const GATHERED: Duration = Duration::from_millis(100);
/// Any report may take so long to arrive, however short the times are that the circuit is set to.
const DELAY: Duration = Duration::from_secs(1);
/// Failures that come sooner after each other go together.
const CROWDED: Duration = Duration::from_millis(5);
/// As many results go in one report.
const IN_ONE: usize = 64;

impl Core {
    /// An admitted call ended.
    pub(super) fn report(
        self: &Arc<Self>,
        key: &str,
        held: Option<LeaseId>,
        admission: Admission,
        settlement: Settlement,
    ) {
        let settlement = self.local.timed(&admission, settlement);
        if admission.degraded {
            return self.report_alone(key, held, admission, settlement);
        }
        if admission.probe {
            return held
                .into_iter()
                .for_each(|held| self.end(key, held, admission.epoch, settlement, Duration::ZERO));
        }
        if settlement.verdict == Verdict::Neutral {
            return;
        }
        // Before it is counted here, as who stands in begins with what was counted.
        let alone = self.stands_in(key);
        let failed = settlement.verdict == Verdict::Failure;
        match self.local.settings().trip {
            Trip::Consecutive(_) => self.count(key, admission.epoch, failed),
            Trip::Rates(_) => {
                self.gather(key, admission.epoch, failed, self.local.settings().is_slow(settlement.latency));
            }
        }
        if alone {
            self.also_alone(key, settlement);
        }
    }

    /// A lease is given back that has no verdict.
    pub(super) fn give_back(self: &Arc<Self>, key: &str, held: LeaseId, admission: Option<Admission>) {
        match admission {
            Some(admission) if admission.degraded => self.give_back_alone(key, held, admission),
            Some(admission) if !admission.probe => {}
            Some(admission) => self.end(key, held, admission.epoch, Verdict::Neutral.into(), Duration::ZERO),
            None => self.take_back(key, held),
        }
    }

    /// What the store may have granted, or grants later, is given back.
    pub(super) fn take_back(self: &Arc<Self>, key: &str, held: LeaseId) {
        self.end(key, held, 0, Verdict::Neutral.into(), LATE);
    }

    fn end(
        self: &Arc<Self>,
        key: &str,
        held: LeaseId,
        epoch: u64,
        settlement: Settlement,
        lost_for: Duration,
    ) {
        let verdict = match settlement.verdict {
            Verdict::Success => "s",
            Verdict::Failure => "f",
            Verdict::Neutral => "n",
        };
        let slow = if self.local.settings().is_slow(settlement.latency) { "1" } else { "0" };
        let args = [
            lease_arg(held),
            Arg::Number(epoch),
            Arg::Word(verdict),
            Arg::Word(slow),
            Arg::Number(micros(lost_for)),
        ];
        self.post(key, self.invocation(&END, key, args), self.local.settings().longest_hold());
    }

    /// Counts failures in a row.
    fn count(self: &Arc<Self>, key: &str, epoch: u64, failed: bool) {
        let mut place = self.known.lock(key);
        if !failed {
            if let Some(known) = place.get() {
                known.count(false, epoch, self.local.settings());
            }
            return;
        }
        let Some(known) = self.there(&mut place) else {
            drop(place);
            return self.local.tell_untracked(key);
        };
        let Some(row) = known.count(true, epoch, self.local.settings()) else { return };
        let trip = self.trip(key, row, epoch);
        known.expect_open(self.local.settings().cooldown, trip.told());
        drop(place);
        self.post_trip(key, trip);
    }

    pub(super) fn trip(&self, key: &str, row: u32, epoch: u64) -> Invocation {
        self.invocation(&TRIP, key, [Arg::Number(row.into()), Arg::Number(epoch)])
    }

    /// Reports an opening, which is of no use when its time has passed.
    pub(super) fn post_trip(self: &Arc<Self>, key: &str, trip: Invocation) {
        self.post(key, trip, self.local.settings().cooldown.max(DELAY));
    }

    /// Gathers results of a window. Failures take along what has gathered.
    fn gather(self: &Arc<Self>, key: &str, epoch: u64, failed: bool, slow: bool) {
        let mut place = self.known.lock(key);
        let Some(known) = self.there(&mut place) else {
            drop(place);
            return self.local.tell_untracked(key);
        };
        if known.view.is_some_and(|view| epoch < view.epoch) {
            return;
        }
        let earlier = if known.unsent.epoch == epoch { None } else { known.unsent.take() };
        known.unsent.epoch = epoch;
        known.unsent.ended.push(b'0' + u8::from(failed) + 2 * u8::from(slow));
        // Failures do not wait for others, unless there are so many that each would have a report of its own.
        let delay = if failed || slow { CROWDED } else { GATHERED };
        let alone = known.unsent.sent.is_none_or(|sent| sent.elapsed() >= CROWDED);
        let at_once = (failed || slow) && alone || known.unsent.ended.len() >= IN_ONE;
        let now = if at_once { known.unsent.take() } else { None };
        let waits = now.is_none() && known.unsent.falls_due(delay);
        // Under the lock, so that reports are numbered in the order in which their calls ended.
        let notes = earlier.into_iter().chain(now).map(|(ended, epoch)| self.note(key, ended, epoch));
        let queued: Vec<_> = notes.collect();
        drop(place);
        for queued in queued {
            self.shared.queued(queued);
        }
        if waits {
            let (core, key) = (Arc::downgrade(self), Box::<str>::from(key));
            self.shared.store.spawn(async move {
                sleep(delay).await;
                if let Some(core) = core.upgrade() {
                    core.send_gathered(&key);
                }
            });
        }
    }

    fn send_gathered(self: &Arc<Self>, key: &str) {
        let mut place = self.known.lock(key);
        let Some(known) = place.get() else { return };
        known.unsent.due = None;
        let queued = known.unsent.take().map(|(ended, epoch)| self.note(key, ended, epoch));
        drop(place);
        if let Some(queued) = queued {
            self.shared.queued(queued);
        }
    }

    /// Sends what has gathered under all keys.
    pub(super) fn send_all(self: &Arc<Self>) {
        if matches!(self.local.settings().trip, Trip::Consecutive(_)) {
            return;
        }
        let waits = |unsent: &Unsent| !unsent.ended.is_empty();
        let keys = self.known.map(|key, known| waits(&known.unsent).then(|| Arc::clone(key)));
        keys.into_iter().flatten().for_each(|key| self.send_gathered(&key));
    }

    /// Only queues it, as it may be called under a lock.
    fn note(self: &Arc<Self>, key: &str, ended: Vec<u8>, epoch: u64) -> Result<(), u64> {
        let ended = String::from_utf8(ended).unwrap_or_default();
        let number = Arg::Number(self.next_report());
        let args = [Arg::Text(self.reporter.clone()), number, Arg::Number(epoch), Arg::Text(ended.into())];
        let lasts = self.local.settings().max_hold.max(DELAY);
        let letter = self.letter(key, self.invocation(&NOTE, key, args), lasts);
        self.shared.outbox.push(Letter { ordered: true, ..letter })
    }

    /// Larger than all before, also where the clock is put back. It begins with the time, so that the store can tell who
    /// has not reported for long.
    fn next_report(&self) -> u64 {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(time.as_micros()).unwrap_or_default();
        let later = |last: u64| Some(time.max(last.saturating_add(1)));
        self.reports
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, later)
            .map_or(time, |last| time.max(last + 1))
    }

    /// Queues it, and remembers what the store says to it.
    pub(super) fn post(self: &Arc<Self>, key: &str, invocation: Invocation, lasts: Duration) {
        self.shared.tell(self.letter(key, invocation, lasts));
    }

    fn letter(self: &Arc<Self>, key: &str, invocation: Invocation, lasts: Duration) -> Letter {
        let (core, named, told) = (Arc::downgrade(self), Box::<str>::from(key), invocation.told());
        let answered = move |answer| {
            if let Some(core) = core.upgrade() {
                core.learn(&named, answer, told);
            }
        };
        Letter { invocation, lasts, ordered: false, answered: Some(Box::new(answered)) }
    }
}
