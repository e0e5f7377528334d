//! What a call to a language model is.
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
mod capability;
mod echo;
mod error;
mod event;
mod message;
mod part;
mod progress;
mod redact;
mod request;
mod response;
mod scrub;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
mod tool;
mod usage;

pub use adapter::{
    EventStream, HealthState, HealthStatus, ModelAdapter, StreamingModelAdapter, ToolCallingModelAdapter,
};
pub use capability::{Capabilities, Capability};
pub use error::{Category, Clock, Error, ErrorKind};
pub use event::{ResponseBuilder, Started, StreamEvent};
pub use message::{Message, Role};
pub use part::{CacheTtl, Image, Opaque, Part, Placed};
pub use progress::{Progress, Stage};
pub use request::{Request, ResponseFormat};
pub use response::{FinishReason, Response};
pub use scrub::{MESSAGE_LIMIT, Scrubber};
pub use secret::Secret;
pub use tool::{Tool, ToolCall, ToolCallDelta, ToolChoice};
pub use usage::Usage;
