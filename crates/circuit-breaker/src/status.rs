//! What can be read of a circuit, and what a person may do to it.

use std::fmt;
use std::time::Duration;

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Calls go through.
    #[default]
    Closed,
    /// Calls are rejected until the cooldown has passed.
    Open,
    /// A few calls go through as probes.
    HalfOpen,
}

impl State {
    /// The name in reports and metrics, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who decides over a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// The results of its calls.
    #[default]
    Automatic,
    /// A person: nothing goes through, for as long as this lasts.
    ForcedOpen,
    /// A person: everything goes through. Results are counted, so that it can be seen what would happen.
    ForcedClosed,
    /// Nobody: everything goes through, and nothing is counted.
    Disabled,
}

impl Mode {
    /// The name in reports and metrics, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a circuit could not be put into a [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// The backend knows no modes.
    #[error("this breaker knows no modes")]
    Unsupported,
    /// As many circuits are kept track of as there may be.
    #[error("as many keys are kept track of as there may be")]
    NoRoom,
    /// The shared store did not answer, so that nothing has changed, or it has and that could not be heard any more.
    #[error("circuit store unavailable")]
    StoreUnavailable,
}

/// What can be read of one key. A key that was never heard of is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// The state. An open circuit whose cooldown has passed stays open until a call asks: reading changes nothing.
    pub state: State,
    /// Who decides over it.
    pub mode: Mode,
    /// Failures that count: in a row, or in the window. Where the circuit is not closed, those that opened it.
    pub failures: u32,
    /// While open, the rest of the cooldown: zero when the next call goes out as a probe, `None` when it is held open.
    pub retry_after: Option<Duration>,
    /// Probes that are out now, where the backend counts them.
    pub probes: u32,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Status {
    /// The status of a circuit in `state` with so many failures.
    pub const fn new(state: State, failures: u32) -> Self {
        Self { state, mode: Mode::Automatic, failures, retry_after: None, probes: 0, degraded: false }
    }

    /// Says who decides over the circuit.
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Says how much of the cooldown is left.
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Says how many probes are out.
    pub const fn with_probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}

/// What a backend counts under one key, for dashboards and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Where the circuit stands.
    pub status: Status,
    /// Results that count: those in the window, or the failures in a row; in a half-open circuit those of its probes.
    pub counts: Counts,
    /// Calls rejected since the circuit was last closed.
    pub rejected: u64,
    /// How often it has opened since it was last closed.
    pub openings: u32,
    /// For how long it has been in its state.
    pub in_state: Duration,
    /// The [epoch](crate::Admission::epoch) of its last transition.
    pub epoch: u64,
}

/// Results, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that took long, whether they failed or not.
    pub slow: u64,
}
