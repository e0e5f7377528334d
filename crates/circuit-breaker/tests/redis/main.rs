//! Backends that share their state through a real Redis.
#![cfg(all(feature = "redis", feature = "testing"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod access;
mod cancel;
mod contract;
mod cut;
mod cut_proxy;
mod faults;
mod faults_bench;
mod faults_flapping;
mod limiter_programs;
mod mishaps;
mod numbers;
mod outage;
mod outbox;
mod programs;
mod programs_bench;
mod rolling;
#[path = "../common/stores.rs"]
mod stores;
#[cfg(feature = "redis-tls")]
mod tls;
