//! Breaker, limiter and rotation over one store, for all clients that use it.

use std::fmt;
use std::sync::Arc;

use circuit_breaker::{
    InProcessBreaker, InProcessLimiter, OnOutage, RedisBreaker, RedisLimiter, RedisRotation, RedisStore,
    RedisStoreBuilder, StoreConfigError, StoreEvent,
};
use llm_reliability::{ClientBuilder, RoundRobin};

use crate::config::{Nodes, StoreConfig};
use crate::error::ConfigError;
use crate::registry::Registry;

/// Circuits, limits and turns that clients share through one [`RedisStore`], in as many processes as there are: one
/// client trips a breaker, and all of them leave the candidate alone.
///
/// For a [`Builder`](crate::Builder); a [`Config`](crate::Config) makes one of its `[store]`. Cheap to clone; clones share
/// the store.
///
/// ```no_run
/// use llm_client::llm_reliability::circuit_breaker::{OnOutage, RedisStore};
/// use llm_client::{Builder, Provider, SharedState};
///
/// # fn run(url: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::builder(url).prefix("my-app").on_event(|event| eprintln!("{event:?}")).build()?;
/// let shared = SharedState::new(store).rotation_on_outage(OnOutage::LocalFallback);
/// let client = Builder::new()
///     .add(Provider::new("ollama", "llama3.2"))
///     .add(Provider::new("lmstudio", "llama-3.2-3b-instruct"))
///     .store(shared.clone())
///     .client_builder()?
///     .order(shared.round_robin())
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SharedState {
    store: RedisStore,
    on_outage: OnOutage,
    rotation_on_outage: OnOutage,
}

impl SharedState {
    /// Shares state through this store.
    pub fn new(store: RedisStore) -> Self {
        Self { store, on_outage: OnOutage::LocalFallback, rotation_on_outage: OnOutage::FailClosed }
    }

    /// Sets what breaker and limiter do while the store is out of reach. [`OnOutage::LocalFallback`] unless set.
    pub const fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// Sets what the rotation does then. [`OnOutage::FailClosed`] unless set: calls end as
    /// [`Ended::StoreUnavailable`](llm_reliability::Ended::StoreUnavailable). Otherwise, each begins with a candidate that is
    /// drawn at random.
    pub const fn rotation_on_outage(mut self, on_outage: OnOutage) -> Self {
        self.rotation_on_outage = on_outage;
        self
    }

    /// The store.
    pub const fn store(&self) -> &RedisStore {
        &self.store
    }

    /// A breaker that shares its circuits, and decides as `local` would.
    pub fn breaker(&self, local: InProcessBreaker) -> RedisBreaker {
        RedisBreaker::new(&self.store, local).on_outage(self.on_outage)
    }

    /// A limiter that shares its accounts, and allows what `local` would.
    pub fn limiter(&self, local: InProcessLimiter) -> RedisLimiter {
        RedisLimiter::new(&self.store, local).on_outage(self.on_outage)
    }

    /// An order in which each call, whichever client's it is, begins with the next candidate.
    pub fn round_robin(&self) -> RoundRobin {
        let rotation = RedisRotation::new(&self.store).on_outage(self.rotation_on_outage);
        RoundRobin::new(Arc::new(rotation))
    }

    /// Has a client share its circuits, and its limits with those who have the same.
    pub(crate) fn set_up(self, builder: ClientBuilder, limits: InProcessLimiter) -> ClientBuilder {
        let limiter = self.limiter(limits);
        builder.limiter(Arc::new(limiter)).wrap_breaker(move |local| Arc::new(self.breaker(local)))
    }

    /// The one that is described; `None` where there is none.
    pub(crate) fn of(config: &StoreConfig, registry: &Registry) -> Result<Option<Self>, ConfigError> {
        let Some((path, nodes)) = config.place() else { return Ok(None) };
        if cfg!(not(feature = "redis-cluster")) && matches!(nodes, Nodes::Cluster(_)) {
            let setting = path.to_owned();
            return Err(ConfigError::NotCompiled { setting, feature: "redis-cluster" });
        }
        let urls = nodes.as_slice().iter().map(|node| match config.redis {
            Some(_) => Ok(node.clone()),
            None => registry.value_of(path, node).map(|url| url.expose().to_owned()),
        });
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let mut builder = builder(nodes, urls);
        if let Some(prefix) = &config.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(timeout) = config.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(staleness) = config.staleness {
            builder = builder.staleness(staleness);
        }
        if let Some(listener) = registry.store_listener.clone() {
            builder = builder.on_event(move |event: &StoreEvent| listener(event));
        }
        let mut shared = Self::new(builder.build().map_err(|error| refused(path, &error))?);
        shared.on_outage = config.on_outage.map_or(shared.on_outage, OnOutage::from);
        shared.rotation_on_outage =
            config.rotation_on_outage.map_or(shared.rotation_on_outage, OnOutage::from);
        Ok(Some(shared))
    }
}

fn builder(nodes: &Nodes, urls: Vec<String>) -> RedisStoreBuilder {
    #[cfg(feature = "redis-cluster")]
    if let Nodes::Cluster(_) = nodes {
        return RedisStore::cluster(urls);
    }
    #[cfg(not(feature = "redis-cluster"))]
    let _ = nodes;
    RedisStore::builder(urls.into_iter().next().unwrap_or_default())
}

fn refused(path: &str, error: &StoreConfigError) -> ConfigError {
    match error {
        StoreConfigError::NoTls => {
            ConfigError::NotCompiled { setting: path.to_owned(), feature: "redis-tls" }
        }
        error => ConfigError::invalid(path.to_owned(), format!("is of no use: {error}")),
    }
}

impl From<RedisStore> for SharedState {
    fn from(store: RedisStore) -> Self {
        Self::new(store)
    }
}

impl fmt::Debug for SharedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedState")
            .field("store", &self.store)
            .field("on_outage", &self.on_outage)
            .field("rotation_on_outage", &self.rotation_on_outage)
            .finish()
    }
}
