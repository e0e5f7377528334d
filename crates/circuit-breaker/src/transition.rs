//! What a listener is told when a circuit changes its state, whichever backend keeps it.

use std::sync::Arc;
use std::time::Duration;

use crate::status::{Mode, State};

/// A circuit changed its state, or the [mode](Mode) it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The circuit's key.
    pub key: Arc<str>,
    /// The state that it left.
    pub from: State,
    /// The state that it is in now.
    pub to: State,
    /// Who decides over it now.
    pub mode: Mode,
    /// Failures that counted at that moment, in a row or in the window; zero when the circuit closed.
    pub failures: u32,
    /// How long it stays open, when it opened by itself.
    pub cooldown: Option<Duration>,
    /// Grows with every transition of one key. Threads may tell of two transitions in either order; this is theirs.
    pub epoch: u64,
}

impl Transition {
    /// The circuit of `key` went from one state to another by itself, with no failures.
    pub fn new(key: impl Into<Arc<str>>, from: State, to: State, epoch: u64) -> Self {
        Self { key: key.into(), from, to, mode: Mode::Automatic, failures: 0, cooldown: None, epoch }
    }

    /// Says who decides over the circuit now.
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Says how many failures there were.
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
