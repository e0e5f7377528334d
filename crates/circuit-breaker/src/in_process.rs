//! Backends that keep their state in this process: for any threads and any runtimes, or none.

mod breaker;
mod hints;
mod machine;
mod settings;
mod shards;
mod untracked;

pub use breaker::InProcessBreaker;
pub use hints::HintLimiter;
pub use settings::{Preset, Settings};
pub use untracked::Untracked;
