//! From a configuration to a client.

use std::sync::Arc;

use circuit_breaker::{InProcessLimiter, Settings};
use llm_adapters::HttpClient;
use llm_reliability::{ClientBuilder, FanOut, Policy, ResilientClient, Timeouts};

use crate::builder::Builder;
use crate::config::Config;
#[cfg(feature = "redis")]
use crate::config::OrderName;
use crate::error::ConfigError;
#[cfg(feature = "memcached")]
use crate::memcached;
use crate::provider::{Origin, Provider, Source};
use crate::registry::Registry;
#[cfg(feature = "redis")]
use crate::shared::SharedState;

impl Config {
    /// The client, ready to be asked. Credentials are read now; nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn build(&self, registry: &Registry) -> Result<ResilientClient, ConfigError> {
        let builder = self.client_builder(registry)?;
        self.check_candidates()?;
        Ok(builder.build()?)
    }

    /// The client with everything that the configuration says, for what only code can say: an observer, a breaker
    /// that others share, further candidates. A [`breaker`](ClientBuilder::breaker) that is handed in has settings of
    /// its own, and `[breaker]` is then without effect, and as far as the breaker goes `[store]`; so it is with a
    /// [`limiter`](ClientBuilder::limiter) and `[limits]`, and whatever else is set again.
    ///
    /// Seats, bench and quorum of `[fan_out]` may count on candidates that are added:
    /// [`ClientBuilder::build`] sees whether they are there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as in [`build`](Self::build).
    pub fn client_builder(&self, registry: &Registry) -> Result<ClientBuilder, ConfigError> {
        self.check()?;
        let breaker = Settings::try_from(&self.breaker)?;
        let limiter = self.limits.limiter(&self.candidates)?;
        let read =
            |spec| Provider { source: Source::Variable, origin: Origin::Settings, ..Provider::from(spec) };
        let builder = Builder::with_registry(self.connecting(registry.clone())?);
        let builder = self.candidates.iter().cloned().map(read).fold(builder, Builder::add);
        let builder = builder
            .client_builder()?
            .timeouts(Timeouts::from(&self.timeouts))
            .policy(Policy::from(&self.failover))
            .fan_out(FanOut::from(&self.fan_out))
            .breaker_settings(breaker);
        let builder = self.failover.set_up(builder);
        let builder = match (self.store.place(), limiter) {
            (Some((setting, _)), limiter) => {
                self.share(setting, builder, limiter.unwrap_or_default(), registry)?
            }
            (None, Some(limiter)) => builder.limiter(Arc::new(limiter)),
            (None, None) => builder,
        };
        match &self.store.memcached {
            Some(address) => self.take_turns(address, builder, registry),
            None => Ok(builder),
        }
    }

    /// Has the client share what it can through Redis.
    #[cfg(feature = "redis")]
    fn share(
        &self,
        _setting: &str,
        builder: ClientBuilder,
        limits: InProcessLimiter,
        registry: &Registry,
    ) -> Result<ClientBuilder, ConfigError> {
        let Some(shared) = SharedState::of(&self.store, registry)? else { return Ok(builder) };
        let builder = match self.failover.order {
            OrderName::RoundRobin => builder.order(shared.round_robin()),
            _ => builder,
        };
        Ok(shared.set_up(builder, limits))
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unused_self, reason = "as in builds that have it")]
    fn share(
        &self,
        setting: &str,
        _builder: ClientBuilder,
        _limits: InProcessLimiter,
        _registry: &Registry,
    ) -> Result<ClientBuilder, ConfigError> {
        Err(ConfigError::NotCompiled { setting: setting.to_owned(), feature: "redis" })
    }

    /// Has the client share its turns through Memcached.
    #[cfg(feature = "memcached")]
    fn take_turns(
        &self,
        address: &str,
        builder: ClientBuilder,
        registry: &Registry,
    ) -> Result<ClientBuilder, ConfigError> {
        Ok(builder.order(memcached::round_robin(address, &self.store, registry)?))
    }

    #[cfg(not(feature = "memcached"))]
    #[expect(clippy::unused_self, reason = "as in builds that have it")]
    fn take_turns(
        &self,
        _address: &str,
        _builder: ClientBuilder,
        _registry: &Registry,
    ) -> Result<ClientBuilder, ConfigError> {
        Err(ConfigError::NotCompiled { setting: "store.memcached".to_owned(), feature: "memcached" })
    }

    /// Has the HTTP client connect within the limit, where there is one.
    fn connecting(&self, registry: Registry) -> Result<Registry, ConfigError> {
        let Some(limit) = self.timeouts.connect else { return Ok(registry) };
        if registry.http.is_some() {
            let reason = "cannot be set: the HTTP client was given, and has a limit of its own";
            return Err(ConfigError::invalid("timeouts.connect".to_owned(), reason));
        }
        let client = HttpClient::connect_timeout(limit).map_err(ConfigError::HttpClient)?;
        Ok(registry.http_client(client))
    }
}
