//! The in-process breaker: a state machine per key, each under its own lock, with tokio's clock.

mod events;
mod local;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::breaker::{Admission, Breaker, Settlement, Verdict};
use crate::in_process::cell::{Cell, Locked};
use crate::in_process::clock::Clock;
use crate::in_process::machine::{Machine, Moment, Moved, Word};
use crate::in_process::settings::{DAY, Preset, Settings};
use crate::in_process::shards::{Place, Shards};
use crate::in_process::untracked::{NoRoom, Untold, Untracked};
use crate::lease::{Ask, LeaseId};
use crate::refusal::Rejection;
use crate::status::{Mode, Snapshot, Status};
use crate::transition::Transition;
use events::Listener;
pub use local::{LocalCircuit, LocalPermit};

/// A breaker that keeps its state in this process, for any threads and runtimes, or none.
///
/// Behind [`Circuit`](crate::Circuit) it is one backend among others. Who calls often and has no other backend in mind
/// resolves a key once, to a [`LocalCircuit`], which asks nothing of a runtime and costs a few nanoseconds.
///
/// # Memory
///
/// Where failures in a row decide, keys that are closed and without failures cost no memory, and while none is kept
/// track of, a call that does not fail costs the breaker no lock, no hash and no clock. A key is kept track of from its
/// first failure until it succeeds. Where [`Rates`](crate::Rates) decide, it is from its first result. One whose
/// circuit was open is remembered for [`Settings::max_hold`] longer; one of which nothing more is heard, for a day; one
/// that a [`LocalCircuit`] holds, or a [mode](Self::set_mode), for as long. What has passed is found in passing, by
/// later calls under any key.
///
/// At most [`Settings::max_keys`] keys are kept track of. When there is no room for one more, those that are closed and
/// clean make room, and those that were silent for their longest cooldown and `max_hold` together. Where there are none,
/// results under further keys go [untracked](Self::on_untracked).
///
/// Time is tokio's, so a paused clock in a test is followed.
pub struct InProcessBreaker {
    settings: Settings,
    machines: Shards<Arc<Cell<Machine>>>,
    clock: Clock,
    /// The latest epoch of any key. An admission carries it, and a transition makes its key's results start beyond
    /// it, so that a key which was forgotten and comes back never takes an old result for a new one.
    epoch: AtomicU64,
    /// The latest epoch of any key that was forgotten. Where nothing is known of a key, a result must reach it.
    forgotten: AtomicU64,
    /// How many machines are not calm. With none, a call that does not fail has nothing to look up.
    restless: AtomicUsize,
    listener: Listener,
    untold: Untold,
}

impl InProcessBreaker {
    /// A breaker that decides by `settings`.
    pub fn new(settings: Settings) -> Self {
        Self {
            machines: Shards::new(settings.max_keys),
            settings,
            clock: Clock::start(),
            epoch: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            restless: AtomicUsize::new(0),
            listener: Listener::default(),
            untold: Untold::default(),
        }
    }

    /// A breaker that decides by a preset.
    pub fn preset(preset: Preset) -> Self {
        Self::new(preset.into())
    }

