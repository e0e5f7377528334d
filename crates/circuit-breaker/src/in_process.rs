//! Backends that keep their state in this process: for any threads and any runtimes, or none.

mod account;
mod breaker;
mod cell;
mod clock;
mod gcra;
mod leases;
mod limiter;
mod limits;
mod machine;
mod registry;
mod rotation;
mod settings;
mod shards;
mod sync;
mod untracked;

pub use breaker::{InProcessBreaker, LocalCircuit, LocalPermit};
pub use limiter::{InProcessLimiter, LocalQuota, LocalSlot};
pub use limits::{Limits, Rate};
pub use rotation::InProcessRotation;
pub use settings::{Percent, Preset, Rates, Settings, Slow, Trip, Window};
pub use untracked::{NoRoom, Untracked};
