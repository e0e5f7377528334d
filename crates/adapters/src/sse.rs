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
pub struct Events {
    /// Bytes that came in, the first `start` of which are used up.
    buffer: Vec<u8>,
    start: usize,
    /// Up to here the current line is known to have no end.
    scanned: usize,
    /// The last line ended in a carriage return, so that a line feed which follows belongs to it.
    after_cr: bool,
    at_beginning: bool,
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
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            after_cr: false,
            at_beginning: true,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            taken: false,
            limit,
        }
    }

    /// Takes in more bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Event<'_>>, Failure> {
        if self.taken {
            self.reset();
        }
        while let Some((from, to)) = self.line()? {
            if from < to {
                self.field(from, to)?;
            } else if self.has_data {
                self.taken = true;
                return Ok(Some(Event { name: utf8(&self.name)?, data: utf8(&self.data)? }));
            } else {
                self.name.clear();
            }
        }
        Ok(None)
    }

    fn reset(&mut self) {
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        self.taken = false;
    }

    /// Where in the buffer the next complete line is, without its end.
    fn line(&mut self) -> Result<Option<(usize, usize)>, Failure> {
        if !self.skip_marks() {
            return Ok(None);
        }
        let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = unseen.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.scanned = self.buffer.len();
            return self.within(self.scanned - self.start).map(|()| None);
        };
        let (from, to) = (self.start, self.scanned + offset);
        self.after_cr = self.buffer.get(to) == Some(&b'\r');
        self.start = to + 1;
        self.scanned = self.start;
        self.within(to - from).map(|()| Some((from, to)))
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
                self.start = BOM.len();
                self.scanned = self.start;
            }
        }
        if self.after_cr {
            match self.buffer.get(self.start) {
                None => return false,
                Some(b'\n') => {
                    self.start += 1;
                    self.scanned = self.start;
                }
                Some(_) => {}
            }
            self.after_cr = false;
        }
        true
    }

    /// Takes in a line that is not empty. Comments (lines that begin with a colon) and other fields say nothing.
    fn field(&mut self, from: usize, to: usize) -> Result<(), Failure> {
        let line = self.buffer.get(from..to).unwrap_or_default();
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, rest) = line.split_at(colon);
        let value = rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b":")).unwrap_or(rest);
        match field {
            b"data" => {
                if self.data.len() + value.len() > self.limit {
                    return Err(too_large(self.limit));
                }
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn within(&self, length: usize) -> Result<(), Failure> {
        if length > self.limit { Err(too_large(self.limit)) } else { Ok(()) }
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
