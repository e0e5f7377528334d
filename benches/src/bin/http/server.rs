//! The provider: a process of its own that answers with bytes made beforehand, so that what is measured is the client.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use llm_benches::Failure;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

use crate::wire::{LONG, Model, SHORT, Streamed, busy, json};

/// How long [`Model::Slow`] takes.
pub(crate) const THINKS: Duration = Duration::from_millis(10);

/// What the server has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Connections that are open, that of whoever asks left out.
    pub(crate) open: u64,
    /// Requests, in the order of [`Model::ALL`].
    pub(crate) requests: Vec<u64>,
    /// Bytes of their bodies.
    pub(crate) bytes: u64,
}

#[derive(Default)]
struct Counters {
    open: AtomicU64,
    requests: [AtomicU64; Model::ALL.len()],
    bytes: AtomicU64,
}

static COUNTERS: Counters = Counters {
    open: AtomicU64::new(0),
    requests: [const { AtomicU64::new(0) }; Model::ALL.len()],
    bytes: AtomicU64::new(0),
};

struct Answers {
    json: Vec<u8>,
    busy: Vec<u8>,
    short: Vec<u8>,
    long: Vec<u8>,
    pieces: Streamed,
}

/// Serves until whoever started it closes its standard input, which the end of that process does in any case.
pub(crate) fn serve() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pieces = Streamed::new(LONG);
    let answers: &'static Answers = Box::leak(Box::new(Answers {
        json: json(),
        busy: busy(),
        short: Streamed::new(SHORT).joined(SHORT),
        long: pieces.joined(LONG),
        pieces,
    }));
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(async move {
                COUNTERS.open.fetch_add(1, Ordering::Relaxed);
                // Clients hang up as they like.
                let _ended = connection(socket, answers).await;
                COUNTERS.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    })
}

async fn connection(mut socket: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (head, end) = loop {
            if let Some(request) = framed(&buffer) {
                break request;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let body = buffer.get(head..end).unwrap_or_default();
        let asked = model(body);
        let streamed = contains(body, b"\"stream\":true");
        if let Some(model) = asked {
            count(model, body.len());
        }
        match asked {
            Some(model) => answer(&mut socket, model, streamed, answers).await?,
            None => seen(&mut socket).await?,
        }
        buffer.drain(..end);
    }
}

fn count(model: Model, bytes: usize) {
    if let Some(requests) = COUNTERS.requests.get(model as usize) {
        requests.fetch_add(1, Ordering::Relaxed);
    }
    COUNTERS.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}

async fn answer(
    socket: &mut TcpStream,
    model: Model,
    streamed: bool,
    answers: &Answers,
) -> std::io::Result<()> {
    match model {
        Model::Short | Model::Slow => {
            if model == Model::Slow {
                think().await;
            }
            socket.write_all(if streamed { &answers.short } else { &answers.json }).await
        }
        Model::Busy => socket.write_all(&answers.busy).await,
        Model::Long => socket.write_all(&answers.long).await,
        Model::Drip => {
            let Streamed { head, token, end } = &answers.pieces;
            socket.write_all(head).await?;
            for _ in 0..model.tokens() {
                // Others have their turn between two tokens, as on a busy host.
                yield_now().await;
                socket.write_all(token).await?;
            }
            socket.write_all(end).await
        }
        Model::Silent | Model::Stalled => {
            let Streamed { head, token, .. } = &answers.pieces;
            let opening = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |at| at + 4);
            socket.write_all(head.get(..opening).unwrap_or_default()).await?;
            if model == Model::Stalled {
                socket.write_all(token).await?;
            }
            // Until it hangs up.
            while socket.read(&mut [0; 64]).await? > 0 {}
            Ok(())
        }
    }
}

/// To the microsecond, which no timer of the runtime is: with coarser ones answers would come in bursts. The server has
/// a core to itself.
async fn think() {
    let until = now() + THINKS;
    while now() < until {
        yield_now().await;
    }
}

async fn seen(socket: &mut TcpStream) -> std::io::Result<()> {
    let seen = Seen {
        open: COUNTERS.open.load(Ordering::Relaxed).saturating_sub(1),
        requests: COUNTERS.requests.iter().map(|requests| requests.load(Ordering::Relaxed)).collect(),
        bytes: COUNTERS.bytes.load(Ordering::Relaxed),
    };
    let mut line = serde_json::to_vec(&seen)?;
    line.push(b'\n');
    socket.write_all(&line).await
}

/// The field that says how long a body is, as this client writes it.
const LENGTH: &[u8] = b"content-length: ";

/// Where the body of the first request begins and ends, once it is there as a whole.
fn framed(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let field = bytes.get(..head)?.windows(LENGTH.len()).position(|bytes| bytes == LENGTH);
    let digits = field.and_then(|at| bytes.get(at + LENGTH.len()..head)).unwrap_or_default();
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    (bytes.len() >= head + length).then_some((head, head + length))
}

/// The model that a body names: in its first field, as everybody here writes it.
fn model(body: &[u8]) -> Option<Model> {
    let name = body.strip_prefix(b"{\"model\":\"")?;
    Model::of(name.split(|byte| *byte == b'"').next()?)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).rev().any(|bytes| bytes == part)
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_framed_by_its_length() {
        let request = b"POST / HTTP/1.1\r\ncontent-length: 5\r\nhost: a\r\n\r\n12345POST";
        let (head, end) = framed(request).unwrap();
        assert_eq!(&request[head..end], b"12345");
        assert_eq!(framed(&request[..end - 1]), None);
        assert_eq!(framed(b"GET / HTTP/1.1\r\n\r\n"), Some((18, 18)));
    }

    #[test]
    fn models_are_told_by_name() {
        for model in Model::ALL {
            let body = format!("{{\"model\":\"{}\",\"messages\":[]}}", model.name());
            assert_eq!(super::model(body.as_bytes()), Some(model));
        }
        assert_eq!(model(b"{\"model\":\"other\"}"), None);
    }
}
