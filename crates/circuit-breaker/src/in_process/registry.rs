//! The machines of a breaker: one per key that has to be kept track of, found, made and forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::breaker::{Admission, Settlement};
use crate::in_process::cell::{Cell, Locked};
use crate::in_process::clock::{Clock, Time};
use crate::in_process::machine::{Machine, Moment, Moved, Word};
use crate::in_process::shards::{self, Shards};
use crate::lease::LeaseId;
use crate::settings::{DAY, Settings};

/// The machine of a key.
pub(super) type Entry = Arc<Cell<Machine>>;

/// The locked place of a key, whether or not it has a machine.
pub(super) type Place<'a> = shards::Place<'a, Entry>;

/// All machines, and what is known of all of them at once.
pub(super) struct Registry {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) machines: Shards<Entry>,
    /// The latest epoch of any key. An admission carries it, and a transition makes its key's results start beyond
    /// it, so that a key which was forgotten and comes back never takes an old result for a new one.
    epoch: AtomicU64,
    /// The latest epoch of any key that was forgotten. Where nothing is known of a key, a result must reach it.
    forgotten: AtomicU64,
    /// How many machines are not calm. With none, a call that does not fail has nothing to look up.
    restless: AtomicUsize,
}

impl Registry {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            machines: Shards::new(settings.max_keys),
            settings,
            clock: Clock::start(),
            epoch: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            restless: AtomicUsize::new(0),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Every circuit is closed and clean, and none has to be visited.
    pub(super) fn is_calm(&self) -> bool {
        self.restless.load(Ordering::Acquire) == 0
    }

    /// Locks the place of `key`, and tidies up in passing.
    pub(super) fn visit<'a>(&'a self, key: &'a str) -> Place<'a> {
        let mut place = self.machines.lock(key);
        if place.is_sweep_due() {
            let now = self.clock.now();
            place.tidy(|entry| self.keep(entry, Why::InPassing, now), now);
        }
        place
    }

    /// The machine of a key, a new one if need be; `None` where there is no room for one.
    pub(super) fn there(&self, place: &mut Place<'_>, now: Time) -> Option<Entry> {
        if place.get().is_none() {
            let forgotten = self.forgotten.load(Ordering::Acquire);
            let machine = || Arc::new(Cell::new(Machine::new(&self.settings, forgotten, now)));
            place.insert_with(machine, |entry| self.keep(entry, Why::ForRoom, now), now);
        }
        place.get().cloned()
    }

    /// Forgets a key that is not in use any more, if there is no reason to remember it: a registry that is calm is not
    /// visited, and would keep it.
    pub(super) fn let_go(&self, place: &mut Place<'_>, now: Time) {
        if place.get().is_some_and(|entry| !self.keep(entry, Why::InPassing, now)) {
            place.remove();
        }
    }

    /// Tells a machine of a call's end.
    pub(super) fn settle(
        &self,
        entry: &Cell<Machine>,
        lease: Option<LeaseId>,
        admission: &Admission,
        settlement: &Settlement,
        now: Time,
    ) -> Option<Box<Moved>> {
        let latency = settlement.latency.or_else(|| Some(now.since(admission.at?.into())));
        let settlement = Settlement { latency, ..*settlement };
        let settle = |machine: &mut Machine, at| {
            machine.settle(lease, admission.epoch, settlement, &self.settings, at)
        };
        self.change(&mut entry.lock(), settle, now)
    }

    /// Changes a machine, and keeps count of those that are not calm. Where it moved, its epoch is known before its
    /// lock is released.
    #[expect(clippy::inline_always, reason = "as for Locked::change")]
    #[inline(always)]
    pub(super) fn change<T>(
        &self,
        machine: &mut Locked<'_, Machine>,
        change: impl FnOnce(&mut Machine, Moment) -> T,
        now: Time,
    ) -> T {
        let at = self.moment(now);
        let (done, before, after) = machine.change(|machine| change(machine, at));
        if before != after {
            self.epoch.fetch_max(Word::from(after).epoch, Ordering::AcqRel);
            self.count(before, after);
        }
        done
    }

    pub(super) fn moment(&self, now: Time) -> Moment {
        let roll = if self.settings.jitter.is_some() { fastrand::f64() } else { 0.0 };
        Moment { now, epoch: self.epoch(), roll }
    }

    /// With the time, where it matters how long a call takes.
    pub(super) fn measured(&self, admission: Admission) -> Admission {
        if self.settings.measures() { admission.with_time(self.clock.now().into()) } else { admission }
    }

    /// A machine's word was `before` and is `after`.
    fn count(&self, before: u64, after: u64) {
        match (Word::from(before).calm, Word::from(after).calm) {
            (true, false) => _ = self.restless.fetch_add(1, Ordering::AcqRel),
            (false, true) => _ = self.restless.fetch_sub(1, Ordering::AcqRel),
            _ => {}
        }
    }

    /// Whether there is a reason to keep track of a key. Where it is only that somebody holds on to it, it is calm.
    fn keep(&self, entry: &Entry, why: Why, now: Time) -> bool {
        let mut machine = entry.lock();
        let current = machine.get();
        let unmoved = current.since() <= self.forgotten.load(Ordering::Acquire);
        let settled = unmoved || current.is_quiet_for(self.settings.max_hold, now);
        if Arc::strong_count(entry) > 1 {
            if settled {
                let ((), before, after) = machine.change(Machine::calm_down);
                self.count(before, after);
            }
            return true;
        }
        let rules = &self.settings;
        let over = settled && current.is_blank(now)
            || match why {
                Why::InPassing => current.is_stale(rules.stale_after().max(DAY), now),
                Why::ForRoom => {
                    let resting = unmoved && current.is_quiet_for(rules.cooldown, now);
                    current.is_clean(now) && (resting || current.is_quiet_for(rules.max_hold, now))
                        || current.is_stale(rules.stale_after(), now)
                }
            };
        if over {
            self.forgotten.fetch_max(current.since(), Ordering::AcqRel);
            self.count(entry.word(), Word::CALM);
        }
        !over
    }
}

/// Why it is asked whether a key can be forgotten.
#[derive(Clone, Copy)]
enum Why {
    InPassing,
    ForRoom,
}
