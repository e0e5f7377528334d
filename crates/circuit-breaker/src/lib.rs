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
mod transition;

pub use async_trait::async_trait;
pub use breaker::{Admission, Breaker, Settlement, State, Status, Verdict};
pub use circuit::{CallError, Circuit, Permit};
#[cfg(feature = "in-process")]
pub use in_process::{HintLimiter, InProcessBreaker, Preset, Settings, Untracked};
pub use lease::{Ask, LeaseId};
pub use limiter::{Cost, Limiter, Reservation};
pub use quota::{Quota, Slot};
pub use refusal::{LimitReason, Limited, RejectReason, Rejection};
pub use transition::Transition;