    /// Tells `listener` of every transition, in the thread that caused it and outside every lock, so that it may use
    /// the breaker. It delays the call that caused the transition. When it panics, the panic ends there: state and
    /// call go on.
    pub fn on_transition(mut self, listener: impl Fn(&Transition) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Tells `listener` when results went untracked because there was no room for their keys: at once for the first,
    /// and then once a minute at most, with their number. In the thread of the call and outside every lock, as for
    /// [`on_transition`](Self::on_transition).
    pub fn on_untracked(mut self, listener: impl Fn(&Untracked) + Send + Sync + 'static) -> Self {
        self.untold = Untold::new(listener);
        self
    }

    /// How it decides.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many keys it keeps track of now: those with results that count, those that recovered a short while ago,
    /// those that are held on to, and those whose time has passed and that no call has come across yet.
    pub fn tracked_keys(&self) -> usize {
        self.machines.len()
    }

    /// Resolves `key` once, for callers that call often: the result needs no runtime and looks nothing up. Its key is
    /// kept track of for as long as it exists. Where there is no room for that, it is like any other caller: it looks
    /// its key up each time.
    pub fn circuit(self: &Arc<Self>, key: impl Into<Arc<str>>) -> LocalCircuit {
        LocalCircuit::new(Arc::clone(self), key.into())
    }

    /// Reads what is counted under `key`. Changes nothing.
    pub fn snapshot(&self, key: &str) -> Snapshot {
        self.read(key, |machine, now| machine.snapshot(now))
    }

    /// Reads what is counted under every key that is kept track of, one after the other, in no order.
    pub fn snapshots(&self) -> Vec<(Arc<str>, Snapshot)> {
        let now = self.clock.now();
        self.machines.map(|key, cell| (Arc::clone(key), cell.lock().get().snapshot(now)))
    }

    /// Puts a circuit into a [`Mode`]: holds it open or closed, or switches it off, until another mode is set. Its
    /// circuit starts anew, closed as far as the mode allows, and calls that were admitted before have no say any more.
    ///
    /// # Errors
    ///
    /// [`NoRoom`], when as many keys as there may be are kept track of and none can be forgotten.
    pub fn set_mode(&self, key: &str, mode: Mode) -> Result<(), NoRoom> {
        let mut place = self.machines.lock(key);
        if mode == Mode::Automatic && place.get().is_none() {
            return Ok(());
        }
        let now = self.clock.now();
        if !self.is_there(&mut place, now) {
            return Err(NoRoom);
        }
        let Some(cell) = place.get().cloned() else { return Ok(()) };
        let moved =
            self.change(&mut cell.lock(), |machine, at| machine.set_mode(mode, &self.settings, at), now);
        self.finish(place, moved);
        Ok(())
    }

    fn try_ask(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        // Read before it is known that no key is in trouble: too old an epoch is ignored, too young a one is not.
        let epoch = self.epoch.load(Ordering::Acquire);
        if self.restless.load(Ordering::Acquire) == 0 {
            return Some(Ok(self.measured(Admission::closed(epoch))));
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        let epoch = self.epoch.load(Ordering::Acquire);
        let free = || Some(Ok(self.measured(Admission::closed(epoch))));
        let Some(cell) = place.get() else { return free() };
        if Word::from(cell.word()).free {
            return free();
        }
        let at = self.moment(self.clock.now());
        let (answer, ..) = cell.lock().change(|machine| machine.try_acquire(at));
        answer
    }

    fn ask(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        if let Some(answer) = self.try_ask(key) {
            return answer;
        }
        let mut place = self.machines.lock(key);
        let Some(cell) = place.get().cloned() else {
            return Ok(Admission::closed(self.epoch.load(Ordering::Acquire)));
        };
        let now = self.clock.now();
        let (answer, moved) =
            self.change(&mut cell.lock(), |machine, at| machine.acquire(ask, &self.settings, at), now);
        self.finish(place, moved);
        answer.map(|admission| self.measured(admission))
    }

    fn report(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        let Settlement { verdict, .. } = settlement;
        let harmless = match verdict {
            Verdict::Failure => false,
            Verdict::Success => self.settings.counts_failures_only(),
            Verdict::Neutral => true,
        };
        if harmless && self.restless.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        let forgotten = self.forgotten.load(Ordering::Acquire);
        if harmless && place.get().is_none_or(|cell| Word::from(cell.word()).mute) {
            return;
        }
        let now = self.clock.now();
        if !self.is_there(&mut place, now) {
            drop(place);
            self.untold.tell(key, now);
            return;
        }
        let Some(cell) = place.get().cloned() else { return };
        let moved = self.settle(&cell, lease, admission, settlement, now);
        let done = |machine: &Machine| machine.is_blank() && machine.since() <= forgotten;
        // One is in the map, one is here.
        if Arc::strong_count(&cell) == 2 && done(cell.lock().get()) {
            self.count(cell.word(), CALM);
            place.remove();
        }
        self.finish(place, moved);
    }

    /// Tells the machine of a call's end.
    fn settle(
        &self,
        cell: &Cell<Machine>,
        lease: Option<LeaseId>,
        admission: Admission,
        mut settlement: Settlement,
        now: Duration,
    ) -> Option<Moved> {
        let since = admission.at.filter(|_| settlement.latency.is_none());
        settlement.latency = settlement.latency.or_else(|| Some(now.saturating_sub(since?)));
        let settle = |machine: &mut Machine, at| {
            machine.settle(lease, admission.epoch, settlement, &self.settings, at)
        };
        self.change(&mut cell.lock(), settle, now)
    }

    fn release(&self, key: &str, lease: LeaseId) {
        if self.restless.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        if let Some(cell) = place.get() {
            let now = self.clock.now();
            self.change(&mut cell.lock(), |machine, _| machine.release(lease, now), now);
        }
    }

    fn read<T: Default>(&self, key: &str, read: impl FnOnce(&Machine, Duration) -> T) -> T {
        if self.machines.is_empty() {
            return T::default();
        }
        let mut place = self.machines.lock(key);
        place.get().map(|cell| read(cell.lock().get(), self.clock.now())).unwrap_or_default()
    }

    /// Changes a machine, and keeps count of those that are not calm. Where it moved, its epoch is known before its
    /// lock is released.
    fn change<T>(
        &self,
        machine: &mut Locked<'_, Machine>,
        change: impl FnOnce(&mut Machine, Moment) -> T,
        now: Duration,
    ) -> T {
        let at = self.moment(now);
        let (done, before, after) = machine.change(|machine| change(machine, at));
        if before != after {
            self.epoch.fetch_max(Word::from(after).epoch, Ordering::AcqRel);
            self.count(before, after);
        }
        done
    }

    /// A machine's word was `before` and is `after`.
    fn count(&self, before: u64, after: u64) {
        match (Word::from(before).calm, Word::from(after).calm) {
            (true, false) => _ = self.restless.fetch_add(1, Ordering::AcqRel),
            (false, true) => _ = self.restless.fetch_sub(1, Ordering::AcqRel),
            _ => {}
        }
    }

    /// Makes sure that there is a machine. `false` where there is no room for one.
    fn is_there(&self, place: &mut Place<'_, Arc<Cell<Machine>>>, now: Duration) -> bool {
        if place.get().is_some() {
            return true;
        }
        let silence = self.settings.stale_after();
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let machine = || Arc::new(Cell::new(Machine::new(&self.settings, forgotten, now)));
        place.insert_with(machine, |cell| self.keep(cell, silence, now))
    }

    /// Forgets a key that nobody holds on to, if there is nothing to remember of it.
    fn forget_if_unknown(&self, key: &str) {
        let mut place = self.machines.lock(key);
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let Some(cell) = place.get().filter(|cell| Arc::strong_count(cell) == 1) else { return };
        let word = cell.word();
        let machine = cell.lock();
        let unknown = machine.get().is_blank() && machine.get().since() <= forgotten;
        drop(machine);
        if unknown {
            self.count(word, CALM);
            place.remove();
        }
    }

    fn sweep_if_due(&self, place: &mut Place<'_, Arc<Cell<Machine>>>) {
        if place.is_sweep_due() {
            let now = self.clock.now();
            let silence = self.settings.stale_after().max(DAY);
            place.tidy(|cell| self.keep(cell, silence, now));
        }
    }

    /// Whether there is a reason to keep track of a key. Where it is only that somebody holds on to it, it is calm.
    fn keep(&self, cell: &Arc<Cell<Machine>>, silence: Duration, now: Duration) -> bool {
        let mut machine = cell.lock();
        let current = machine.get();
        let unknown = current.is_blank() && current.since() <= self.forgotten.load(Ordering::Acquire);
        let idle = current.is_idle(&self.settings, now);
        if Arc::strong_count(cell) > 1 {
            if idle {
                let ((), before, after) = machine.change(Machine::calm_down);
                self.count(before, after);
            }
            return true;
        }
        if !(unknown || idle || current.is_stale(silence, now)) {
            return true;
        }
        self.forgotten.fetch_max(current.since(), Ordering::AcqRel);
        self.count(cell.word(), CALM);
        false
    }

    /// Tells of a transition, when its key is not locked any more.
    fn finish(&self, place: Place<'_, Arc<Cell<Machine>>>, moved: Option<Moved>) {
        let Some(moved) = moved else { return };
        let key = place.key();
        drop(place);
        self.listener.tell(&key, moved);
    }

    fn moment(&self, now: Duration) -> Moment {
        let roll = if self.settings.jitter.is_some() { fastrand::f64() } else { 0.0 };
        Moment { now, epoch: self.epoch.load(Ordering::Acquire), roll }
    }

    /// With the time, where it matters how long a call takes.
    fn measured(&self, admission: Admission) -> Admission {
        if self.settings.measures() { admission.with_time(self.clock.now()) } else { admission }
    }
}

/// A machine that is forgotten counts as calm.
const CALM: u64 = Word { free: true, mute: true, calm: true, epoch: 0 }.packed();

#[async_trait]
impl Breaker for InProcessBreaker {
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        self.try_ask(key)
    }

    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.ask(key, ask)
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        self.report(key, lease, admission, settlement);
    }

    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Admission>) {
        self.release(key, lease);
    }

    async fn status(&self, key: &str) -> Status {
        self.read(key, |machine, now| machine.status(now))
    }
}

impl Default for InProcessBreaker {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl fmt::Debug for InProcessBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessBreaker")
            .field("settings", &self.settings)
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}
