//! Backends that share their state through a real Redis Cluster, whose slots move and whose nodes die.
#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod contract;
mod idle;
mod lab;
mod masters;
mod slots;
#[path = "../../../crates/circuit-breaker/tests/common/stores.rs"]
mod stores;
