//! A node of a Cluster, and the connection to it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
    Value,
};

/// A node. All who need a connection to it share one, and wait for the same one.
pub(super) struct Node {
    address: Address,
    client: Client,
    connection: Mutex<Connection>,
    connecting: Turns,
}

#[derive(Default)]
struct Connection {
    open: Option<MultiplexedConnection>,
    /// How many there have been.
    number: u64,
}

/// For so long, one attempt to connect goes on.
const LONGEST_CONNECT: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn new(info: ConnectionInfo, address: Address) -> RedisResult<Self> {
        let client = Client::open(info)?;
        Ok(Self { address, client, connection: Mutex::default(), connecting: Turns::default() })
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a command, `asking` also for what is still on its way to this node.
    pub(super) async fn send(&self, command: &Cmd, asking: bool) -> RedisResult<Value> {
        let (mut connection, number) = self.connected().await?;
        let answer = if asking {
            // Sent as one, so that nobody comes between.
            let mut both = redis::pipe();
            both.cmd("ASKING").add_command(command.clone());
            let answers = connection.req_packed_commands(&both, 1, 1).await;
            answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil))
        } else {
            connection.req_packed_command(command).await
        };
        let answer = answer.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(|error| matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse)) {
            self.forget(number);
        }
        answer
    }

    /// The number of the present connection.
    pub(super) fn number(&self) -> u64 {
        self.connection.lock().number
    }

    /// Connects anew for those who come next, if this is still the connection.
    pub(super) fn forget(&self, number: u64) {
        let mut connection = self.connection.lock();
        if connection.number == number {
            connection.open = None;
        }
    }

    async fn connected(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let open = || {
            let connection = self.connection.lock();
            connection.open.clone().map(|open| (open, connection.number))
        };
        let connect = async {
            // Nobody but the guard in front of it limits a call.
            let config = AsyncConnectionConfig::new()
                .set_response_timeout(None)
                .set_connection_timeout(Some(LONGEST_CONNECT));
            let open = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let mut connection = self.connection.lock();
            connection.number += 1;
            connection.open = Some(open.clone());
            Ok((open, connection.number))
        };
        self.connecting.once(open, connect).await
    }
}

/// Lets one at a time do what many want done.
#[derive(Default)]
pub(super) struct Turns {
    turn: tokio::sync::Mutex<()>,
    failed: AtomicU64,
}

impl Turns {
    /// What is `there` already, or after somebody else has done it. Who waits for one who fails has failed too.
    pub(super) async fn once<T>(
        &self,
        there: impl Fn() -> Option<T>,
        work: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        if let Some(there) = there() {
            return Ok(there);
        }
        let failed = self.failed.load(Ordering::Acquire);
        let _turn = self.turn.lock().await;
        if let Some(there) = there() {
            return Ok(there);
        }
        if self.failed.load(Ordering::Acquire) != failed {
            return Err(RedisError::from((ErrorKind::Io, "another attempt has failed meanwhile")));
        }
        work.await.inspect_err(|_| {
            self.failed.fetch_add(1, Ordering::AcqRel);
        })
    }
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// As another node says it: nothing for the host means its own, and a question mark that it does not know.
    pub(super) fn new(host: &str, port: u16, told_by: &Self) -> Option<Self> {
        let host = if host.is_empty() { &told_by.host } else { host };
        (host != "?").then(|| Self { host: host.into(), port })
    }

    /// Of `host:port`.
    pub(super) fn parse(address: &str, told_by: &Self) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?, told_by)
    }

    pub(super) fn of(address: &ConnectionAddr) -> Option<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Some(Self { host: host.as_str().into(), port: *port })
            }
            _ => None,
        }
    }

    /// For a connection like one to another node.
    pub(super) fn within(&self, other: &ConnectionAddr) -> ConnectionAddr {
        let (host, port) = (self.host.to_string(), self.port);
        match other {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_leave_out_what_it_does_not_know() {
        let here = Address { host: "here".into(), port: 1 };
        let parsed =
            |address| Address::parse(address, &here).map(|found| (found.host.into_string(), found.port));
        assert_eq!(parsed("10.0.0.1:7000"), Some(("10.0.0.1".to_owned(), 7000)));
        assert_eq!(parsed("::1:7000"), Some(("::1".to_owned(), 7000)));
        assert_eq!(parsed(":7000"), Some(("here".to_owned(), 7000)));
        for unknown in ["?:7000", "7000", "here:", "here:70000", ""] {
            assert_eq!(parsed(unknown), None, "{unknown}");
        }
    }
}
