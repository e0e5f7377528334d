//! The kinds of deviations that a behaviour is made of.

use std::time::Duration;

/// What comes instead of a response, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Respond,
    Stall,
    Reset,
    Close,
}

/// What goes wrong after some text has been sent; see [`Behaviour::fault_after`](crate::Behaviour::fault_after).
///
/// An answer that is not streamed has no deltas: what stalls or breaks a stream there does so after half the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing more comes, the connection stays open.
    Stall,
    /// The connection is reset (RST).
    Reset,
    /// The connection is closed (FIN) without the terminating chunk: cut at the transport.
    Close,
    /// The body ends well-formed for HTTP, but without the vendor's terminal event.
    Truncate,
    /// One event whose data is no JSON; then the stream goes on to a normal end, so that a client which skips
    /// such events is found out.
    Malformed,
    /// One text delta with bytes that are no UTF-8; then the stream goes on to a normal end.
    InvalidUtf8,
    /// The vendor's error event with the words for this status; then the body ends.
    Error(u16),
    /// One event that never ends: bytes for ever without a line feed.
    EndlessEvent,
    /// Deltas for ever.
    Endless,
}

/// The vendor's own words for an error, where the behaviour chooses them; the rest follows from the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorWords {
    pub(crate) kind: Option<String>,
    pub(crate) code: Option<String>,
    /// The field of the request that is wrong.
    pub(crate) param: Option<String>,
    pub(crate) message: Option<String>,
}

/// How bytes of the body are spread over writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Whole,
    SplitUtf8,
    Drip { bytes: usize, delay: Duration },
}
