//! A connection to a Memcached that many calls share: a task owns it, and callers hand it what they want.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::protocol::{Command, Garbage, Reply, parse};
use crate::store::{Failure, StoreCause};

/// A handle to it. It is closed with the last of them.
#[derive(Clone)]
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    /// Ends the task where its end does not: when the server has not answered yet.
    _task: Arc<JoinSet<()>>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<Result<Reply, Failure>>,
}

/// So many commands may be under way, written or about to be.
const MOST_UNDER_WAY: usize = 256;
/// So many more may wait before their callers do.
const MOST_WAITING: usize = 64;

impl Connection {
    /// Takes over a stream. It is served in the Tokio runtime that this is called in.
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (requests, receiver) = mpsc::channel(MOST_WAITING);
        let mut task = JoinSet::new();
        task.spawn(serve(stream, receiver));
        Self { requests, _task: Arc::new(task) }
    }

    /// What the server answers. A caller who is dropped has asked, or has not: the connection does not mind.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, Failure> {
        let lost = || Failure::Lost(StoreCause::Connection);
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request { command, answer }).await.map_err(|_| lost())?;
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

/// Writes what is asked and passes on what is answered, side by side, until the connection breaks, or what is answered
/// makes no sense. Who waits then learns it, as all the channels end with this.
async fn serve(stream: impl AsyncRead + AsyncWrite, mut requests: mpsc::Receiver<Request>) {
    let (mut reader, mut writer) = split(stream);
    let mut talk = Talk::default();
    let mut batch = Vec::with_capacity(MOST_WAITING);
    // An answer is shorter, so there is always room for what comes.
    let mut incoming = Vec::with_capacity(4096);
    loop {
        let room = MOST_UNDER_WAY.saturating_sub(talk.asked.len());
        select! {
            read = reader.read_buf(&mut incoming) => {
                if !matches!(read, Ok(1..)) || talk.hear(&mut incoming).is_err() {
                    return;
                }
            }
            written = writer.write(&talk.outgoing), if !talk.outgoing.is_empty() => match written {
                Ok(length @ 1..) => drop(talk.outgoing.drain(..length)),
                _ => return,
            },
            received = requests.recv_many(&mut batch, room), if room > 0 => {
                if received == 0 {
                    return;
                }
                for request in batch.drain(..) {
                    talk.ask(request);
                }
            }
        }
    }
}

/// What was asked and not answered yet, in its order, which is that of the answers.
#[derive(Default)]
struct Talk {
    asked: VecDeque<(u64, oneshot::Sender<Result<Reply, Failure>>)>,
    /// What is not written yet.
    outgoing: Vec<u8>,
    numbers: u64,
}

impl Talk {
    fn ask(&mut self, request: Request) {
        // No turn is taken for somebody who is gone.
        if !request.answer.is_closed() {
            self.numbers = self.numbers.wrapping_add(1);
            request.command.write(self.numbers, &mut self.outgoing);
            self.asked.push_back((self.numbers, request.answer));
        }
    }

    /// Gives the answers to who asked, and leaves what is not complete yet.
    fn hear(&mut self, incoming: &mut Vec<u8>) -> Result<(), Garbage> {
        let mut heard = 0;
        while let Some(bytes) = incoming.get(heard..).filter(|bytes| !bytes.is_empty()) {
            let Some((answer, length)) = parse(bytes)? else { break };
            let (number, asked) = self.asked.pop_front().ok_or(Garbage)?;
            // Rather no answer than another's.
            if answer.number.is_some_and(|answered| answered != number) {
                return Err(Garbage);
            }
            heard += length;
            // Who asked may be gone.
            let _ = asked.send(answer.outcome);
        }
        incoming.drain(..heard);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
