//! What the workers call: a service on loopback that answers, fails or falls silent, and remembers who came when.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// What it does with a call.
#[derive(Clone, Copy)]
pub(crate) enum Mood {
    Answers,
    /// It hangs up on this worker, and answers the others.
    Fails(&'static str),
    /// It takes calls, and nothing comes back.
    Silent,
}

/// A call that has arrived.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) worker: String,
    pub(crate) at: Instant,
}

/// The service.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Service {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mood = Arc::new(Mutex::new(Mood::Answers));
        let service = Self { address: listener.local_addr()?, mood, arrivals: Arc::default() };
        let accepting = service.clone();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let service = accepting.clone();
                tokio::spawn(async move { service.serve(caller).await });
            }
        });
        Ok(service)
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    /// Who has come since there were so many.
    pub(crate) fn arrivals(&self, since: usize) -> Vec<Arrival> {
        self.arrivals.lock().get(since..).unwrap_or_default().to_vec()
    }

    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().len()
    }

    async fn serve(&self, caller: TcpStream) -> io::Result<()> {
        let mut caller = BufStream::new(caller);
        let mut worker = String::new();
        caller.read_line(&mut worker).await?;
        let worker = worker.trim_end();
        let mood = *self.mood.lock();
        self.arrivals.lock().push(Arrival { worker: worker.to_owned(), at: Instant::now() });
        match mood {
            Mood::Fails(whom) if worker == whom => Ok(()),
            // Until the caller hangs up, or is no more.
            Mood::Silent => caller.read_u8().await.map(drop),
            _ => {
                caller.write_all(b"here you are\n").await?;
                caller.flush().await
            }
        }
    }
}
