//! HTTP/1.1 as far as a model provider needs it: requests are read whole and within bounds.

use std::io;

use tokio::{
    io::AsyncWriteExt as _,
    net::tcp::{ReadHalf, WriteHalf},
};

use crate::input::Input;

const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// What a request body may have.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// What the sizes, extensions and trailers of a chunked body may have together, which limits their number, too.
const MAX_FRAMING: usize = MAX_BODY;

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

    /// All values of a header, whatever the case of its name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
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

/// Reads a request; what follows it stays in the input.
pub(crate) async fn read_request(
    socket: &mut ReadHalf<'_>,
    out: &mut WriteHalf<'_>,
    input: &mut Input,
) -> Result<Request, Unread> {
    let mut request = loop {
        if let Some((request, length)) = parse_head(input.unread())? {
            input.advance(length);
            break request;
        }
        input.more(socket).await?;
    };
    let length = body_length(&request)?;
    if request.header("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    match length {
        Length::Known(length) => read_bytes(socket, input, length, &mut request.body).await?,
        Length::Chunked => request.body = read_chunks(socket, input).await?,
    }
    Ok(request)
}

/// Adds this many bytes to the body.
async fn read_bytes(
    socket: &mut ReadHalf<'_>,
    input: &mut Input,
    mut bytes: usize,
    body: &mut Vec<u8>,
) -> Result<(), Unread> {
    loop {
        bytes -= input.take(bytes, body);
        if bytes == 0 {
            return Ok(());
        }
        input.more(socket).await?;
    }
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

const BAD_CHUNK: Unread = Unread::Refused(400, "the chunked body is malformed");

async fn read_chunks(socket: &mut ReadHalf<'_>, input: &mut Input) -> Result<Vec<u8>, Unread> {
    let (mut body, mut framing) = (Vec::new(), 0);
    loop {
        let (start, size) = loop {
            match httparse::parse_chunk_size(input.unread()).map_err(|_| BAD_CHUNK)? {
                httparse::Status::Complete(found) => break found,
                httparse::Status::Partial if input.unread().len() > MAX_HEAD => return Err(BAD_CHUNK),
                httparse::Status::Partial => input.more(socket).await?,
            }
        };
        input.advance(start);
        count_framing(&mut framing, start)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_BODY.saturating_sub(body.len()) {
            return Err(Unread::Refused(413, "the body is too large"));
        }
        if size == 0 {
            read_trailers(socket, input, &mut framing).await?;
            return Ok(body);
        }
        read_bytes(socket, input, size, &mut body).await?;
        count_framing(&mut framing, 2)?;
        while input.unread().len() < 2 {
            input.more(socket).await?;
        }
        if !input.unread().starts_with(b"\r\n") {
            return Err(BAD_CHUNK);
        }
        input.advance(2);
    }
}

fn count_framing(framing: &mut usize, bytes: usize) -> Result<(), Unread> {
    *framing += bytes;
    let within = *framing <= MAX_FRAMING;
    within.then_some(()).ok_or(Unread::Refused(413, "the body has too many chunks"))
}

/// Skips the lines up to the empty one that ends the body.
async fn read_trailers(
    socket: &mut ReadHalf<'_>,
    input: &mut Input,
    framing: &mut usize,
) -> Result<(), Unread> {
    loop {
        if let Some(end) = input.unread().windows(2).position(|bytes| bytes == b"\r\n") {
            input.advance(end + 2);
            if end == 0 {
                return Ok(());
            }
            count_framing(framing, end + 2)?;
        } else if input.unread().len() > MAX_HEAD {
            return Err(Unread::Refused(431, "the trailers are too large"));
        } else {
            input.more(socket).await?;
        }
    }
}
