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
/// No question waits for it longer than the [timeout](RedisStoreBuilder::timeout). With the first that it does not answer
/// in time, or with a connection that breaks, the store counts as lost: those who wait for it are answered at once as their backend's
/// [`OnOutage`](crate::OnOutage) says, those who come later do not ask it at all, and their answers are marked as degraded.
/// It is probed in the background, with a new connection each time, and used again as soon as it takes what is written.
/// What is reported meanwhile waits in a bounded queue. A question that a store refuses which is otherwise well, as somebody
/// else's entry is in the way, is answered as without the store too, and nothing else is concerned.
///
/// A failover behind one address, as a proxy in front of Sentinel or a managed Redis makes it, is an outage that ends by
/// itself.
///
/// # In a Cluster
///
/// All that belongs to a key is in one slot. Each of 64 parts of the slots is watched apart, and each node has its
/// connection, so that a node that is gone or stands still takes along what it serves and nothing else, until its replica
/// has taken over or it is back. (Unless the Cluster is told to stop altogether then, which is Redis's own default for a
/// master without a replica: `cluster-require-full-coverage`.)
///
/// While a slot moves to another node, Redis may refuse scripts on keys of that slot. Their calls are then answered as
/// without the store, the others are not concerned.
///
/// # Runtimes
///
/// Background work runs in the Tokio runtime that the store is used in. Where that ends, the next runtime that it is used
/// in takes over; one that goes on existing and is not driven any more, as a current-thread runtime outside of `block_on`, keeps
/// what it has begun to itself, so use the store in one that runs. Under Tokio's paused time every call would seem to take too long: use real time with a real store.
///
/// Clones are the same store. Before a program ends, [`flush`](crate::Breaker::flush) the breaker and the limiter: what was
/// reported may be on its way.
#[doc = ""]
#[doc = include_str!("../../SHARED.md")]
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
    /// state of the same keys: give each service, and each environment of it, one of its own.
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

    /// Trusts these certificates, in PEM, and not those of the operating system. They need `rediss://`.
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
    /// With TLS, a process in which no provider of cryptography for `rustls` is installed gets one, `aws-lc`. Who wants
    /// another one installs it before.
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
        #[cfg(feature = "redis-tls")]
        let nodes = match self.roots {
            Some(roots) => {
                super::tls::trusting(&roots, nodes).ok_or(StoreConfigError::InvalidCertificates)?
            }
            None => nodes,
        };
        #[cfg(feature = "redis-tls")]
        if nodes.iter().any(super::tls::is_wanted) {
            super::tls::provide();
        }
        #[cfg(feature = "redis-cluster")]
        if self.cluster {
            let cluster = super::cluster::Cluster::new(nodes).ok_or(StoreConfigError::InvalidCluster)?;
            return Ok(Target::Cluster(Arc::new(cluster)));
        }
        let Some(node) = nodes.into_iter().next().filter(|_| !self.cluster) else {
            return Err(StoreConfigError::InvalidCluster);
        };
        let client = Client::open(node).map_err(|_| StoreConfigError::InvalidUrl)?;
        Ok(Target::Server(Box::new(client)))
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
