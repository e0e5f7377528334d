//! What a listener is told when a circuit changes its state, whichever backend keeps it.

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

impl Transition {
    /// The circuit of `key` went from one state to another, with no failures in a row.
    pub fn new(key: impl Into<Arc<str>>, from: State, to: State, epoch: u64) -> Self {
        Self { key: key.into(), from, to, failures: 0, cooldown: None, epoch }
    }

    /// Says how many failures in a row there were.
    pub const fn with_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Says how long the circuit stays open.
    pub const fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = Some(cooldown);
        self
    }
}
