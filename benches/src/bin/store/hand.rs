//! The same by hand: what somebody writes who has the redis crate and our scripts, and takes care.

use std::sync::Arc;

use llm_benches::Failure;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, Script, cmd};

/// A script of the crate's own, made of its files.
macro_rules! script {
    ($($file:literal),+) => {
        concat!($(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/circuit-breaker/src/redis/",
            $file
        ))),+)
    };
}

pub(crate) const ASK: &str = script!("breaker/circuit.lua", "breaker/ask.lua");
pub(crate) const END: &str = script!("breaker/circuit.lua", "breaker/end.lua");
pub(crate) const TAKE: &str = script!("limiter/account.lua", "limiter/take.lua");
pub(crate) const GIVE: &str = script!("limiter/account.lua", "limiter/end.lua");
pub(crate) const TURN: &str = script!("rotation/next.lua");

/// A connection with the settings that a store's has, so that what differs is what is done with it.
pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection, Failure> {
    let settings = TcpSettings::default().set_nodelay(true);
    let client = Client::open(url.into_connection_info()?.set_tcp_settings(settings))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// A script that the server knows by name, with its keys and with those arguments that are always the same.
pub(crate) struct Prepared {
    sha: String,
    keys: Vec<String>,
    args: Vec<String>,
}

impl Prepared {
    /// Loads the script.
    pub(crate) async fn new(
        connection: &MultiplexedConnection,
        text: &str,
        keys: Vec<String>,
        args: &[&str],
    ) -> Result<Arc<Self>, Failure> {
        let sha = Script::new(text).get_hash().to_owned();
        let loaded: String = cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection.clone()).await?;
        if loaded != sha {
            return Err("the server knows a script by another name".into());
        }
        Ok(Arc::new(Self { sha, keys, args: args.iter().map(|&arg| arg.to_owned()).collect() }))
    }

    /// Runs it, and reads its answer.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        mut connection: MultiplexedConnection,
        more: &[&str],
    ) -> Result<T, Failure> {
        Ok(self.command(more).query_async(&mut connection).await?)
    }

    fn command(&self, more: &[&str]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.sha).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        for arg in more {
            command.arg(*arg);
        }
        command
    }
}

/// Names of one key's entries, as long as those of the backends are.
pub(crate) fn names(prefix: &str, number: u128, suffixes: &[&str]) -> Vec<String> {
    suffixes.iter().map(|suffix| format!("{prefix}:{{{number:032x}}}:{suffix}")).collect()
}

/// A new lease, as it is written.
pub(crate) fn lease() -> String {
    format!("{:032x}", fastrand::u128(..))
}
