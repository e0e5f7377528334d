//! Adapters from `llm-protocol` to the wire formats of language-model vendors.
#![cfg_attr(feature = "openai", doc = include_str!("../README.md"))]
// Without any vendor there is nothing that uses the core.
#![cfg_attr(not(any(feature = "anthropic", feature = "openai")), allow(dead_code))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod adapter;
#[cfg(feature = "anthropic")]
mod anthropic;
mod base_url;
mod builder;
mod call;
#[cfg(any(feature = "anthropic", feature = "openai"))]
mod call_ids;
mod credentials;
#[cfg(any(feature = "anthropic", feature = "openai"))]
mod encode;
mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hints;
#[cfg(any(feature = "anthropic", feature = "openai"))]
mod history;
mod http;
#[cfg(any(feature = "anthropic", feature = "openai"))]
mod opaque;
#[cfg(feature = "openai")]
mod openai;
#[cfg(test)]
mod replay;
mod sse;
mod stream;
#[cfg(test)]
mod testing;
mod vendor;
#[cfg(any(feature = "anthropic", feature = "openai"))]
mod wire;

pub use adapter::Adapter;
#[cfg(feature = "anthropic")]
pub use anthropic::{Anthropic, AnthropicAdapter};
pub use builder::{BuildError, Builder};
pub use credentials::Credentials;
pub use http::HttpClient;
#[cfg(feature = "openai")]
pub use openai::{Dialect, OpenAi, OpenAiAdapter, TokenLimitField};
/// The HTTP client in [`HttpClient`]'s signatures.
pub use reqwest;
pub use vendor::Vendor;
