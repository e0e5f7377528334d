//! The in-process breaker: the state machine under a sharded lock, with tokio's clock.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::breaker::{Admission, Breaker, Settlement, Status, Verdict};
use crate::in_process::machine::{Machine, Moment, Moved};
use crate::in_process::settings::{DAY, Preset, Settings};
use crate::in_process::shards::{Place, Shards};
use crate::in_process::untracked::{Untold, Untracked};
use crate::lease::{Ask, LeaseId};
use crate::refusal::Rejection;
use crate::transition::Transition;

/// A breaker that keeps its state in this process, for any threads and runtimes, or none.
///
/// Keys that are closed and without failures cost no memory, and while none is kept track of, a call that does not
/// fail costs the breaker no lock, no hash and no clock. A key is kept track of from its first failure until it
/// succeeds; one whose circuit was open, for [`Settings::max_hold`] longer; one of which nothing more is heard, for a
/// day. What has passed is found in passing, by later calls under any key.
///
/// At most [`Settings::max_keys`] keys are kept track of. When there is no room for one more, those that were silent
/// for `cooldown` and `max_hold` together make room. Where there are none, failures under further keys go
/// [untracked](Self::on_untracked).
///
/// Time is tokio's, so a paused clock in a test is followed.
pub struct InProcessBreaker {
    settings: Settings,
    machines: Shards<Machine>,
    origin: Instant,
    /// The latest epoch of any key. An admission carries it, and a transition makes its key's results start beyond
    /// it, so that a key which was forgotten and comes back never takes an old result for a new one.
    epoch: AtomicU64,
    /// The latest epoch of any key that was forgotten. Where nothing is known of a key, a result must reach it.
    forgotten: AtomicU64,
    listener: Option<Listener>,
    untold: Untold,
}

type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;

impl InProcessBreaker {
    /// A breaker that decides by `settings`.
    pub fn new(settings: Settings) -> Self {
        Self {
            machines: Shards::new(settings.max_keys),
            settings,
            origin: Instant::now(),
            epoch: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            listener: None,
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
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Tells `listener` when failures went untracked because there was no room for their keys: at once for the first,
    /// and then once a minute at most, with their number. In the thread of the call that failed and outside every lock,
    /// as for [`on_transition`](Self::on_transition).
    pub fn on_untracked(mut self, listener: impl Fn(&Untracked) + Send + Sync + 'static) -> Self {
        self.untold = Untold::new(listener);
        self
    }

    /// How it decides.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many keys it keeps track of now: those in trouble, those that recovered a short while ago, and those whose
    /// time has passed and that no call has come across yet.
    pub fn tracked_keys(&self) -> usize {
        self.machines.len()
    }

    fn ask(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        // Read before it is known that no key is in trouble: too old an epoch is ignored, too young a one is not.
        let epoch = self.epoch.load(Ordering::Acquire);
        if self.machines.is_empty() {
            return Ok(Admission::closed(epoch));
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        let epoch = self.epoch.load(Ordering::Acquire);
        let Some(machine) = place.get().filter(|machine| !machine.is_closed()) else {
            return Ok(Admission::closed(epoch));
        };
        let (answer, moved) = machine.acquire(ask, &self.settings, Moment { now: self.now(), epoch });
        self.finish(place, moved);
        answer
    }

    fn report(&self, key: &str, lease: LeaseId, admitted: u64, verdict: Verdict) {
        if verdict != Verdict::Failure && self.machines.is_empty() {
            return;
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        let forgotten = self.forgotten.load(Ordering::Acquire);
        if place.get().is_none() {
            if verdict != Verdict::Failure {
                return;
            }
            let now = self.now();
            let silence = self.settings.stale_after();
            if !place.insert(Machine::new(forgotten, now), |machine| self.keep(machine, silence, now)) {
                drop(place);
                self.untold.tell(key, now);
                return;
            }
        }
        // A clean key has nothing to change, and so no need of the clock.
        let Some(machine) = place.get().filter(|machine| verdict == Verdict::Failure || !machine.is_clean())
        else {
            return;
        };
        let at = Moment { now: self.now(), epoch: self.epoch.load(Ordering::Acquire) };
        let moved = machine.settle(lease, admitted, verdict, &self.settings, at);
        if machine.is_clean() && machine.since() <= forgotten {
            place.remove();
        }
        self.finish(place, moved);
    }

    fn release(&self, key: &str, lease: LeaseId) {
        if self.machines.is_empty() {
            return;
        }
        let mut place = self.machines.lock(key);
        self.sweep_if_due(&mut place);
        if let Some(machine) = place.get() {
            machine.release(lease, self.now());
        }
    }

    fn read(&self, key: &str) -> Status {
        if self.machines.is_empty() {
            return Status::default();
        }
        self.machines.lock(key).get().map(|machine| machine.status(self.now())).unwrap_or_default()
    }

    /// Publishes a transition: its epoch before the lock is released, its event after.
    fn finish(&self, place: Place<'_, Machine>, moved: Option<Moved>) {
        let Some(Moved { from, to, failures, cooldown, epoch }) = moved else { return };
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
        let key = place.key();
        drop(place);
        if let Some(listener) = &self.listener {
            let mut transition = Transition::new(key, from, to, epoch).with_failures(failures);
            transition.cooldown = cooldown;
            // The panic was reported by the panic hook already, and is not this call's.
            let _ = catch_unwind(AssertUnwindSafe(|| listener(&transition)));
        }
    }

    fn sweep_if_due(&self, place: &mut Place<'_, Machine>) {
        if place.is_sweep_due() {
            let now = self.now();
            let silence = self.settings.stale_after().max(DAY);
            place.tidy(|machine| self.keep(machine, silence, now));
        }
    }

    fn keep(&self, machine: &Machine, silence: Duration, now: Duration) -> bool {
        let passed = machine.is_idle(&self.settings, now) || machine.is_stale(silence, now);
        if passed {
            self.forgotten.fetch_max(machine.since(), Ordering::AcqRel);
        }
        !passed
    }

    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.origin)
    }
}

#[async_trait]
impl Breaker for InProcessBreaker {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.ask(key, ask)
    }

    fn settle(&self, key: &str, lease: LeaseId, admission: Admission, settlement: Settlement) {
        self.report(key, lease, admission.epoch, settlement.verdict);
    }

    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Admission>) {
        self.release(key, lease);
    }

    async fn status(&self, key: &str) -> Status {
        self.read(key)
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
