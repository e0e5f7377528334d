//! A Redis to share state through, and how it is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionInfo, IntoConnectionInfo};

use super::link::{RedisLink, Target};
use super::outbox::Outbox;
use super::shared::{Shared, TestClock};
use crate::store::{Listener, Store, StoreEvent, StoreUnavailable};

/// A Redis or Valkey, one server or a Cluster, that breakers, limiters and rotations share their state through.
///
/// One connection carries all of them, whatever the number of calls. It is made with the first call, and made again as
/// often as it takes.
///
/// # When the store is away
///
/// No call waits for it longer than the [timeout](RedisStoreBuilder::timeout). With the first call that it does not serve
/// in time the store counts as lost: those who wait for it are answered at once as their backend's
/// [`OnOutage`](crate::OnOutage) says, those who come later do not ask it at all, and their answers are marked as degraded.
/// It is probed in the background, with a new connection each time, and used again as soon as it takes what is written.
/// What is reported meanwhile waits in a bounded queue. In a Cluster each part of the slots is watched apart.
///
/// # Runtimes
///
/// Background work runs in the Tokio runtime that the store is used in. Where that ends, the next runtime that it is used
/// in takes over. Under Tokio's paused time every call would seem to take too long: use real time with a real store.
///
/// Clones are the same store. Before a program ends, [`flush`](crate::Breaker::flush) what was reported.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

impl RedisStore {
    /// A store at `url`: `redis://[user:password@]host[:port][/db]`; `rediss://` for TLS, with the feature `redis-tls`;
    /// `unix:///path`. `valkey://` and `valkeys://` mean the same. With `#insecure` after it, TLS does not check who
    /// answers.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(vec![url.into()], false)
    }

    /// A Cluster, known by some of its nodes.
    #[cfg(feature = "redis-cluster")]
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(urls.into_iter().map(Into::into).collect(), true)
    }

    /// Waits until the store is connected, or for so long. Nobody has to: it is for programs that would rather not answer
    /// their first calls without it.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`] when it was not to be had within `limit`. It goes on trying.
    pub async fn ready(&self, limit: Duration) -> Result<(), StoreUnavailable> {
        tokio::time::timeout(limit, self.shared.all_up()).await.map_err(|_| StoreUnavailable)
    }

    /// Whether the store, or a part of a Cluster, is left alone now because it was lost.
    pub fn is_degraded(&self) -> bool {
        self.shared.store.is_any_down()
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("name", self.shared.store.name())
            .field("prefix", &self.shared.prefix)
            .finish_non_exhaustive()
    }
}

/// How a [`RedisStore`] is set up.
#[must_use]
pub struct RedisStoreBuilder {
    urls: Vec<String>,
    cluster: bool,
    prefix: String,
    timeout: Duration,
    staleness: Duration,
    listener: Listener,
    clock: Option<TestClock>,
    #[cfg(feature = "redis-tls")]
    roots: Option<Vec<u8>>,
}

/// How a store cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreConfigError {
    /// No URL of a Redis. What it says is not repeated, as it may hold a password.
    #[error("not the URL of a Redis: expected `redis://host:port`, `rediss://host:port` or `unix:///path`")]
    InvalidUrl,
    /// The URL wants TLS, which this build does not have.
    #[error("`rediss://` needs the feature `redis-tls`")]
    NoTls,
    /// The nodes of a Cluster have to agree on everything but where they are.
    #[error("the nodes of a Cluster cannot be set up together")]
    InvalidCluster,
    /// The prefix has braces, which are what a Cluster distributes keys by.
    #[error("a prefix may not contain braces")]
    InvalidPrefix,
    /// The certificates are none, or do not fit.
    #[error("not PEM certificates")]
    InvalidCertificates,
}

impl RedisStoreBuilder {
    fn new(urls: Vec<String>, cluster: bool) -> Self {
        Self {
            urls,
            cluster,
            prefix: "circuit-breaker".to_owned(),
            timeout: Duration::from_millis(50),
            staleness: Duration::from_millis(250),
            listener: Listener::default(),
            clock: None,
            #[cfg(feature = "redis-tls")]
            roots: None,
        }
    }

