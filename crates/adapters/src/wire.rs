//! Pieces of JSON that all vendors share, read with patience: an answer is not thrown away for a detail.

mod patient;

use std::borrow::Cow;

#[cfg(feature = "openai")]
pub(crate) use patient::element;
#[cfg(any(test, feature = "anthropic"))]
pub(crate) use patient::read;
pub(crate) use patient::{Patient, fill, read_into, skip};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// The most tool calls, or blocks, that one answer may have. Far above any real one: it bounds what a broken host can
/// make of a few bytes each.
pub(crate) const MAX_CALLS: usize = 4096;

/// The largest error that is looked into: as JSON values it takes many times its size.
const MAX_EXPLANATION: usize = 64 << 10;

/// A short text that is looked at and not kept: borrowed, where JSON allows it. Empty where there is none.
#[derive(Default)]
pub(crate) struct Word<'a> {
    pub(crate) text: Cow<'a, str>,
    /// It is neither a text nor null.
    pub(crate) odd: bool,
}

impl<'de: 'a, 'a> Patient<'de> for Word<'a> {
    fn text(&mut self, text: Cow<'de, str>) {
        self.text = text;
    }

    fn odd(&mut self) {
        self.odd = true;
    }
}

/// A text that is kept. What is no text is an empty one.
impl<'de> Patient<'de> for String {
    fn text(&mut self, text: Cow<'de, str>) {
        *self = text.into_owned();
    }
}

/// A number of tokens, or an index. What is no such number is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count(pub(crate) Option<u64>);

impl Patient<'_> for Count {
    fn count(&mut self, count: u64) {
        self.0 = Some(count);
    }
}

/// Takes over a field that tells an error, unless it only tells that there is none: some hosts send it always.
pub(crate) fn take_error<'a>(slot: &mut Option<&'a RawValue>, error: &'a RawValue) {
    let is =
        |nothing: &str| error.get().bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(nothing.bytes());
    if !["null", "false", "\"\"", "{}", "[]"].into_iter().any(is) {
        *slot = Some(error);
    }
}

/// The JSON of an error, or its words where it is none. One that is too large to look into says nothing.
pub(crate) fn explanation(text: &str) -> Value {
    if text.len() > MAX_EXPLANATION {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The text of an answer that came whole. Close-delimited bodies may end in the middle of a letter.
pub(crate) fn text(body: &[u8]) -> Result<Cow<'_, str>, Failure> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(mended(text.strip_prefix('\u{feff}').unwrap_or(text))),
        Err(error) if error.error_len().is_none() => {
            Err(Failure::truncated("the answer ends in the middle of a letter"))
        }
        Err(_) => Err(Failure::protocol("the answer is not valid UTF-8")),
    }
}

/// Why an answer that came whole cannot be read: it was cut, or it is nonsense.
pub(crate) fn unreadable(text: &str, error: &serde_json::Error) -> Failure {
    if (error.is_eof() || ends_in_number(text, error)) && !text.trim().is_empty() {
        return Failure::truncated("the answer breaks off");
    }
    Failure::not_json("the answer", error)
}

/// Whether all that is wrong is that a number is not at its end. The parser does not call that an early end where it
/// skips the number.
fn ends_in_number(text: &str, error: &serde_json::Error) -> bool {
    let last = text.rsplit('\n').next().unwrap_or_default();
    let at_end = error.line() == 1 + text.matches('\n').count() && error.column() == last.len();
    error.is_syntax() && at_end && last.ends_with(['-', '+', '.', 'e', 'E'])
}

/// JSON without halves of surrogate pairs, which parsers refuse: hosts make them by cutting a letter in two. They
/// become the replacement character.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += offset;
        at += match (escaped(bytes, at), escaped(bytes, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                let copy = mended.get_or_insert_with(|| bytes.to_vec());
                if let Some(half) = copy.get_mut(at..at + 6) {
                    half.copy_from_slice(b"\\ufffd");
                }
                6
            }
            _ => 2,
        };
    }
    mended.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The code of the escape that begins here, if one does.
fn escaped(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
