//! Turns that are shared through Memcached.

use std::sync::Arc;

use circuit_breaker::{MemcachedConfigError, MemcachedRotation, OnOutage, StoreEvent};
use llm_reliability::RoundRobin;

use crate::config::StoreConfig;
use crate::error::ConfigError;
use crate::registry::Registry;

/// An order in which each call, whichever client's it is, begins with the next candidate.
pub(crate) fn round_robin(
    address: &str,
    config: &StoreConfig,
    registry: &Registry,
) -> Result<RoundRobin, ConfigError> {
    let mut builder = MemcachedRotation::builder(address);
    if let Some(prefix) = &config.prefix {
        builder = builder.prefix(prefix);
    }
    if let Some(timeout) = config.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(on_outage) = config.rotation_on_outage {
        builder = builder.on_outage(OnOutage::from(on_outage));
    }
    if let Some(listener) = registry.store_listener.clone() {
        builder = builder.on_event(move |event: &StoreEvent| listener(event));
    }
    let rotation = builder.build().map_err(|error| {
        let path = if error == MemcachedConfigError::InvalidPrefix { "prefix" } else { "memcached" };
        ConfigError::invalid(format!("store.{path}"), format!("is of no use: {error}"))
    })?;
    Ok(RoundRobin::new(Arc::new(rotation)))
}
