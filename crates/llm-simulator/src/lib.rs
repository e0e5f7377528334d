//! A provider of language models on loopback that speaks the vendors' wire formats and misbehaves on demand.
//!
#![doc = include_str!("../README.md")]

mod answer;
mod behaviour;
mod connection;
mod exchange;
mod fault;
mod http;
mod input;
mod out;
mod perform;
mod received;
mod script;
mod simulator;
mod state;
mod stream;
mod syntax;
mod wire;

pub use answer::{Finish, Usage};
pub use behaviour::Behaviour;
pub use fault::Fault;
pub use received::{Ended, Received};
pub use script::Script;
pub use simulator::Simulator;
pub use syntax::ParseBehaviourError;
pub use wire::Wire;
