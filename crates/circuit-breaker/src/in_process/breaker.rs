//! The in-process breaker: a state machine per key, each under its own lock, with tokio's clock.

mod events;
mod local;
#[cfg(feature = "redis")]
mod stand_in;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::breaker::{Admission, Breaker, Settlement, Verdict};
use crate::in_process::clock::Time;
use crate::in_process::machine::{Machine, Moved, Word};
use crate::in_process::registry::{Place, Registry};
use crate::in_process::untracked::{NoRoom, Untold, Untracked};
use crate::lease::{Ask, LeaseId};
use crate::refusal::Rejection;
use crate::settings::{Preset, Settings};
use crate::status::{Mode, ModeError, Snapshot, State, Status};
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
/// first failure until it succeeds. Where [`Rates`](crate::Rates) decide, it is from its first result until its window is
/// empty. One whose circuit was open is remembered for [`Settings::max_hold`] longer; one of which nothing more is heard,
/// for a day; one that a [`LocalCircuit`] holds, or a [mode](Self::set_mode), for as long. What has passed is found in passing, by
/// later calls under any key.
///
/// At most [`Settings::max_keys`] keys are kept track of. When there is no room for one more, those that are closed and
/// clean and were silent for a cooldown make room, and those that were silent for their longest cooldown and `max_hold`
/// together. Where there are none, results under further keys go [untracked](Self::on_untracked).
///
/// Time is tokio's, so a paused clock in a test is followed.
pub struct InProcessBreaker {
    registry: Registry,
    listener: Listener,
    untold: Untold,
}

impl InProcessBreaker {
    /// A breaker that decides by `settings`.
    pub fn new(settings: Settings) -> Self {
        Self { registry: Registry::new(settings), listener: Listener::default(), untold: Untold::default() }
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
        &self.registry.settings
    }

    /// How many keys it keeps track of now: those with results that count, those that recovered a short while ago,
    /// those that are held on to, and those whose time has passed and that no call has come across yet.
    pub fn tracked_keys(&self) -> usize {
        self.registry.machines.len()
    }

    /// Resolves `key` once, for callers that call often: the result needs no runtime and looks nothing up. Its key is
    /// kept track of for as long as it exists. Where there is no room for that, it is like any other caller: it looks
    /// its key up each time.
    pub fn circuit(self: &Arc<Self>, key: impl Into<Arc<str>>) -> LocalCircuit {
        LocalCircuit::new(Arc::clone(self), key.into())
    }

    /// Reads what is counted under `key`. Changes nothing.
    pub fn snapshot(&self, key: &str) -> Snapshot {
        self.read(key, Machine::snapshot)
    }

    /// Reads what is counted under every key that is kept track of, one after the other, in no order.
    pub fn snapshots(&self) -> Vec<(Arc<str>, Snapshot)> {
        let now = self.registry.clock.now();
        self.registry.machines.map(|key, entry| (Arc::clone(key), entry.lock().get().snapshot(now)))
    }

    /// Puts a circuit into a [`Mode`]: holds it open or closed, or switches it off, until another mode is set. Its
    /// circuit starts anew, closed as far as the mode allows, and calls that were admitted before have no say any more.
    /// Where it is in that mode already, nothing changes; [`reset`](Self::reset) starts it anew in any case.
    ///
    /// # Errors
    ///
    /// [`NoRoom`], when as many keys as there may be are kept track of and none can be forgotten.
    pub fn set_mode(&self, key: &str, mode: Mode) -> Result<(), NoRoom> {
        let registry = &self.registry;
        let mut place = registry.visit(key);
        if mode == Mode::Automatic && place.get().is_none() {
            return Ok(());
        }
        let now = registry.clock.now();
        let entry = registry.there(&mut place, now).ok_or(NoRoom)?;
        let set = |machine: &mut Machine, at| machine.set_mode(mode, &registry.settings, at);
        let moved = registry.change(&mut entry.lock(), set, now);
        self.finish(place, moved);
        Ok(())
    }

    /// Starts a key anew: its circuit is closed, as far as its [mode](Self::set_mode) allows, and calls that were admitted
    /// before have no say any more. Tells the listener, also where it was closed.
    ///
    /// # Errors
    ///
    /// As for [`set_mode`](Self::set_mode).
    pub fn reset(&self, key: &str) -> Result<(), NoRoom> {
        let registry = &self.registry;
        let mut place = registry.visit(key);
        let now = registry.clock.now();
        let entry = registry.there(&mut place, now).ok_or(NoRoom)?;
        let reset = |machine: &mut Machine, at| machine.reset(&registry.settings, at);
        let moved = registry.change(&mut entry.lock(), reset, now);
        self.finish(place, Some(Box::new(moved)));
        Ok(())
    }

