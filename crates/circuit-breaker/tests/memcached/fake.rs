//! A server that counts as Memcached does, and says something else where it is told to.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinSet, yield_now};

/// What it says to a command.
pub(crate) enum Say {
    /// What Memcached says.
    Right,
    /// This and nothing else.
    Only(Vec<u8>),
    /// What Memcached says, and this.
    AndAlso(Vec<u8>),
    /// What Memcached says, byte by byte.
    Slowly,
    /// This, and then it closes the connection.
    Cut(Vec<u8>),
    /// Nothing until so many commands of this connection wait, then what Memcached says to all of them.
    After(usize),
}

pub(crate) fn only(text: &str) -> Say {
    Say::Only(text.as_bytes().to_vec())
}

/// A command as it came.
pub(crate) struct Line {
    text: String,
}

impl Line {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ')
    }

    fn key(&self) -> &str {
        self.words().nth(1).unwrap()
    }

    pub(crate) fn is_probe(&self) -> bool {
        self.key().ends_with(":probe")
    }

    /// The number that the answer has to repeat.
    pub(crate) fn number(&self) -> u64 {
        self.words().find_map(|word| word.strip_prefix('O')?.parse().ok()).unwrap()
    }
}

type Script = dyn Fn(&Line) -> Say + Send + Sync;

struct State {
    script: Box<Script>,
    turns: Mutex<HashMap<String, u64>>,
}

impl State {
    fn right(&self, line: &Line) -> Vec<u8> {
        let mut turns = self.turns.lock();
        let number = line.number();
        if line.words().next() == Some("md") {
            turns.remove(line.key());
            return format!("HD O{number}\r\n").into_bytes();
        }
        let next = turns.entry(line.key().to_owned()).or_default();
        let turn = next.to_string();
        *next += 1;
        format!("VA {} O{number}\r\n{turn}\r\n", turn.len()).into_bytes()
    }
}

/// It ends when this is dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    _task: JoinSet<()>,
}

impl Fake {
    /// Starts one that asks `script` about each command.
    pub(crate) async fn start(script: impl Fn(&Line) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State { script: Box::new(script), turns: Mutex::default() });
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self { url, _task: task }
    }

    /// Starts one with a socket at this path.
    pub(crate) fn at(path: &str) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let state = Arc::new(State { script: Box::new(|_| Say::Right), turns: Mutex::default() });
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Self { url: format!("unix://{path}"), _task: task }
    }
}

/// Ends with the connection.
async fn serve(stream: impl AsyncRead + AsyncWrite, state: Arc<State>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut held: Vec<Line> = Vec::new();
    while let Ok(Some(text)) = lines.next_line().await {
        let line = Line { text };
        let said = match (state.script)(&line) {
            Say::Right => state.right(&line),
            Say::Only(bytes) => bytes,
            Say::AndAlso(bytes) => [state.right(&line), bytes].concat(),
            Say::Slowly => {
                for byte in state.right(&line) {
                    if writer.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    yield_now().await;
                }
                continue;
            }
            Say::Cut(bytes) => {
                let _ = writer.write_all(&bytes).await;
                return;
            }
            Say::After(count) => {
                held.push(line);
                if held.len() < count {
                    continue;
                }
                held.drain(..).flat_map(|line| state.right(&line)).collect()
            }
        };
        if writer.write_all(&said).await.is_err() {
            return;
        }
    }
}
