//! What backends with a shared store have in common: what to do without it, and who is told.

mod guard;
mod health;
mod lane;

use std::fmt;
use std::time::Duration;

use crate::rotation::RotationError;

#[cfg(feature = "redis")]
pub(crate) use guard::Unavailable;
pub(crate) use guard::{Failure, Link, Store};
pub(crate) use health::Listener;
pub use health::{StoreCause, StoreEvent};

/// What a backend answers while its store is out of reach, or too slow. A circuit that a person
/// [holds open or closed](crate::Mode) stays so in any case, as far as it was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnOutage {
    /// Goes on alone: what this process sees decides, by the same rules.
    #[default]
    LocalFallback = 0,
    /// Lets everything through.
    FailOpen = 1,
    /// Lets nothing through, and says that the store is unavailable.
    FailClosed = 2,
}

/// What is chosen, for backends that are shared already when it is.
#[cfg(feature = "redis")]
pub(crate) struct Choice(std::sync::atomic::AtomicU8);

#[cfg(feature = "redis")]
impl Choice {
    pub(crate) fn set(&self, on_outage: OnOutage) {
        self.0.store(on_outage as u8, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> OnOutage {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            1 => OnOutage::FailOpen,
            2 => OnOutage::FailClosed,
            _ => OnOutage::LocalFallback,
        }
    }
}

#[cfg(feature = "redis")]
impl Default for Choice {
    fn default() -> Self {
        Self(std::sync::atomic::AtomicU8::new(OnOutage::LocalFallback as u8))
    }
}

impl OnOutage {
    /// The name in configurations, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LocalFallback => "local_fallback",
            Self::FailOpen => "fail_open",
            Self::FailClosed => "fail_closed",
        }
    }
}

/// The shared store did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error("shared store unavailable")]
#[non_exhaustive]
pub struct StoreUnavailable;

/// For so long a rotation's turns are remembered.
pub(crate) const TURNS_LAST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A turn without the store: at random, so that everyone is begun with equally often all the same.
pub(crate) fn alone(on_outage: OnOutage) -> Result<u64, RotationError> {
    match on_outage {
        OnOutage::FailClosed => Err(RotationError::StoreUnavailable),
        OnOutage::LocalFallback | OnOutage::FailOpen => Ok(fastrand::u64(..)),
    }
}

impl fmt::Display for OnOutage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
