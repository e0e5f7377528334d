//! Vendors, strategies and stores made ready: from the environment, with a builder, or from TOML.
#![cfg_attr(all(feature = "anthropic", feature = "openai"), doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod build;
mod builder;
mod config;
mod error;
mod factory;
mod from_env;
#[cfg(feature = "memcached")]
mod memcached;
mod provider;
mod providers;
mod registry;
#[cfg(feature = "redis")]
mod shared;

pub use builder::{Builder, Member};
pub use config::{
    BreakerConfig, CandidateSpec, CandidateTimeouts, Config, DialectSetting, FailoverConfig, FanOutConfig,
    HedgeAfter, KeyLimits, LimitsConfig, Nodes, OrderName, OutageName, PolicyName, PresetName, PriceConfig,
    Probes, Quantile, StoreConfig, StreamSetting, TimeoutConfig, TokenLimitSetting,
};
pub use error::ConfigError;
pub use factory::{Credential, FactoryError, ProviderContext, ProviderFactory};
pub use from_env::{FromEnv, SkipReason, Skipped, from_env};
pub use llm_adapters;
pub use llm_protocol;
pub use llm_reliability;
pub use provider::Provider;
#[cfg(feature = "anthropic")]
pub use providers::AnthropicProvider;
#[cfg(feature = "openai")]
pub use providers::OpenAiProvider;
pub use registry::Registry;
#[cfg(feature = "redis")]
pub use shared::SharedState;
