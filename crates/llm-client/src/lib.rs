//! Vendors, strategies and stores made ready: a provider registry and a TOML configuration.
#![cfg_attr(all(feature = "anthropic", feature = "openai"), doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod build;
mod config;
mod error;
mod providers;
mod registry;

pub use config::{
    BreakerConfig, CandidateSpec, CandidateTimeouts, Config, FailoverConfig, FanOutConfig, Order, PolicyName,
    PriceConfig, Probes, QuorumSetting, StreamSetting, TimeoutConfig,
};
pub use error::ConfigError;
pub use llm_adapters;
pub use llm_protocol;
pub use llm_reliability;
#[cfg(feature = "anthropic")]
pub use providers::AnthropicProvider;
#[cfg(feature = "openai")]
pub use providers::OpenAiProvider;
pub use registry::{FactoryError, ProviderContext, ProviderFactory, Registry};
