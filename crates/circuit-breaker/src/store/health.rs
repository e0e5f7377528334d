//! Telling a listener that a store went away, or came back.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A store went away, or came back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreEvent {
    /// It is left alone from now on, and asked in the background whether it is back. Until then the backends answer as
    /// [`OnOutage`](super::OnOutage) says, and nobody waits.
    ///
    /// Of a Cluster it is one part that is lost, with the keys in it, of 64 that are watched apart; each tells for itself
    /// when it is lost and when it is back.
    Lost {
        /// The store, without credentials.
        store: Arc<str>,
        /// What was noticed first.
        cause: StoreCause,
    },
    /// It answers again.
    Back {
        /// The store, without credentials.
        store: Arc<str>,
    },
    /// A report of a call that ended, or a hint, is lost: too many were waiting for the store already, or the store is there
    /// and refuses it. Told at once for the first, and then when so many have become twice as many.
    Dropped {
        /// The store, without credentials.
        store: Arc<str>,
        /// How many reports were lost since the store was first used.
        reports: u64,
    },
}

/// Why a store counts as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreCause {
    /// It could not be connected to in time.
    NotConnected,
    /// It did not answer in time.
    Timeout,
    /// The connection broke, or was refused.
    Connection,
    /// It answered, but does not do its work: it is loading, or read-only, or wants other credentials. The code of its
    /// answer, as the store gave it.
    Refused(Arc<str>),
}

impl fmt::Display for StoreCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("not connected in time"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connection => f.write_str("connection failed"),
            Self::Refused(code) => write!(f, "refused: {code}"),
        }
    }
}

type Hear = dyn Fn(&StoreEvent) + Send + Sync;

/// Who is told, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<Hear>>);

impl Listener {
    pub(crate) fn new(listener: impl Fn(&StoreEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(crate) fn tell(&self, event: &StoreEvent) {
        let Some(listener) = &self.0 else { return };
        // The panic was reported by the panic hook already, and is not this call's.
        let _ = catch_unwind(AssertUnwindSafe(|| listener(event)));
    }
}

/// Losses and recoveries that nobody was told of yet, in the order in which they took place.
///
/// Whoever finds something out puts it here, in the same moment, and tells what is here, unless somebody does so already:
/// a listener that takes its time does not hear of a recovery before the loss.
#[derive(Default)]
pub(super) struct Untold {
    pub(super) events: VecDeque<StoreEvent>,
    telling: bool,
}

impl Untold {
    /// What to tell next; nothing where another tells. `goes_on` says who asks: the one who was given the one before.
    pub(super) fn next(&mut self, goes_on: bool) -> Option<StoreEvent> {
        if self.telling && !goes_on {
            return None;
        }
        let event = self.events.pop_front();
        self.telling = event.is_some();
        event
    }
}
