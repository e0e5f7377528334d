//! Writes responses by hand, so that every fault of a socket is possible.

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::tcp::WriteHalf, time::sleep};

use crate::fault::Pace;

/// Between the halves of a character, so that they do not arrive in one read.
const BETWEEN_BYTES: Duration = Duration::from_millis(1);

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    Empty,
    Length(usize),
    Chunked,
}

/// The response side of a connection.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    socket: WriteHalf<'a>,
    pub(crate) pace: Pace,
    framing: Framing,
}

impl<'a> Out<'a> {
    pub(crate) fn new(socket: WriteHalf<'a>, pace: Pace) -> Self {
        Self { socket, pace, framing: Framing::Empty }
    }

    pub(crate) async fn head(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        framing: Framing,
    ) -> io::Result<()> {
        self.framing = framing;
        let mut lines = vec![format!("HTTP/1.1 {status} {}", reason(status))];
        lines
            .extend(headers.iter().map(|(name, value)| format!("{}: {}", printable(name), printable(value))));
        lines.push(match framing {
            Framing::Empty => "\r\n".to_owned(),
            Framing::Length(length) => format!("content-length: {length}\r\n\r\n"),
            Framing::Chunked => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        });
        let head = lines.join("\r\n");
        self.socket.write_all(head.as_bytes()).await
    }

    /// A part of the body.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, false).await
    }

    /// The last part of the body. The end of the body is in the same write, so that a client which stops reading at
    /// the vendor's terminal event has read the whole answer.
    pub(crate) async fn send_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, true).await
    }

    async fn write(&mut self, bytes: &[u8], last: bool) -> io::Result<()> {
        let (pieces, delay) = pieces(bytes, self.pace);
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            if number > 0 && !delay.is_zero() {
                sleep(delay).await;
            }
            let last = last && number + 1 == count;
            match self.framing {
                Framing::Empty => {}
                Framing::Length(_) => self.socket.write_all(piece).await?,
                Framing::Chunked => self.socket.write_all(&chunk(piece, last)).await?,
            }
        }
        Ok(())
    }

    /// Closes the sending side: what was sent arrives, then the end.
    pub(crate) async fn shut(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }
}

/// One chunk of a chunked body; an empty one would end the body and is left out.
fn chunk(bytes: &[u8], last: bool) -> Vec<u8> {
    let mut chunk = Vec::with_capacity(bytes.len() + 24);
    if !bytes.is_empty() {
        chunk.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
    }
    if last {
        chunk.extend_from_slice(b"0\r\n\r\n");
    }
    chunk
}

/// The bytes as they are to be written; always at least one piece.
fn pieces(bytes: &[u8], pace: Pace) -> (Vec<&[u8]>, Duration) {
    match pace {
        Pace::Drip { bytes: size, delay } if !bytes.is_empty() => {
            (bytes.chunks(size.max(1)).collect(), delay)
        }
        Pace::SplitUtf8 if !bytes.is_empty() => {
            // Before every continuation byte there is a cut.
            (bytes.chunk_by(|_, next| next & 0xC0 != 0x80).collect(), BETWEEN_BYTES)
        }
        Pace::Whole | Pace::Drip { .. } | Pace::SplitUtf8 => (vec![bytes], Duration::ZERO),
    }
}

/// A header must not end its line.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Site is overloaded",
        _ => "Simulated",
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, chunk, pieces, printable};

    #[test]
    fn characters_are_cut_between_all_their_bytes() {
        let (pieces, _) = pieces("aé😀b".as_bytes(), Pace::SplitUtf8);
        assert_eq!(pieces, [&b"a\xC3"[..], b"\xA9\xF0", b"\x9F", b"\x98", b"\x80b"]);
    }

    #[test]
    fn an_empty_chunk_does_not_end_the_body() {
        assert_eq!(chunk(b"", false), b"");
        assert_eq!(chunk(b"ab", true), b"2\r\nab\r\n0\r\n\r\n");
    }

    #[test]
    fn a_header_value_cannot_smuggle_a_line() {
        assert_eq!(printable("a\r\nb: c"), "a  b: c");
    }
}
