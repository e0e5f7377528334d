//! A provider of language models on loopback that speaks the vendors' wire formats and misbehaves on demand.
//!
#![doc = include_str!("../README.md")]

mod answer;
mod behaviour;
mod connection;
mod exchange;
mod fault;
mod given;
mod host;
mod http;
mod input;
mod keys;
mod opaque;
mod out;
mod perform;
mod received;
mod refusal;
mod says;
mod schema;
mod script;
mod simulator;
mod state;
mod stream;
mod syntax;
mod wire;

pub use answer::{Finish, Usage};
pub use behaviour::Behaviour;
pub use fault::Fault;
pub use host::Host;
pub use received::{Ended, Received};
pub use script::Script;
pub use simulator::Simulator;
pub use syntax::ParseBehaviourError;
pub use wire::Wire;