    /// Sets what the names of all entries begin with: `circuit-breaker` unless set. Who has the same prefix shares the
    /// same state.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a call waits for the store at most: 50 ms unless set. The first call also waits so long for the
    /// connection.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how old what is known of the store may be that calls are answered by: 250 ms unless set. With zero, every
    /// call asks the store.
    pub const fn staleness(mut self, staleness: Duration) -> Self {
        self.staleness = staleness;
        self
    }

    /// Tells `listener` when the store is lost and when it is back, in the thread that found out. When it panics, the
    /// panic ends there.
    pub fn on_event(mut self, listener: impl Fn(&StoreEvent) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Trusts these certificates, in PEM, and not those of the operating system.
    #[cfg(feature = "redis-tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Counts time by this clock, in microseconds, and not by the server's, so that tests can decide what time it is.
    #[cfg(feature = "testing")]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The store. It is not connected to yet.
    ///
    /// # Errors
    ///
    /// [`StoreConfigError`].
    pub fn build(self) -> Result<RedisStore, StoreConfigError> {
        if self.prefix.contains(['{', '}']) {
            return Err(StoreConfigError::InvalidPrefix);
        }
        let nodes = self.urls.iter().map(|url| node(url)).collect::<Result<Vec<_>, _>>()?;
        let name = nodes.first().ok_or(StoreConfigError::InvalidUrl)?.addr().to_string();
        let prefix: Box<str> = self.prefix.as_str().into();
        let (timeout, listener) = (self.timeout, self.listener.clone());
        let (staleness, clock) = (self.staleness, self.clock.clone());
        let link = RedisLink { target: self.target(nodes)?, prefix: prefix.clone() };
        let lanes = crate::store::Link::lanes(&link);
        let store = Arc::new(Store::new(link, name.into(), timeout, listener));
        let shared = Shared { store, outbox: Outbox::default(), prefix, lanes, staleness, clock };
        Ok(RedisStore { shared: Arc::new(shared) })
    }

    fn target(self, nodes: Vec<ConnectionInfo>) -> Result<Target, StoreConfigError> {
        #[cfg(feature = "redis-cluster")]
        if self.cluster {
            return self.cluster_of(nodes).map(|client| Target::Cluster(Box::new(client)));
        }
        let Some(node) = nodes.into_iter().next().filter(|_| !self.cluster) else {
            return Err(StoreConfigError::InvalidCluster);
        };
        #[cfg(feature = "redis-tls")]
        if let Some(root_cert) = self.roots {
            let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
            let client = Client::build_with_tls(node, certificates);
            return client
                .map(|client| Target::Server(Box::new(client)))
                .map_err(|_| StoreConfigError::InvalidCertificates);
        }
        Client::open(node)
            .map(|client| Target::Server(Box::new(client)))
            .map_err(|_| StoreConfigError::InvalidUrl)
    }

    #[cfg(feature = "redis-cluster")]
    fn cluster_of(
        self,
        nodes: Vec<ConnectionInfo>,
    ) -> Result<redis::cluster::ClusterClient, StoreConfigError> {
        let builder = redis::cluster::ClusterClientBuilder::new(nodes)
            .tcp_settings(tcp())
            // Whoever asks does not wait for so long, but what was sent may still find its way.
            .response_timeout(self.timeout.saturating_mul(2))
            .connection_timeout(Duration::from_secs(1))
            .retries(3)
            .min_retry_wait(10)
            .max_retry_wait(100);
        #[cfg(feature = "redis-tls")]
        let builder = match self.roots {
            Some(root_cert) => {
                builder.certs(redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
            }
            None => builder,
        };
        builder.build().map_err(|_| StoreConfigError::InvalidCluster)
    }
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn node(url: &str) -> Result<ConnectionInfo, StoreConfigError> {
    let tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
    if tls && cfg!(not(feature = "redis-tls")) {
        return Err(StoreConfigError::NoTls);
    }
    let node = url.into_connection_info().map_err(|_| StoreConfigError::InvalidUrl)?;
    Ok(node.set_tcp_settings(tcp()))
}

/// Without the URLs, which may hold a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("staleness", &self.staleness)
            .finish_non_exhaustive()
    }
}
