//! A part of a store that fails and recovers as one, and what is known of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

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
    recoveries: AtomicU64,
    probed: AtomicBool,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Unknown),
            recoveries: AtomicU64::new(0),
            probed: AtomicBool::new(false),
        }
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

    /// Opens, unless it recovered since. Says whether this call opened it.
    pub(super) fn fail(&self, since: u64) -> bool {
        self.phase.send_if_modified(|phase| {
            let opens = *phase != Phase::Down && self.recoveries() == since;
            if opens {
                *phase = Phase::Down;
            }
            opens
        })
    }

    /// Closes. Says whether it was open.
    pub(super) fn recover(&self) -> bool {
        let mut was_down = false;
        self.phase.send_if_modified(|phase| {
            was_down = *phase == Phase::Down;
            self.recoveries.fetch_add(1, Ordering::AcqRel);
            std::mem::replace(phase, Phase::Up) != Phase::Up
        });
        was_down
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
