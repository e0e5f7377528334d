//! Circuit breakers and rate limiters as injected async traits, with permits that survive cancellation.
#![cfg_attr(feature = "in-process", doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod breaker;
mod circuit;
#[cfg(feature = "in-process")]
mod in_process;
mod lease;
mod limiter;
mod quota;
mod refusal;
mod rotation;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod transition;

pub use async_trait::async_trait;
pub use breaker::{Admission, Breaker, Settlement, Verdict};
pub use circuit::{CallError, Circuit, Permit};
#[cfg(feature = "in-process")]
pub use in_process::{
    InProcessBreaker, InProcessLimiter, InProcessRotation, Limits, LocalCircuit, LocalPermit, LocalQuota,
    LocalSlot, NoRoom, Percent, Preset, Rate, Rates, Settings, Slow, Trip, Untracked, Window,
};
pub use lease::{Ask, LeaseId};
pub use limiter::{Cost, Limiter, Reservation};
pub use quota::{Quota, Slot};
pub use refusal::{LimitReason, Limited, RejectReason, Rejection};
pub use rotation::{Rotation, RotationError, rotation_key};
pub use status::{Counts, Mode, Snapshot, State, Status};
pub use transition::Transition;
