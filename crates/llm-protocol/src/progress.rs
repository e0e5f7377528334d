//! How far a call has come, told by the adapter while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far a call has come on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Encoding the request, fetching the credential.
    Prepare,
    /// Waiting for a connection; the provider knows nothing of the call.
    Connect,
    /// The request is on its way: the provider may have received it.
    Sent,
}

/// Where an adapter says how far a call has come, so that a timeout or a cancellation can be told from the outside:
/// was the provider ever asked?
///
/// It starts at [`Stage::Sent`]: an adapter that says nothing is taken to have asked its provider. Clones share one
/// state; it may be set from any thread.
#[derive(Clone, Debug)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    /// Progress of a new call.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU8::new(Stage::Sent as u8)))
    }

    /// Says what the call waits for from now on.
    pub fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    /// What the call waits for.
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Prepare,
            1 => Stage::Connect,
            _ => Stage::Sent,
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_what_was_said_last() {
        let progress = Progress::new();
        assert_eq!(progress.stage(), Stage::Sent);
        for stage in [Stage::Prepare, Stage::Connect, Stage::Sent] {
            progress.clone().enter(stage);
            assert_eq!(progress.stage(), stage);
        }
    }
}
