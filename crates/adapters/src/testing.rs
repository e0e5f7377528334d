//! What the decoders' tests share: bytes through the event reader, without a socket.
#![cfg(any(feature = "anthropic", feature = "openai"))]

use llm_protocol::{ErrorKind, Response, ResponseBuilder, StreamEvent};

use crate::failure::Failure;
use crate::stream::{Events, Step};
use crate::vendor::Codec;

/// How a stream ended: after its terminal marker, or in a failure.
pub(crate) type Read = (Vec<StreamEvent>, Result<(), Failure>);

/// Every event of a body that comes in these pieces and then ends cleanly.
pub(crate) fn read<'a>(codec: &impl Codec, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut events = Events::new(codec.decoder("acme"), 1 << 20, false);
    let mut pieces = pieces.into_iter();
    let mut seen = Vec::new();
    loop {
        match events.step() {
            Step::Event(event) => seen.push(event),
            Step::MoreBytes => match pieces.next() {
                Some(piece) => events.push(piece),
                None => events.end(),
            },
            Step::Failed(failure) => return (seen, Err(failure)),
            Step::Done => return (seen, Ok(())),
        }
    }
}

/// The kind of the failure in which a body ends.
pub(crate) fn failure(codec: &impl Codec, body: &str) -> Option<ErrorKind> {
    read(codec, [body.as_bytes()]).1.err().map(|failure| failure.kind)
}

pub(crate) fn collect(events: &[StreamEvent]) -> Response {
    let mut builder = ResponseBuilder::default();
    for event in events {
        builder.absorb(event);
    }
    builder.into_response()
}

/// A body of events with these data.
pub(crate) fn sse<'a>(data: impl IntoIterator<Item = &'a str>) -> String {
    data.into_iter().fold(String::new(), |body, data| body + "data: " + data + "\n\n")
}
