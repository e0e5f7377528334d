//! Backends that share their state through a real Redis Cluster, whose slots move and whose nodes die.
#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod contract;
#[path = "../stores/harness.rs"]
mod harness;
mod lab;
mod masters;
mod slots;
