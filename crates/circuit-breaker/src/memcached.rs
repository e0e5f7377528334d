//! A rotation whose turns workers share through Memcached.
//!
//! The client is our own, as this takes two commands: the one on crates.io with meta commands (async-memcached 0.9)
//! brings 51 crates, reaches IPv4 only, needs Unix, sends one increment at a time, and buffers an answer of any
//! length.

mod address;
mod connection;
mod link;
mod protocol;
mod rotation;

pub use rotation::{MemcachedConfigError, MemcachedRotation, MemcachedRotationBuilder};
