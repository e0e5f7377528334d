//! Backends that share their state through Redis or Valkey: one server or a Cluster.

mod breaker;
#[cfg(feature = "redis-cluster")]
mod cluster;
mod key;
mod limiter;
mod link;
#[cfg(feature = "redis-cluster")]
mod node;
mod outbox;
mod rotation;
mod script;
mod shared;
mod store;
#[cfg(feature = "redis-tls")]
mod tls;

pub use breaker::RedisBreaker;
pub use limiter::RedisLimiter;
pub use rotation::RedisRotation;
pub use store::{RedisStore, RedisStoreBuilder, StoreConfigError};
