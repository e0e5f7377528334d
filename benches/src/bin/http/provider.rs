//! The server's process as its client sees it: started, pinned, asked what it has seen, ended.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use llm_benches::Failure;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Seen;

/// A server in a process of its own. It ends with this.
pub(crate) struct Provider {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Provider {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("--serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("the server has no output")?;
        let address = BufReader::new(out).read_line(&mut line).map(|_| line.trim().parse());
        match address {
            Ok(Ok(address)) => Ok(Self { child, address }),
            other => {
                let _ended = child.kill();
                Err(format!("the server did not start: {other:?}").into())
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A connection on which the server says what it has seen.
pub(crate) struct Witness(tokio::io::BufReader<TcpStream>);

impl Witness {
    pub(crate) async fn new(address: SocketAddr) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self(tokio::io::BufReader::new(socket)))
    }

    pub(crate) async fn ask(&mut self) -> Result<Seen, Failure> {
        self.0.get_mut().write_all(b"GET /seen HTTP/1.1\r\n\r\n").await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }
}
