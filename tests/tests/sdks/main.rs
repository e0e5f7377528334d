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
mod python;
mod recordings;
mod said;
mod talk;
