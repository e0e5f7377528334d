//! Private Redis, Valkey and Memcached servers for tests.
//!
#![doc = include_str!("../README.md")]

mod cluster;
mod error;
mod instance;
mod memcached;
mod port;
mod process;
mod program;
mod redis;
mod redis_builder;
mod resp;
#[cfg(feature = "tls")]
mod tls;

pub use cluster::RedisCluster;
pub use error::ServerError;
pub use memcached::MemcachedServer;
pub use redis::RedisServer;
pub use redis_builder::RedisBuilder;
pub use resp::Reply;
