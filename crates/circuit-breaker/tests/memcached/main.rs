//! The rotation that shares its turns through a real Memcached, and through servers that misbehave.
#![cfg(all(feature = "memcached", feature = "testing"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod answers;
mod cancellation;
mod contract;
mod entries;
mod fake;
mod leaks;
mod outages;
mod real;
