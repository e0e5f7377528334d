//! Streams through the event reader and a decoder.

use std::borrow::Cow;

use llm_protocol::{ErrorKind, Response, ResponseBuilder, StreamEvent};

use super::meant::Meant;
use super::mutation;
use super::source::{Source, split};
use crate::failure::Failure;
use crate::stream::{Events, Step};
use crate::vendor::Codec;

const LIMIT: usize = 1 << 20;

/// What a body was read as, and how it ended.
#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<StreamEvent>,
    failure: Option<(ErrorKind, Cow<'static, str>, Option<String>)>,
}

/// A stream decoder: whatever the body, it keeps the rules of streams and reads the same in every split; what is meant is
/// read as what it is; what is cut or has an error in it is a failure.
///
/// The bytes: what to do, a seed of the split (4), and the body, or what one is made of.
pub(super) fn stream<C: Codec>(
    codec: &C,
    meant: impl Fn(&mut Source<'_>) -> Meant,
    marker: &[u8],
    bytes: &[u8],
) {
    let mut source = Source::new(bytes);
    let (what, seed) = (source.below(5), source.number());
    if what == 0 {
        let limit = if seed & 4 == 0 { LIMIT } else { 256 };
        survive(codec, source.rest(), marker, limit, seed);
        return;
    }
    let mut meant = meant(&mut source);
    meant.add_noise(&mut source);
    match what {
        1 => faithful(codec, &meant, marker, seed, &mut source),
        2 => cut(codec, &meant, marker, seed, &mut source),
        3 => broken_by_an_error(codec, meant, marker, seed, &mut source),
        _ => {
            mutation::frames(&mut meant.frames, &mut source);
            let mut body = meant.written(&mut source).concat();
            if source.flag() {
                mutation::bytes(&mut body, &mut source);
            }
            survive(codec, &body, marker, LIMIT, seed);
        }
    }
}

fn faithful<C: Codec>(codec: &C, meant: &Meant, marker: &[u8], seed: u32, source: &mut Source<'_>) {
    let body = meant.written(source).concat();
    let read = survive(codec, &body, marker, LIMIT, seed);
    assert_eq!(read.failure, None, "{}", String::from_utf8_lossy(&body));
    same(&collect(&read.events), &meant.response, &body);
}

/// A body that breaks off.
fn cut<C: Codec>(codec: &C, meant: &Meant, marker: &[u8], seed: u32, source: &mut Source<'_>) {
    let written = meant.written(source);
    let (body, completing) = (written.concat(), meant.frames.iter().position(|frame| frame.completes));
    let until = written[..completing.expect("one completes it")].concat().len();
    let at = source.below(body.len() + 1);
    let whole = survive(codec, &body, marker, LIMIT, seed);
    let read = survive(codec, &body[..at], marker, LIMIT, seed);
    assert!(whole.events.starts_with(&read.events), "{}", String::from_utf8_lossy(&body[..at]));
    let kind = read.failure.as_ref().map(|(kind, ..)| *kind);
    let expected = (!is_finished(&read.events)).then_some(ErrorKind::Truncated);
    assert_eq!(kind, expected, "{}", String::from_utf8_lossy(&body[..at]));
    assert!(at > until || expected.is_some(), "it is not complete: {}", String::from_utf8_lossy(&body[..at]));
}

/// A body with an error in it.
fn broken_by_an_error<C: Codec>(
    codec: &C,
    mut meant: Meant,
    marker: &[u8],
    seed: u32,
    source: &mut Source<'_>,
) {
    let whole = survive(codec, &meant.written(source).concat(), marker, LIMIT, seed);
    let at = source.below(meant.open_frames());
    meant.frames.insert(at, meant.error.0.clone());
    let body = meant.written(source).concat();
    let read = survive(codec, &body, marker, LIMIT, seed);
    let kind = read.failure.map(|(kind, ..)| kind);
    assert_eq!(kind, Some(meant.error.1), "{}", String::from_utf8_lossy(&body));
    assert!(whole.events.starts_with(&read.events), "{}", String::from_utf8_lossy(&body));
}

/// Compares an answer with what was meant, and says where they differ: answers do not show themselves.
pub(super) fn same(read: &Response, meant: &Response, body: &[u8]) {
    let [read, meant] = [read, meant].map(|answer| {
        let mut value = serde_json::to_value(answer).unwrap();
        // The same JSON can be spelt in more than one way.
        for placed in value.get_mut("opaque").and_then(serde_json::Value::as_array_mut).into_iter().flatten()
        {
            let json = placed["part"]["json"].as_str().unwrap();
            placed["part"]["json"] = serde_json::from_str(json).unwrap();
        }
        value
    });
    assert_eq!(read, meant, "{}", String::from_utf8_lossy(body));
}

/// Reads a body in several splits, with and without what was sent, and holds all of it to the rules.
fn survive<C: Codec>(codec: &C, body: &[u8], marker: &[u8], limit: usize, seed: u32) -> Read {
    let read = read_in(codec, &[body], limit, false);
    let shown = String::from_utf8_lossy(body);
    assert_eq!(read_in(codec, &body.chunks(1).collect::<Vec<_>>(), limit, false), read, "{shown}");
    let mut raw = read_in(codec, &split(body, seed), limit, true);
    let sent = raw.events.iter().map(|event| if let StreamEvent::Raw(data) = event { data.len() } else { 0 });
    assert!(sent.sum::<usize>() <= body.len(), "{shown}");
    raw.events.retain(|event| !matches!(event, StreamEvent::Raw(_)));
    assert_eq!(raw, read, "{shown}");
    rules(&read, body, marker);
    read
}

fn read_in<C: Codec>(codec: &C, pieces: &[&[u8]], limit: usize, keep_raw: bool) -> Read {
    let mut events = Events::new(codec.decoder("acme"), limit, keep_raw);
    let mut pieces = pieces.iter();
    let mut seen = Vec::new();
    let failure = loop {
        match events.step() {
            Step::Event(event) => seen.push(event),
            Step::MoreBytes => match pieces.next() {
                Some(piece) => events.push(piece),
                None => events.end(),
            },
            Step::Failed(Failure { kind, message, code, .. }) => break Some((kind, message, code)),
            Step::Done => break None,
        }
    };
    Read { events: seen, failure }
}

fn is_finished(events: &[StreamEvent]) -> bool {
    events.iter().any(|event| matches!(event, StreamEvent::Finish(_)))
}

/// What holds of every stream.
fn rules(read: &Read, body: &[u8], marker: &[u8]) {
    let Read { events, failure } = read;
    let shown = String::from_utf8_lossy(body);
    let finish = events.iter().position(|event| matches!(event, StreamEvent::Finish(_)));
    if let Some(finish) = finish {
        let after = &events[finish + 1..];
        assert!(after.iter().all(|event| matches!(event, StreamEvent::Usage(_))), "{after:?}: {shown}");
        // JSON may write the marker in other letters.
        let has_marker = body.windows(marker.len()).any(|window| window == marker);
        assert!(has_marker || body.contains(&b'\\'), "it has no end: {shown}");
    }
    match failure {
        None => assert!(finish.is_some(), "it is complete without an end: {shown}"),
        Some((ErrorKind::Truncated | ErrorKind::Protocol, message, _)) => {
            assert_eq!(finish, None, "{message}: {shown}");
        }
        Some((_, message, _)) => assert!(message.len() <= body.len() + 100, "{shown}"),
    }
    calls(events, &shown);
    let bytes: usize = events.iter().map(StreamEvent::len).sum();
    assert!(
        bytes <= 3 * body.len() && events.len() <= body.len(),
        "{bytes} bytes of {}: {shown}",
        body.len()
    );
}

/// Calls are counted from 0, each begins with its name, and has one id.
fn calls(events: &[StreamEvent], shown: &str) {
    let mut ids: Vec<bool> = Vec::new();
    for event in events {
        let StreamEvent::ToolCall(delta) = event else { continue };
        let index = delta.index as usize;
        let begins = index == ids.len();
        assert!(begins || index < ids.len(), "{delta:?} leaves one out: {shown}");
        assert_eq!(delta.name.as_ref().is_some_and(|name| !name.is_empty()), begins, "{delta:?}: {shown}");
        if begins {
            ids.push(false);
        }
        if delta.id.is_some() {
            assert!(!ids[index], "{delta:?} has two ids: {shown}");
            ids[index] = true;
        }
    }
}

fn collect(events: &[StreamEvent]) -> Response {
    let mut builder = ResponseBuilder::default();
    for event in events {
        builder.absorb(event);
    }
    builder.into_response()
}
