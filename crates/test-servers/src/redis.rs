//! A Redis server, or a Valkey one.

use std::{
    fmt::{self, Write as _},
    fs, io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{net::UnixStream, time::timeout};

#[cfg(feature = "tls")]
use crate::redis_builder::{Tls, files};
use crate::{
    error::ServerError,
    instance::{Instance, LIMIT},
    redis_builder::RedisBuilder,
    resp::{Connection, Reply},
};

/// A Redis server of our own on a port of the loopback interface that was free, with nothing in it.
///
/// It writes nothing to disk but a configuration and a log, in a temporary directory. Dropping it kills it, waits until
/// it is dead and removes the directory, and it is killed too when this process ends in whatever way. All waits have
/// limits of half a minute, far more than they take, and use the real clock: not one that a test has paused.
pub struct RedisServer {
    instance: Instance,
    options: RedisBuilder,
    port: u16,
}

impl RedisServer {
    /// Starts one, and waits until it answers. Redis is unpacked from Debian's packages if this machine has none, which
    /// takes seconds, once.
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start() -> Result<Self, ServerError> {
        Self::builder().start().await
    }

    /// Says how it is to be before it is started.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// `redis://127.0.0.1:port`, with the password if it has one, and `rediss` if it speaks TLS.
    pub fn url(&self) -> String {
        let scheme = if self.options.speaks_tls() { "rediss" } else { "redis" };
        let credentials = self.options.password.as_deref().map(percent_encoded);
        let credentials = credentials.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("{scheme}://{credentials}{}", self.address())
    }

    /// The port, which stays the same for as long as this exists.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The id of its process while it runs (or is frozen).
    pub fn pid(&self) -> Option<u32> {
        self.instance.id()
    }

    /// The certificate of the authority that signed the server's, in PEM, if it speaks TLS.
    #[cfg(feature = "tls")]
    pub fn ca_pem(&self) -> Option<&str> {
        if let Tls::With(certificates) = &self.options.tls { Some(&certificates.authority) } else { None }
    }

    /// The file that has [`ca_pem`](Self::ca_pem) in it, for as long as this exists.
    #[cfg(feature = "tls")]
    pub fn ca_path(&self) -> Option<std::path::PathBuf> {
        self.ca_pem().map(|_| self.instance.directory().join(files::AUTHORITY))
    }

    /// Kills it (SIGKILL), and returns when it is dead: a matter of a few milliseconds. Its connections are closed, and
    /// new ones refused. Does nothing if it is dead.
    pub fn kill(&self) {
        self.instance.kill();
    }

    /// Freezes it (SIGSTOP), and returns when it stands still. The system goes on accepting connections and what is
    /// written to them, but nothing answers.
    pub fn freeze(&self) -> Result<(), ServerError> {
        self.instance.freeze()
    }

    /// Lets it go on after [`freeze`](Self::freeze).
    pub fn thaw(&self) -> Result<(), ServerError> {
        self.instance.thaw()
    }

    /// Starts it again on the same port with nothing in it, after killing it if it runs, and waits until it answers.
    ///
    /// A dropped future leaves it dead.
    pub async fn restart(&self) -> Result<(), ServerError> {
        let socket = self.instance.directory().join("socket");
        let _ = fs::remove_file(socket); // the one before may have left it
        let configuration = self.instance.directory().join("redis.conf");
        let file = self.options.file(self.instance.directory(), self.port);
        fs::write(&configuration, file).map_err(ServerError::io("write redis.conf"))?;
        self.instance.start([configuration], |_| self.answers()).await
    }

    /// Gives it a command over a connection of its own, which is neither counted among those on the port nor encrypted:
    /// `server.cli(&["CLIENT", "PAUSE", "100"])`. Waits half a minute for an answer, that of a frozen server too.
    pub async fn cli<A: AsRef<[u8]> + Sync>(&self, command: &[A]) -> Result<Reply, ServerError> {
        let name = || {
            command
                .first()
                .map(|name| String::from_utf8_lossy(name.as_ref()).into_owned())
                .unwrap_or_default()
        };
        let answer = timeout(LIMIT, self.ask(command)).await;
        let late = |_| ServerError::Late { what: format!("the answer to {}", name()), limit: LIMIT };
        match answer.map_err(late)?.map_err(ServerError::io("give a command"))? {
            Reply::Error(message) => Err(ServerError::Refused { command: name(), message }),
            reply => Ok(reply),
        }
    }

    async fn ask<A: AsRef<[u8]>>(&self, command: &[A]) -> io::Result<Reply> {
        let mut connection =
            Connection::new(UnixStream::connect(self.instance.directory().join("socket")).await?);
        if let Some(password) = &self.options.password {
            connection.ask(&["AUTH", password]).await?;
        }
        connection.ask(command).await
    }

    async fn answers(&self) -> bool {
        matches!(self.ask(&["PING"]).await, Ok(Reply::Text(pong)) if pong == "PONG")
    }

    /// Whether it runs and is not frozen.
    pub(crate) fn is_awake(&self) -> bool {
        self.instance.is_awake()
    }

    /// With its directory, but not started.
    pub(crate) async fn new(options: RedisBuilder, port: u16) -> Result<Self, ServerError> {
        let instance = Instance::new(options.program).await?;
        #[cfg(feature = "tls")]
        if let Tls::With(certificates) = &options.tls {
            certificates.write(instance.directory())?;
        }
        Ok(Self { instance, options, port })
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("port", &self.port)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// For the place of a password in a URL.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
