//! Server-sent events, read from bytes as they come: in linear time, within a bound, without an allocation per
//! event. Follows the WHATWG specification ("Server-sent events", section 9.2.6) as far as answers need it: `id` and
//! `retry` are of no use here, and an event that the end of the body cuts off is dropped.

use crate::failure::Failure;

/// The mark with which some servers begin a text in UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// An event: its name, empty where it has none, and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub name: &'a str,
    pub data: &'a str,
}

/// Splits bytes into events. Push bytes in, then take events out until there are none.
pub(crate) struct Events {
    lines: Lines,
    name: Vec<u8>,
    /// The data lines of the current event, joined.
    data: Vec<u8>,
    has_data: bool,
    /// The current event was handed out.
    taken: bool,
    limit: usize,
}

impl Events {
    /// Events of at most this many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            lines: Lines::new(limit),
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            taken: false,
            limit,
        }
    }

    /// Takes in more bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    /// How many bytes it keeps room for.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> usize {
        self.lines.buffer.capacity() + self.name.capacity() + self.data.capacity()
    }

    /// The next event that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Event<'_>>, Failure> {
        if self.taken {
            self.name.clear();
            self.data.clear();
            self.has_data = false;
            self.taken = false;
        }
        while let Some(line) = self.lines.next()? {
            // Comments, which begin with a colon, and other fields say nothing.
            match split(line) {
                Some((b"data", value)) => {
                    if self.has_data {
                        self.data.push(b'\n');
                    }
                    if self.data.len() + value.len() > self.limit {
                        return Err(too_large(self.limit));
                    }
                    self.data.extend_from_slice(value);
                    self.has_data = true;
                }
                Some((b"event", value)) => {
                    self.name.clear();
                    self.name.extend_from_slice(value);
                }
                Some(_) => {}
                None if self.has_data => {
                    self.taken = true;
                    return Ok(Some(Event { name: utf8(&self.name)?, data: utf8(&self.data)? }));
                }
                None => self.name.clear(),
            }
        }
        Ok(None)
    }
}

/// The field's name and value; `None` for the empty line that ends an event.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (field, rest) = line.split_at(colon);
    let value = rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
    (!line.is_empty()).then_some((field, value))
}

/// Splits bytes into lines, which end in LF, CR or CRLF.
struct Lines {
    /// Bytes that came in, the first `start` of which are used up.
    buffer: Vec<u8>,
    start: usize,
    /// Up to here the current line is known to have no end.
    scanned: usize,
    /// The last line ended in CR: an LF that follows belongs to it.
    after_cr: bool,
    /// A byte order mark may come.
    at_beginning: bool,
    limit: usize,
}

impl Lines {
    fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, after_cr: false, at_beginning: true, limit }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete line, without its end.
    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        if !self.skip_marks() {
            return Ok(None);
        }
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', b'\r', unseen).map(|offset| self.scanned + offset);
        let from = self.start;
        if end.unwrap_or(self.buffer.len()) - from > self.limit {
            return Err(too_large(self.limit));
        }
        let Some(to) = end else {
            self.scanned = self.buffer.len();
            return Ok(None);
        };
        self.after_cr = self.buffer.get(to) == Some(&b'\r');
        self.skip_to(to + 1);
        Ok(self.buffer.get(from..to))
    }

    /// Skips a byte order mark at the very beginning, and the second half of a CRLF. False when it takes more bytes
    /// to tell.
    fn skip_marks(&mut self) -> bool {
        if self.at_beginning {
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return false;
            }
            self.at_beginning = false;
            if self.buffer.starts_with(BOM) {
                self.skip_to(BOM.len());
            }
        }
        if self.after_cr {
            let Some(next) = self.buffer.get(self.start) else { return false };
            if *next == b'\n' {
                self.skip_to(self.start + 1);
            }
            self.after_cr = false;
        }
        true
    }

    fn skip_to(&mut self, position: usize) {
        self.start = position;
        self.scanned = position;
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::protocol("an event is not valid UTF-8"))
}

fn too_large(limit: usize) -> Failure {
    Failure::protocol(format!("an event is larger than {limit} bytes"))
}

#[cfg(test)]
mod tests;
