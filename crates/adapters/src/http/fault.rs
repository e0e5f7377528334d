//! What a broken connection means, by where in the call it broke.

use std::error::Error as StdError;
use std::io;

use llm_protocol::{Clock, Error, ErrorKind, Scrubber, Stage};

/// The call failed before the head of a response was there.
pub(crate) fn before_head(fault: reqwest::Error, progress: Stage, scrubber: &Scrubber) -> Error {
    let connecting = fault.is_connect() || progress < Stage::Sent;
    let (kind, what) = match (connecting, fault.is_timeout()) {
        (true, true) => (ErrorKind::Timeout(Clock::Connect), "could not connect in time"),
        (true, false) => (ErrorKind::Connection, "could not connect"),
        // No clock of a call: the TCP stack or an HTTP/2 ping found the other end dead.
        (false, true) => (ErrorKind::Connection, "the connection timed out before the response"),
        (false, false) => (ErrorKind::Connection, "the connection broke before the response"),
    };
    describe(kind, what, fault, scrubber)
}

/// The call failed while the body of the response came in: a reset, an early end, a broken chunk, or bytes that are not
/// compressed as the header says.
pub(super) fn in_body(fault: reqwest::Error, scrubber: &Scrubber) -> Error {
    if is_decompression(&fault) {
        return describe(ErrorKind::Protocol, "the response cannot be decompressed", fault, scrubber);
    }
    let what = if fault.is_timeout() {
        "the connection timed out during the response"
    } else {
        "the connection broke during the response"
    };
    describe(ErrorKind::Truncated, what, fault, scrubber)
}

/// Whether the decompressor found fault with what came. Its faults are bare I/O errors, those of connections are
/// wrapped in the HTTP library's; reqwest calls both "decode". That it wants more is a cut, not nonsense.
fn is_decompression(fault: &reqwest::Error) -> bool {
    let cause = fault.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() != io::ErrorKind::UnexpectedEof)
}

/// The URL is taken out of the fault, and of its causes only the innermost is told: it is the operating system's or
/// the TLS library's, and the most useful one.
fn describe(kind: ErrorKind, what: &str, fault: reqwest::Error, scrubber: &Scrubber) -> Error {
    let fault = fault.without_url();
    let mut cause: &dyn StdError = &fault;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Error::new(kind, scrubber.scrub(&format!("{what}: {cause}"))).with_source(fault)
}
