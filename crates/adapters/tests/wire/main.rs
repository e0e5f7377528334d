//! Adapters over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[cfg(all(feature = "anthropic", feature = "openai"))]
mod codec_bodies;
#[cfg(all(feature = "anthropic", feature = "openai"))]
mod contract;
#[cfg(all(feature = "anthropic", feature = "openai"))]
mod credentials;
#[cfg(all(feature = "anthropic", feature = "openai"))]
mod facts;
#[cfg(feature = "openai")]
mod injected;
#[cfg(feature = "openai")]
mod raw;
#[cfg(all(feature = "anthropic", feature = "openai"))]
mod simulated;
#[cfg(feature = "openai")]
mod transport_faults;
#[cfg(feature = "openai")]
mod transport_health;
#[cfg(feature = "openai")]
mod transport_requests;
#[cfg(feature = "openai")]
mod transport_secrets;
