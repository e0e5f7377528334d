//! What a listener is told when a circuit changes its state.

use std::sync::Arc;
use std::time::Duration;

use crate::breaker::State;

/// A circuit changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The circuit's key.
    pub key: Arc<str>,
    /// The state that it left.
    pub from: State,
    /// The state that it is in now.
    pub to: State,
    /// Failures in a row at that moment; zero when the circuit closed.
    pub failures: u32,
    /// How long it stays open, when it opened.
    pub cooldown: Option<Duration>,
    /// Grows with every transition of one key. Threads may tell of two transitions in either order; this is theirs.
    pub epoch: u64,
}

pub(super) type Listener = Arc<dyn Fn(&Transition) + Send + Sync>;
