//! Backends that keep their state in this process: for any threads and any runtimes, or none.

mod account;
mod breaker;
mod cell;
pub(crate) mod clock;
mod gcra;
mod leases;
mod limiter;
mod machine;
mod registry;
mod rotation;
pub(crate) mod shards;
mod sync;
mod untracked;

pub use breaker::{InProcessBreaker, LocalCircuit, LocalPermit};
pub use limiter::{InProcessLimiter, LocalQuota, LocalSlot};
pub use rotation::InProcessRotation;
pub use untracked::{NoRoom, Untracked};
