//! Circuit breakers and rate limiters as injected async traits, with permits that survive cancellation.
#![cfg_attr(feature = "in-process", doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
mod circuit;
#[cfg(feature = "in-process")]
mod in_process;
mod lease;
mod limiter;
#[cfg(feature = "in-process")]
mod limits;
#[cfg(feature = "memcached")]
mod memcached;
mod quota;
#[cfg(feature = "redis")]
mod redis;
mod refusal;
mod rotation;
#[cfg(feature = "in-process")]
mod settings;
mod status;
#[cfg(any(feature = "redis", feature = "memcached"))]
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod transition;

#[cfg(feature = "memcached")]
pub use self::memcached::{MemcachedConfigError, MemcachedRotation, MemcachedRotationBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{
    RedisBreaker, RedisLimiter, RedisRotation, RedisStore, RedisStoreBuilder, StoreConfigError,
};
pub use async_trait::async_trait;
pub use breaker::{Admission, Breaker, Settlement, Verdict};
pub use circuit::{CallError, Circuit, Permit};
#[cfg(feature = "in-process")]
pub use in_process::{
    InProcessBreaker, InProcessLimiter, InProcessRotation, LocalCircuit, LocalPermit, LocalQuota, LocalSlot,
    NoRoom, Untracked,
};
pub use lease::{Ask, LeaseId};
pub use limiter::{Cost, Limiter, Reservation};
#[cfg(feature = "in-process")]
pub use limits::{Limits, Rate};
pub use quota::{Quota, Slot};
pub use refusal::{LimitReason, Limited, RejectReason, Rejection};
pub use rotation::{Rotation, RotationError, rotation_key};
#[cfg(feature = "in-process")]
pub use settings::{Percent, Preset, Rates, Settings, Slow, Trip, Window};
pub use status::{Counts, Mode, ModeError, Snapshot, State, Status};
#[cfg(any(feature = "redis", feature = "memcached"))]
pub use store::{OnOutage, StoreCause, StoreEvent, StoreUnavailable};
pub use transition::Transition;
