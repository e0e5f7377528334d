//! What the cross-crate tests share: a simulator with candidates for it, one way to ask for all strategies, and tables
//! of faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ask;
mod check;
mod drop;
mod lab;
#[cfg(feature = "long")]
pub mod python;
pub mod raw;
mod table;

use std::time::Duration;

pub use ask::{Asked, Strategy, ask};
pub use check::{assert_received, assert_times, reached, short, trail};
pub use drop::{polled, until};
pub use lab::{Lab, Seen, WIRES, http, id_header, other};
pub use table::{Fault, Mode, run};

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The limit of a clock that is expected to run out. Everything that has to come before it comes at once, so it is
/// long against what a busy machine adds to that, and short enough to be waited for.
pub const SHORT: Duration = ms(300);

/// Longer than any test.
pub const NEVER: Duration = secs(600);

/// Bounds what should not hang; a test that does fails.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(secs(60), future).await.expect("it hangs")
}
