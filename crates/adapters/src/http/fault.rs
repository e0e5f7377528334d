//! What a broken connection means, by where in the call it broke.

use std::error::Error as StdError;

use llm_protocol::{Clock, Error, ErrorKind, Scrubber, Stage};

/// The call failed before the head of a response was there.
pub(crate) fn before_head(fault: reqwest::Error, progress: Stage, scrubber: &Scrubber) -> Error {
    let connecting = fault.is_connect() || progress < Stage::Sent;
    let (kind, what) = match (connecting, fault.is_timeout()) {
        (true, true) => (ErrorKind::Timeout(Clock::Connect), "could not connect in time"),
        (true, false) => (ErrorKind::Connection, "could not connect"),
        // Only a client of the user's own making, or the TCP stack, has such a clock.
        (false, true) => (ErrorKind::Timeout(Clock::Attempt), "no response in time"),
        (false, false) => (ErrorKind::Connection, "the connection broke before the response"),
    };
    describe(kind, what, fault, scrubber)
}

/// The call failed while the body of the response came in: a reset, an early end, a broken chunk.
pub(super) fn in_body(fault: reqwest::Error, scrubber: &Scrubber) -> Error {
    if fault.is_timeout() {
        return describe(ErrorKind::Timeout(Clock::Idle), "the response went quiet", fault, scrubber);
    }
    describe(ErrorKind::Truncated, "the connection broke during the response", fault, scrubber)
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
