//! What always holds of the event reader, the decoders and the encoders, whatever the bytes: the bodies of the fuzz
//! targets in `fuzz/`, which run as property tests too. Not part of the API.
//!
//! Each takes any bytes, makes what it needs of them, and panics where something does not hold.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it is test code: a panic is how it speaks"
)]

mod anthropic;
mod frames;
mod json;
mod meant;
mod mutation;
mod openai;
mod requests;
mod source;
mod streams;
#[cfg(test)]
mod tests;
mod whole;

pub use frames::events;
pub use requests::requests;
pub use whole::whole;

use crate::{Anthropic, OpenAi};

/// OpenAI's stream decoder.
pub fn openai_stream(bytes: &[u8]) {
    streams::stream(&OpenAi::builder("m").vendor, openai::meant, b"finish_reason", bytes);
}

/// Anthropic's stream decoder.
pub fn anthropic_stream(bytes: &[u8]) {
    streams::stream(&Anthropic::builder("m").vendor, anthropic::meant, b"message_stop", bytes);
}