    fn try_ask(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        let registry = &self.registry;
        // Read before it is known that no key is in trouble: too old an epoch is ignored, too young a one is not.
        let epoch = registry.epoch();
        let free = |epoch| Some(Ok(Admission::closed(epoch)));
        let answer = if registry.is_calm() {
            free(epoch)
        } else {
            let mut place = registry.visit(key);
            let epoch = registry.epoch();
            match place.get().map(|entry| (Word::from(entry.word()), entry)) {
                None => free(epoch),
                Some((word, _)) if word.free => free(epoch.max(word.epoch)),
                Some((_, entry)) => {
                    let at = registry.moment(registry.clock.now());
                    entry.lock().change(|machine| machine.try_acquire(at)).0
                }
            }
        };
        answer.map(|answer| answer.map(|admission| registry.measured(admission)))
    }

    fn ask(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        if let Some(answer) = self.try_ask(key) {
            return answer;
        }
        let registry = &self.registry;
        let mut place = registry.machines.lock(key);
        let Some(entry) = place.get().cloned() else {
            return Ok(registry.measured(Admission::closed(registry.epoch())));
        };
        let now = registry.clock.now();
        let acquire = |machine: &mut Machine, at| machine.acquire(ask, &registry.settings, at);
        let (answer, moved) = registry.change(&mut entry.lock(), acquire, now);
        self.finish(place, moved);
        answer.map(|admission| registry.measured(admission))
    }

    /// Counts how a call ended. Says where that brought the circuit, if it moved.
    fn report(
        &self,
        key: &str,
        lease: Option<LeaseId>,
        admission: &Admission,
        settlement: &Settlement,
    ) -> Option<State> {
        let registry = &self.registry;
        let harmless = match settlement.verdict {
            Verdict::Failure => false,
            Verdict::Success => registry.settings.counts_failures_only(),
            Verdict::Neutral => true,
        };
        if harmless && registry.is_calm() {
            return None;
        }
        let mut place = registry.visit(key);
        if harmless && place.get().is_none_or(|entry| Word::from(entry.word()).mute) {
            return None;
        }
        let now = registry.clock.now();
        let Some(entry) = registry.there(&mut place, now) else {
            drop(place);
            self.untold.tell(key, now);
            return None;
        };
        let moved = registry.settle(&entry, lease, admission, settlement, now);
        drop(entry);
        registry.let_go(&mut place, now);
        let to = moved.as_ref().map(|moved| moved.to);
        self.finish(place, moved);
        to
    }

    fn release(&self, key: &str, lease: LeaseId) {
        let registry = &self.registry;
        if registry.is_calm() {
            return;
        }
        if let Some(entry) = registry.visit(key).get() {
            let now = registry.clock.now();
            registry.change(&mut entry.lock(), |machine, _| machine.release(lease, now), now);
        }
    }

    fn read<T: Default>(&self, key: &str, read: impl FnOnce(&Machine, Time) -> T) -> T {
        let registry = &self.registry;
        if registry.machines.is_empty() {
            return T::default();
        }
        let mut place = registry.machines.lock(key);
        place.get().map(|entry| read(entry.lock().get(), registry.clock.now())).unwrap_or_default()
    }

    /// Tells of a transition, when its key is not locked any more.
    fn finish(&self, place: Place<'_>, moved: Option<Box<Moved>>) {
        let Some(moved) = moved else { return };
        let key = place.key();
        drop(place);
        self.listener.tell(&key, *moved);
    }
}

#[async_trait]
impl Breaker for InProcessBreaker {
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        self.try_ask(key)
    }

    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.ask(key, ask)
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        self.report(key, lease, &admission, &settlement);
    }

    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Admission>) {
        self.release(key, lease);
    }

    async fn status(&self, key: &str) -> Status {
        self.read(key, Machine::status)
    }

    async fn set_mode(&self, key: &str, mode: Mode) -> Result<(), ModeError> {
        Self::set_mode(self, key, mode).map_err(|NoRoom| ModeError::NoRoom)
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
            .field("settings", self.settings())
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}
