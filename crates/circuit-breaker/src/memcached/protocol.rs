//! What is said to a Memcached and what it answers: the meta commands that a rotation takes.

use std::io::Write;
use std::time::Duration;

use crate::store::{Failure, StoreCause};

/// What a server is told to do.
pub(super) enum Command {
    /// Adds one to the number under the key, or puts zero there. The answer is the number. It is kept for so long from
    /// now on, at most thirty days: more would be taken for a date. Where it takes one digit more, Memcached 1.6 moves
    /// it and leaves the time as it was: the next one sets it again.
    Count { key: Box<str>, lasts: Duration },
    /// Forgets the key.
    Delete { key: Box<str> },
}

impl Command {
    /// Writes it behind what is in `out`. The server repeats `number` in its answer.
    pub(super) fn write(&self, number: u64, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self {
            Self::Count { key, lasts } => {
                let lasts = lasts.as_secs();
                write!(out, "ma {key} N{lasts} J0 T{lasts} v O{number}\r\n")
            }
            Self::Delete { key } => write!(out, "md {key} O{number}\r\n"),
        };
    }
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) outcome: Result<Reply, Failure>,
    /// The number of the command that it answers. Errors do not say.
    pub(super) number: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Number(u64),
    /// It is so now, or was before.
    Done,
}

/// This is not what Memcached says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage;

/// The longest line that is read. Those of Memcached, its errors too, are much shorter.
const LONGEST_LINE: usize = 1024;
/// The longest value that is read. A number has twenty digits at most.
const LONGEST_VALUE: usize = 32;

/// The answer that `bytes` begin with, and how long it is. `None` if there is more to come.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Garbage> {
    let Some(line) = until_crlf(bytes, LONGEST_LINE)? else { return Ok(None) };
    let mut words = line.split(|byte| *byte == b' ');
    let mut length = line.len() + 2;
    let outcome = match words.next().unwrap_or_default() {
        b"VA" => {
            let size = words.next().and_then(digits).and_then(|size| usize::try_from(size).ok());
            let size = size.filter(|size| *size <= LONGEST_VALUE).ok_or(Garbage)?;
            let rest = bytes.get(length..).unwrap_or_default();
            let Some(value) = until_crlf(rest, size)? else { return Ok(None) };
            if value.len() != size {
                return Err(Garbage);
            }
            length += size + 2;
            // Where a number became shorter, as it does past the largest, spaces may be left of the longer one.
            Ok(Reply::Number(digits(value.trim_ascii_end()).ok_or(Garbage)?))
        }
        b"HD" | b"NF" => Ok(Reply::Done),
        b"NS" | b"EX" => Err(Failure::Refused),
        b"CLIENT_ERROR" => return Ok(Some((error(Failure::Refused), length))),
        b"SERVER_ERROR" => return Ok(Some((error(lost("SERVER_ERROR")), length))),
        // It does not know the command: it is too old.
        b"ERROR" => return Ok(Some((error(lost("ERROR")), length))),
        _ => return Err(Garbage),
    };
    let number = words.find_map(|flag| flag.strip_prefix(b"O")).and_then(digits).ok_or(Garbage)?;
    Ok(Some((Answer { outcome, number: Some(number) }, length)))
}

const fn error(failure: Failure) -> Answer {
    Answer { outcome: Err(failure), number: None }
}

fn lost(code: &str) -> Failure {
    Failure::Lost(StoreCause::Refused(code.into()))
}

/// What is before the first line end, if that comes within so many bytes.
fn until_crlf(bytes: &[u8], longest: usize) -> Result<Option<&[u8]>, Garbage> {
    match bytes.iter().take(longest + 2).position(|byte| *byte == b'\n') {
        Some(end) => bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).map(Some).ok_or(Garbage),
        None if bytes.len() > longest + 1 => Err(Garbage),
        None => Ok(None),
    }
}

fn digits(bytes: &[u8]) -> Option<u64> {
    // Rust also takes a plus sign.
    let text =
        std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
