//! Backends that share their state through Redis or Valkey: one server or a Cluster.

mod breaker;
mod key;
mod limiter;
mod link;
mod outbox;
mod rotation;
mod script;
mod shared;
mod store;

pub use breaker::RedisBreaker;
pub use limiter::RedisLimiter;
pub use rotation::RedisRotation;
pub use store::{RedisStore, RedisStoreBuilder, StoreConfigError};
