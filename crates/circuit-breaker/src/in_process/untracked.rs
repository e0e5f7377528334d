//! What a listener is told when there is no room for a key, and how often.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::in_process::clock::Time;

const EVERY: Duration = Duration::from_secs(60);

/// There was no room to keep track of a key, so that what its calls did is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Untracked {
    /// The key that there was no room for, the latest one.
    pub key: Arc<str>,
    /// How often there was none since this was last told, under any keys, this time included.
    pub times: u64,
}

/// There is no room to keep track of another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error("as many keys are kept track of as there may be")]
#[non_exhaustive]
pub struct NoRoom;

type Listener = Box<dyn Fn(&Untracked) + Send + Sync>;

/// What went untracked and nobody was told of. Two numbers, however many keys there are.
#[derive(Default)]
pub(super) struct Untold {
    listener: Option<Listener>,
    times: AtomicU64,
    /// When it may be told again, in nanoseconds since the backend was made.
    due: AtomicU64,
}

impl Untold {
    pub(super) fn new(listener: impl Fn(&Untracked) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..Self::default() }
    }

    /// There was no room for `key`.
    pub(super) fn tell(&self, key: &str, now: Time) {
        let Some(listener) = &self.listener else { return };
        self.times.fetch_add(1, Ordering::Relaxed);
        let (due, next) = (self.due.load(Ordering::Relaxed), now.after(EVERY).as_nanos());
        let now = now.as_nanos();
        if now < due || self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let times = self.times.swap(0, Ordering::Relaxed);
        let untracked = Untracked { key: key.into(), times };
        // The panic was reported by the panic hook already, and is not this call's.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(&untracked)));
    }
}
