//! HTTP/1.1 as far as a model provider needs it: requests are read whole and within bounds.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{ReadHalf, WriteHalf},
};

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// What a request body may have.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;

/// A request whose head and body have been read whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The client is gone; half a request counts as none.
    Gone,
    /// The client must be told that this is no request.
    Refused(u16, &'static str),
}

impl From<io::Error> for Unread {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// The first value of a header, whatever the case of its name.
pub(crate) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads a request; what follows it stays in the buffer.
pub(crate) async fn read_request(
    socket: &mut ReadHalf<'_>,
    out: &mut WriteHalf<'_>,
    buffer: &mut Vec<u8>,
) -> Result<Request, Unread> {
    let mut request = loop {
        if let Some((request, length)) = parse_head(buffer)? {
            buffer.drain(..length);
            break request;
        }
        more(socket, buffer).await?;
    };
    let length = body_length(&request)?;
    if request.header("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = match length {
        Length::Known(length) => {
            while buffer.len() < length {
                more(socket, buffer).await?;
            }
            buffer.drain(..length).collect()
        }
        Length::Chunked => read_chunks(socket, buffer).await?,
    };
    Ok(request)
}

/// Reads what has arrived, at least a byte.
async fn more(socket: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) -> Result<(), Unread> {
    buffer.reserve(8 * 1024);
    if socket.read_buf(buffer).await? == 0 { Err(Unread::Gone) } else { Ok(()) }
}

/// Resolves when the client has closed the connection. What it sends meanwhile is kept for the next request.
pub(crate) async fn gone(socket: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) {
    // A client that sends without listening is not watched any longer: memory is bounded.
    while buffer.len() <= MAX_HEAD {
        if more(socket, buffer).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The head and its length, once it is complete.
fn parse_head(buffer: &[u8]) -> Result<Option<(Request, usize)>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(buffer) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(None),
        Ok(_) => return Err(Unread::Refused(431, "the head of the request is too large")),
        Err(httparse::Error::TooManyHeaders) => return Err(Unread::Refused(431, "too many headers")),
        Err(_) => return Err(Unread::Refused(400, "this is no HTTP/1.1 request")),
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let connection = find(&headers, "connection").unwrap_or_default().to_ascii_lowercase();
    let keep_alive = head.version == Some(1) && !connection.contains("close");
    let method = head.method.unwrap_or_default().to_owned();
    let target = head.path.unwrap_or_default().to_owned();
    Ok(Some((Request { method, target, headers, body: Vec::new(), keep_alive }, length)))
}

enum Length {
    Known(usize),
    Chunked,
}

fn body_length(request: &Request) -> Result<Length, Unread> {
    let mut lengths = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().map(|(_, length)| length.as_str());
    if lengths.any(|(_, other)| Some(other.as_str()) != length) {
        return Err(Unread::Refused(400, "the content-length headers differ"));
    }
    match (length, request.header("transfer-encoding")) {
        (None, None) => Ok(Length::Known(0)),
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ok(Length::Chunked),
        (None, Some(_)) => Err(Unread::Refused(501, "only the transfer encoding `chunked` is understood")),
        (Some(_), Some(_)) => {
            Err(Unread::Refused(400, "content-length and transfer-encoding exclude each other"))
        }
        (Some(length), None) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number that is too large to be read is too large a body as well.
            let length = length.parse().ok().filter(|length| *length <= MAX_BODY);
            length.map(Length::Known).ok_or(Unread::Refused(413, "the body is too large"))
        }
        (Some(_), None) => Err(Unread::Refused(400, "the content-length is no number")),
    }
}

async fn read_chunks(socket: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) -> Result<Vec<u8>, Unread> {
    const BAD: Unread = Unread::Refused(400, "the chunked body is malformed");
    let mut body = Vec::new();
    loop {
        let (start, size) = loop {
            match httparse::parse_chunk_size(buffer).map_err(|_| BAD)? {
                httparse::Status::Complete(found) => break found,
                httparse::Status::Partial if buffer.len() > MAX_HEAD => return Err(BAD),
                httparse::Status::Partial => more(socket, buffer).await?,
            }
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_BODY.saturating_sub(body.len()) {
            return Err(Unread::Refused(413, "the body is too large"));
        }
        buffer.drain(..start);
        if size == 0 {
            read_trailers(socket, buffer).await?;
            return Ok(body);
        }
        while buffer.len() < size + 2 {
            more(socket, buffer).await?;
        }
        body.extend(buffer.drain(..size));
        if buffer.drain(..2).as_slice() != b"\r\n" {
            return Err(BAD);
        }
    }
}

/// Skips the lines up to the empty one that ends the body.
async fn read_trailers(socket: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) -> Result<(), Unread> {
    loop {
        if let Some(end) = buffer.windows(2).position(|bytes| bytes == b"\r\n") {
            buffer.drain(..end + 2);
            if end == 0 {
                return Ok(());
            }
        } else if buffer.len() > MAX_HEAD {
            return Err(Unread::Refused(431, "the trailers are too large"));
        } else {
            more(socket, buffer).await?;
        }
    }
}

/// Reads and forgets, up to the end or this many bytes.
pub(crate) async fn discard(socket: &mut ReadHalf<'_>, mut bytes: usize) {
    let mut buffer = Vec::with_capacity(8 * 1024);
    while more(socket, &mut buffer).await.is_ok() && bytes > 0 {
        bytes = bytes.saturating_sub(buffer.len());
        buffer.clear();
    }
}
