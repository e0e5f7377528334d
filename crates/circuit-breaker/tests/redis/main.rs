//! Backends that share their state through a real Redis.
#![cfg(all(feature = "redis", feature = "testing"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod contract;
