//! What a client has sent and nobody has read yet.

use tokio::{io::AsyncReadExt as _, net::tcp::ReadHalf};

use crate::http::Unread;

/// How much is read at a time.
const READ: usize = 16 * 1024;
/// How much of the next requests is kept while one is being answered.
const MAX_AHEAD: usize = 64 * 1024;

/// Bytes that have arrived, of which those before `start` have been used. They are removed at the next read rather
/// than at each use, so that many small uses of a large buffer cost no more than its bytes.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    lost: bool,
}

impl Input {
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Marks this many bytes as used.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.bytes.len());
    }

    /// Moves up to this many bytes into `body`, and says how many.
    pub(crate) fn take(&mut self, bytes: usize, body: &mut Vec<u8>) -> usize {
        let unread = self.unread();
        let taken = unread.get(..bytes).unwrap_or(unread);
        body.extend_from_slice(taken);
        let taken = taken.len();
        self.advance(taken);
        taken
    }

    /// Whether bytes were thrown away: what comes next is not the start of a request.
    pub(crate) fn lost(&self) -> bool {
        self.lost
    }

    /// Reads what has arrived, at least a byte.
    pub(crate) async fn more(&mut self, socket: &mut ReadHalf<'_>) -> Result<(), Unread> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(READ);
        if socket.read_buf(&mut self.bytes).await? == 0 { Err(Unread::Gone) } else { Ok(()) }
    }

    /// Resolves when the client has closed the connection. What it sends meanwhile is kept for the next request; if
    /// it is too much, all the rest is read and thrown away, because the end comes after it.
    pub(crate) async fn gone(&mut self, socket: &mut ReadHalf<'_>) {
        while self.unread().len() <= MAX_AHEAD {
            if self.more(socket).await.is_err() {
                return;
            }
        }
        self.lost = true;
        discard(socket, usize::MAX).await;
    }
}

/// Reads and forgets, up to the end or this many bytes.
pub(crate) async fn discard(socket: &mut ReadHalf<'_>, mut bytes: usize) {
    let mut buffer = vec![0; READ];
    while bytes > 0 {
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            // An endless client is read for as long as the answer takes.
            Ok(_) if bytes == usize::MAX => {}
            Ok(read) => bytes = bytes.saturating_sub(read),
        }
    }
}
