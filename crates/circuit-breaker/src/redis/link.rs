//! How a Redis is connected to: one server, or a Cluster.

#[cfg(feature = "redis-cluster")]
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value, cmd};

#[cfg(feature = "redis-cluster")]
use super::cluster::Cluster;
use super::key;
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
    Cluster(Arc<Cluster>),
}

/// Parts of a Cluster that are watched apart, as a node may fail alone.
#[cfg(feature = "redis-cluster")]
const LANES: usize = 64;
/// Writes by a script, as all calls do: a server may take the one and refuse the other.
const PROBE: &str = "return redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])";
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
            Target::Cluster(cluster) => {
                // It has a connection to each node, and makes those anew that have broken.
                cluster.look().await.map_err(|error| failure(&error))?;
                Ok(RedisConnection::Cluster(Arc::clone(cluster)))
            }
        }
    }

    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables, reason = "there is one lane"))]
    async fn probe(&self, connection: &RedisConnection, lane: usize) -> Result<(), Failure> {
        let probed = match connection {
            RedisConnection::Server(connection) => {
                let write = write(&key::probe(&self.prefix, 0).1);
                connection.clone().req_packed_command(&write).await.and_then(Value::extract_error).map(drop)
            }
            #[cfg(feature = "redis-cluster")]
            RedisConnection::Cluster(cluster) => {
                let name = |number| key::probe(&self.prefix, number);
                cluster.probe(key::slots_of(lane, LANES), name, write).await
            }
        };
        probed.map_err(|error| failure(&error))
    }

    fn lanes(&self) -> usize {
        match self.target {
            Target::Server(_) => 1,
            #[cfg(feature = "redis-cluster")]
            Target::Cluster(_) => LANES,
        }
    }
}

fn write(name: &str) -> Cmd {
    let mut write = cmd("EVAL");
    write.arg(PROBE).arg(1).arg(name).arg(PROBE_LASTS.as_millis().to_string());
    write
}

/// A connection that many calls share.
#[derive(Clone)]
pub(super) enum RedisConnection {
    Server(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(Arc<Cluster>),
}

impl RedisConnection {
    /// Sends a command whose keys are in this slot. Dropping the future does not take it back.
    #[cfg_attr(not(feature = "redis-cluster"), expect(unused_variables, reason = "there are no slots"))]
    pub(super) async fn send(&mut self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => {
                connection.req_packed_command(command).await.and_then(Value::extract_error)
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(cluster) => cluster.send(slot, command).await,
        }
    }
}
