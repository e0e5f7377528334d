//! A Memcached server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use crate::{error::ServerError, instance::Instance, port, program};

/// A Memcached server of our own on a port of the loopback interface that was free, with nothing in it.
///
/// It dies with this, and is broken, like a [`RedisServer`](crate::RedisServer).
#[derive(Debug)]
pub struct MemcachedServer {
    instance: Instance,
    arguments: Vec<String>,
    port: u16,
}

impl MemcachedServer {
    /// Starts one, and waits until it answers. Memcached is unpacked from Debian's packages if this machine has none,
    /// which takes seconds, once.
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with::<&str>(&[]).await
    }

    /// Starts one with further arguments, such as `-m` and `1` for one megabyte of memory.
    pub async fn start_with<A: AsRef<str>>(arguments: &[A]) -> Result<Self, ServerError> {
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.as_ref().to_owned()).collect();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let instance = Instance::new(&program::MEMCACHED).await?;
            let server = Self { instance, arguments: arguments.clone(), port: port::free() };
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) if port::was_taken(&error) && attempts < port::ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// `tcp://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.address())
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
        let port = self.port.to_string();
        // Root has to name a user, and others are not asked.
        let own = ["-l", "127.0.0.1", "-p", &port, "-U", "0", "-u", "root"];
        let arguments = own.into_iter().chain(self.arguments.iter().map(String::as_str));
        // On that port another server may answer, on which ours is about to fail.
        self.instance
            .start(arguments, |id| async move { self.id_on_port().await.is_ok_and(|other| other == id) })
            .await
    }

    async fn id_on_port(&self) -> io::Result<u32> {
        let mut stream = BufStream::new(TcpStream::connect(self.address()).await?);
        stream.write_all(b"stats\r\n").await?;
        stream.flush().await?;
        let mut lines = stream.lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(id) = line.strip_prefix("STAT pid ") {
                return id.parse().map_err(|_| io::ErrorKind::InvalidData.into());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
