//! The event reader, against the specification's own words.

use super::source::{Source, split};
use crate::sse::Events;

/// What events are made of, so that random bytes make some.
const TOKENS: [&[u8]; 20] = [
    b"data: ",
    b"data:",
    b"data",
    b"event: ",
    b"event:",
    b"event",
    b"id: 1",
    b"retry: 5",
    b": ",
    b":",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"a",
    "é😄".as_bytes(),
    b"\xff",
    b"some text that is longer than the rest",
];

/// An event's name and data.
type Told = (String, String);

/// The event reader: in every split it reads what the specification says, within its bound.
///
/// The bytes: a seed of the split (4), whether the body is made of tokens, the limit, the body.
pub fn events(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let (seed, tokens, limit) = (source.number(), source.flag(), 4 + source.below(256));
    let rest = source.rest();
    let made: Vec<u8> =
        rest.iter().flat_map(|byte| TOKENS[usize::from(*byte) % TOKENS.len()]).copied().collect();
    let body = if tokens { &made } else { rest };
    let expected = reference(body, limit);
    for pieces in [vec![body], body.chunks(1).collect(), split(body, seed)] {
        assert_eq!(read(&pieces, limit), expected, "{:?}", String::from_utf8_lossy(body));
    }
}

fn read(pieces: &[&[u8]], limit: usize) -> (Vec<Told>, Option<String>) {
    let mut events = Events::new(limit);
    let mut told = Vec::new();
    let largest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0);
    for piece in pieces {
        events.push(piece);
        loop {
            match events.next() {
                Ok(Some(event)) => {
                    assert!(event.data.len() <= limit && event.name.len() <= limit, "beyond {limit} bytes");
                    told.push((event.name.to_owned(), event.data.to_owned()));
                }
                Ok(None) => break,
                Err(failure) => return (told, Some(failure.message.into_owned())),
            }
        }
        // A line, the data and the name, each at most twice as large as it had to be.
        assert!(events.held() <= 2 * (3 * limit + largest) + 64, "{} bytes are held", events.held());
    }
    (told, None)
}

/// Section 9.2.6 of the specification, the slow and obvious way, with the reader's own two failures.
fn reference(body: &[u8], limit: usize) -> (Vec<Told>, Option<String>) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let too_large = Some(format!("an event is larger than {limit} bytes"));
    let (mut told, mut name, mut data) = (Vec::new(), Vec::new(), Vec::<Vec<u8>>::new());
    let mut rest = body;
    while let Some(end) = rest.iter().position(|byte| b"\r\n".contains(byte)) {
        let line = &rest[..end];
        let after = if rest[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        rest = &rest[after..];
        if line.len() > limit {
            return (told, too_large);
        }
        if line.is_empty() {
            if !data.is_empty() {
                match (String::from_utf8(name.clone()), String::from_utf8(data.join(&b'\n'))) {
                    (Ok(name), Ok(data)) => told.push((name, data)),
                    _ => return (told, Some("an event is not valid UTF-8".to_owned())),
                }
            }
            name.clear();
            data.clear();
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        if field == b"event" {
            name = value;
        } else if field == b"data" {
            data.push(value);
            if data.join(&b'\n').len() > limit {
                return (told, too_large);
            }
        }
    }
    (told, too_large.filter(|_| rest.len() > limit))
}
