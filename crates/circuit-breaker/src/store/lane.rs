//! A part of a store that fails and recovers as one, and what is known of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// How a part of a store is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has asked yet.
    Unknown,
    Up,
    /// It is left alone, and probed in the background.
    Down,
}

/// The local guard of a part of a store: a breaker with one strike, as each strike costs a caller the whole timeout.
///
/// It counts its recoveries, so that the failure of a call which was sent before the last of them says nothing about now.
pub(super) struct Lane {
    phase: watch::Sender<Phase>,
    /// The same in a word, as every healthy call looks at it.
    down: AtomicBool,
    recoveries: AtomicU64,
    losses: AtomicU64,
    probed: AtomicBool,
    last: Mutex<Recovery>,
    born: Instant,
    /// When it served a call last, in milliseconds of its life.
    served: AtomicU64,
}

#[derive(Default)]
struct Recovery {
    at: Option<Instant>,
    /// How often in a row it did not last.
    relapses: u32,
}

/// A recovery that lasts for less was none.
const MOMENT: Duration = Duration::from_secs(1);

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Unknown),
            down: AtomicBool::new(false),
            recoveries: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            probed: AtomicBool::new(false),
            last: Mutex::default(),
            born: Instant::now(),
            served: AtomicU64::new(0),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    /// A number for each time that it is lost, and for each that it is not.
    #[cfg(feature = "redis")]
    pub(super) fn era(&self) -> u64 {
        2 * self.losses.load(Ordering::Acquire) + u64::from(!self.is_down())
    }

    /// Opens, unless it recovered since. Says whether this call opened it.
    pub(super) fn fail(&self, since: u64) -> bool {
        self.phase.send_if_modified(|phase| {
            let opens = *phase != Phase::Down && self.recoveries() == since;
            if opens {
                *phase = Phase::Down;
                self.losses.fetch_add(1, Ordering::AcqRel);
                self.down.store(true, Ordering::Release);
            }
            opens
        })
    }

    /// It has served a call.
    pub(super) fn serves(&self) {
        self.served.store(self.age(), Ordering::Relaxed);
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// For so long it has served nobody.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.served.load(Ordering::Relaxed)))
    }

    /// Closes. Says whether it was open.
    pub(super) fn recover(&self) -> bool {
        let mut was_down = false;
        self.last.lock().at = Some(Instant::now());
        self.serves();
        self.phase.send_if_modified(|phase| {
            was_down = *phase == Phase::Down;
            self.recoveries.fetch_add(1, Ordering::AcqRel);
            self.down.store(false, Ordering::Release);
            std::mem::replace(phase, Phase::Up) != Phase::Up
        });
        was_down
    }

    /// How often in a row it was lost again as soon as it had recovered: where what is asked of it fails and its probes do
    /// not, they would follow on each other without a pause. Whoever begins to probe asks this, once.
    pub(super) fn relapses(&self) -> u32 {
        let mut last = self.last.lock();
        let at_once = last.at.is_some_and(|at| at.elapsed() < MOMENT);
        last.relapses = if at_once { last.relapses.saturating_add(1) } else { 0 };
        last.relapses
    }

    /// Whether the caller is the one who has to probe it, until the guard is dropped.
    pub(super) fn claim(self: &std::sync::Arc<Self>) -> Option<Probing> {
        let free = !self.probed.swap(true, Ordering::AcqRel);
        free.then(|| Probing(std::sync::Arc::clone(self)))
    }
}

/// Somebody probes this part. Whoever stops, also because the runtime went away, makes room for another.
pub(super) struct Probing(std::sync::Arc<Lane>);

impl Probing {
    pub(super) fn lane(&self) -> &Lane {
        &self.0
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.probed.store(false, Ordering::Release);
    }
}
