//! The rotation that workers share through Memcached, and how it is set up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::address::Address;
use super::link::MemcachedLink;
use super::protocol::{Command, Reply};
use crate::rotation::{Fnv, Rotation, RotationError};
use crate::store::{Listener, OnOutage, Store, StoreEvent, StoreUnavailable, TURNS_LAST, alone};

/// A rotation whose turns are shared by all workers that use the same Memcached, prefix and keys.
///
/// It takes Memcached 1.6 or newer, as it uses the meta commands, and one connection without TLS or a password, which
/// carries any number of calls at once: those that wait are written together. It is made with the first call, and made
/// again as often as it takes.
///
/// # What is kept
///
/// Turns are forgotten when a key was not used for thirty days; the few turns at which the number takes one digit more
/// do not count as uses. Memcached keeps everything in memory: when it is restarted, or flushed, or its memory is full
/// and it gives up what was not used for longest, turns begin with zero again.
///
/// # When Memcached is away
///
/// No call waits for it longer than the [timeout](MemcachedRotationBuilder::timeout). With the first call that it does
/// not serve in time it counts as lost: those who wait for it are answered at once as
/// [`on_outage`](MemcachedRotationBuilder::on_outage) says, and those who come later do not ask it at all. It is
/// probed in the background, and used again as soon as it takes what is written. A turn whose answer does not arrive
/// in time may be taken all the same: turns are never given twice, and one may be left out then. If there is something
/// else under the name of a key, a text say, that key alone is answered as in an outage.
///
/// # Runtimes
///
/// Background work runs in the Tokio runtime that it is used in. Where that ends, the next runtime that it is used in
/// takes over. Under Tokio's paused time every call would seem to take too long: use real time with a real Memcached.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use circuit_breaker::{MemcachedRotation, Rotation, rotation_key};
///
/// let rotation = MemcachedRotation::builder("cache.example:11211").prefix("my-service").build()?;
/// let hosts = ["a.example", "b.example", "c.example"];
/// let turn = rotation.next(&rotation_key("hosts", hosts)).await?;
/// let _host = hosts[(turn % 3) as usize];
/// # Ok(()) }
/// ```
pub struct MemcachedRotation {
    /// `None` after closing. The connection closes with the last call that uses it.
    store: Mutex<Option<Arc<Store<MemcachedLink>>>>,
    name: Arc<str>,
    prefix: Box<str>,
    on_outage: OnOutage,
}

impl MemcachedRotation {
    /// A rotation on the Memcached at `address`: `host:port`, with brackets around an IPv6 address; without a port,
    /// 11211 is meant. `tcp://host:port` means the same, and `unix:///path` is a socket of this machine.
    pub fn builder(address: impl Into<String>) -> MemcachedRotationBuilder {
        MemcachedRotationBuilder {
            address: address.into(),
            prefix: "circuit-breaker".to_owned(),
            timeout: Duration::from_millis(50),
            on_outage: OnOutage::FailClosed,
            listener: Listener::default(),
        }
    }

    /// Waits until it is connected, or for so long. Nobody has to: it is for programs that would rather not take their
    /// first turns without it.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`] when it was not to be had within `limit`, or is closed. It goes on trying.
    pub async fn ready(&self, limit: Duration) -> Result<(), StoreUnavailable> {
        let up = self.store().ok_or(StoreUnavailable)?.up(0);
        let up = tokio::time::timeout(limit, up).await.is_ok();
        // Closing ends the wait, too.
        if up && self.store().is_some() { Ok(()) } else { Err(StoreUnavailable) }
    }

    /// Whether Memcached is left alone now because it was lost.
    pub fn is_degraded(&self) -> bool {
        self.store().is_some_and(|store| store.is_any_down())
    }

    fn store(&self) -> Option<Arc<Store<MemcachedLink>>> {
        self.store.lock().clone()
    }

    async fn ask(&self, command: Command) -> Option<Reply> {
        let store = self.store()?;
        store.call(0, |connection| async move { connection.ask(command).await }).await.ok()
    }
}

#[async_trait]
impl Rotation for MemcachedRotation {
    async fn next(&self, key: &str) -> Result<u64, RotationError> {
        let count = Command::Count { key: name(&self.prefix, key), lasts: TURNS_LAST };
        match self.ask(count).await {
            Some(Reply::Number(turn)) => Ok(turn),
            Some(Reply::Done) | None => alone(self.on_outage),
        }
    }

    async fn reset(&self, key: &str) -> Result<(), RotationError> {
        let delete = Command::Delete { key: name(&self.prefix, key) };
        self.ask(delete).await.map(drop).ok_or(RotationError::StoreUnavailable)
    }

    /// Gives up the connection. What is asked afterwards is answered as in an outage.
    async fn close(&self) {
        drop(self.store.lock().take());
    }
}

impl fmt::Debug for MemcachedRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedRotation")
            .field("store", &self.name)
            .field("prefix", &self.prefix)
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
}

/// How a [`MemcachedRotation`] is set up.
#[must_use]
pub struct MemcachedRotationBuilder {
    address: String,
    prefix: String,
    timeout: Duration,
    on_outage: OnOutage,
    listener: Listener,
}

/// How a [`MemcachedRotation`] cannot be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemcachedConfigError {
    /// No address of a Memcached.
    #[error("not the address of a Memcached: expected `host:port` or `unix:///path`")]
    InvalidAddress,
    /// The prefix does not fit into the name of an entry.
    #[error("a prefix is at most 200 visible ASCII characters, and no spaces")]
    InvalidPrefix,
}

/// A name has 250 bytes at most, and 35 of them are our own.
const LONGEST_PREFIX: usize = 200;

impl MemcachedRotationBuilder {
    /// Sets what the names of all entries begin with: `circuit-breaker` unless set. Who has the same prefix shares the
    /// same turns.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long a call waits at most: 50 ms unless set. The first call also waits so long for the connection.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says what to answer while Memcached is out of reach: [`OnOutage::FailClosed`] unless set, which is
    /// [`RotationError::StoreUnavailable`]. Otherwise, turns are drawn at random. A reset fails either way.
    pub const fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.on_outage = on_outage;
        self
    }

    /// Tells `listener` when Memcached is lost and when it is back, in the thread that found out. When it panics, the
    /// panic ends there.
    pub fn on_event(mut self, listener: impl Fn(&StoreEvent) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// The rotation. It is not connected yet.
    ///
    /// # Errors
    ///
    /// [`MemcachedConfigError`].
    pub fn build(self) -> Result<MemcachedRotation, MemcachedConfigError> {
        let address = Address::parse(&self.address).ok_or(MemcachedConfigError::InvalidAddress)?;
        if self.prefix.len() > LONGEST_PREFIX || !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MemcachedConfigError::InvalidPrefix);
        }
        let name: Arc<str> = address.to_string().into();
        let link = MemcachedLink { address, probe: [&self.prefix, ":probe"].concat().into() };
        let store = Store::new(link, Arc::clone(&name), self.timeout, self.listener);
        let (store, prefix) = (Mutex::new(Some(Arc::new(store))), self.prefix.into());
        Ok(MemcachedRotation { store, name, prefix, on_outage: self.on_outage })
    }
}

impl fmt::Debug for MemcachedRotationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedRotationBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("on_outage", &self.on_outage)
            .finish_non_exhaustive()
    }
}

/// Under which the turns of a key are kept. Of the key itself, which may be any string, only the hash shows.
fn name(prefix: &str, key: &str) -> Box<str> {
    format!("{prefix}:{:032x}:t", Fnv::of(key.as_bytes())).into()
}
