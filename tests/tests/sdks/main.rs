//! The vendors' own Python SDKs as judges: they read what the simulator sends, they ask it as their users do, and of
//! the same bytes they and our adapters make the same.
//!
//! The SDKs are installed below the target folder, so that this needs Python and, the first time, the network.

#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod bytes;
mod errors;
mod judge;
mod made;
mod recordings;
mod said;
mod talk;

use llm_tests::python::Python;

/// A Python with the SDKs in it.
static SDKS: Python =
    Python::new("sdks", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks"), env!("CARGO_TARGET_TMPDIR"));
