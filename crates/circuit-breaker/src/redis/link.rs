//! How a Redis is connected to: one server, or a Cluster.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value, cmd};

use super::key::lane_key;
use super::script::failure;
use crate::store::{Failure, Link};

/// One server or a Cluster, and the prefix that the probes use.
pub(super) struct RedisLink {
    pub(super) target: Target,
    pub(super) prefix: Box<str>,
}

pub(super) enum Target {
    Server(Box<Client>),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<redis::cluster::ClusterClient>),
}

/// Parts of a Cluster that are watched apart, as a node may fail alone.
#[cfg(feature = "redis-cluster")]
const LANES: usize = 64;
/// How long what a probe writes is kept.
const PROBE_LASTS: Duration = Duration::from_secs(10);

#[async_trait]
impl Link for RedisLink {
    type Connection = RedisConnection;

    async fn connect(&self, current: Option<RedisConnection>) -> Result<RedisConnection, Failure> {
        match &self.target {
            Target::Server(client) => {
                // It does not mend itself.
                drop(current);
                // Nobody but the guard in front of it limits a call, so that no error of another kind comes first.
                let config =
                    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
                let connection = client.get_multiplexed_async_connection_with_config(&config).await;
                connection.map(RedisConnection::Server).map_err(|error| failure(&error))
            }
            #[cfg(feature = "redis-cluster")]
            Target::Cluster(client) => {
                // It finds nodes that moved or came back by itself.
                if let Some(current) = current {
                    return Ok(current);
                }
                let connection = client.get_async_connection().await;
                connection.map(RedisConnection::Cluster).map_err(|error| failure(&error))
            }
        }
    }

    async fn probe(&self, connection: &RedisConnection, lane: usize) -> Result<(), Failure> {
        let mut write = cmd("SET");
        write
            .arg(lane_key(&self.prefix, lane, self.lanes()))
            .arg(1)
            .arg("PX")
            .arg(PROBE_LASTS.as_millis().to_string());
        connection.clone().send(&write).await.map(drop).map_err(|error| failure(&error))
    }

    fn lanes(&self) -> usize {
        match self.target {
            Target::Server(_) => 1,
            #[cfg(feature = "redis-cluster")]
            Target::Cluster(_) => LANES,
        }
    }
}

/// A connection that many calls share.
#[derive(Clone)]
pub(super) enum RedisConnection {
    Server(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl RedisConnection {
    /// Sends a command. Dropping the future does not take it back.
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(connection) => connection.req_packed_command(command).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }
}
