//! How a Memcached is connected to, and tried.

use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::address::Address;
use super::connection::Connection;
use super::protocol::Command;
use crate::store::{Failure, Link, StoreCause};

pub(super) struct MemcachedLink {
    pub(super) address: Address,
    /// What the probes write to.
    pub(super) probe: Box<str>,
}

/// How long what a probe writes is kept.
const PROBE_LASTS: Duration = Duration::from_secs(10);

#[async_trait]
impl Link for MemcachedLink {
    type Connection = Connection;

    async fn connect(&self, current: Option<Connection>) -> Result<Connection, Failure> {
        // It does not mend itself.
        drop(current);
        let connected = match &self.address {
            Address::Tcp(address) => TcpStream::connect(&**address).await.and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Connection::new(stream))
            }),
            #[cfg(unix)]
            Address::Unix(path) => tokio::net::UnixStream::connect(&**path).await.map(Connection::new),
        };
        connected.map_err(|_| Failure::Lost(StoreCause::Connection))
    }

    async fn probe(&self, connection: &Connection, _lane: usize) -> Result<(), Failure> {
        let write = Command::Count { key: self.probe.clone(), lasts: PROBE_LASTS };
        connection.ask(write).await.map(drop)
    }
}
