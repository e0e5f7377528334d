//! How a prompt or an answer shows itself in Debug: by its length only.

use std::fmt;

/// Prints the length of a text in place of the text.
pub(crate) struct Redacted<'a>(pub(crate) &'a str);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// The same for a text that may be absent.
pub(crate) fn optional(text: Option<&String>) -> Option<Redacted<'_>> {
    text.map(|text| Redacted(text))
}
