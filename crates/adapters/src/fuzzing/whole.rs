//! Answers that come whole, and errors, through both decoders.

use llm_protocol::{ErrorKind, Response, StreamEvent};
use reqwest::header::HeaderMap;

use super::meant::Meant;
use super::source::Source;
use super::streams::same;
use super::{anthropic, mutation, openai};
use crate::vendor::Codec;
use crate::wire;
use crate::{Anthropic, OpenAi};

/// The decoders of whole answers: what is meant is read as what it is, what is cut is cut, whatever else comes is an
/// answer or a failure of no more than its own size.
///
/// The bytes: what to do, and the body, or what one is made of.
pub fn whole(bytes: &[u8]) {
    let mut source = Source::new(bytes);
    let what = source.below(4);
    if what == 0 {
        let body = source.rest();
        survive(&OpenAi::builder("m").vendor, body);
        survive(&Anthropic::builder("m").vendor, body);
        mended(&String::from_utf8_lossy(body));
    } else if source.flag() {
        generated(&OpenAi::builder("m").vendor, &openai::meant(&mut source), what, &mut source);
    } else {
        generated(&Anthropic::builder("m").vendor, &anthropic::meant(&mut source), what, &mut source);
    }
}

fn generated<C: Codec>(codec: &C, meant: &Meant, what: usize, source: &mut Source<'_>) {
    let mut body = meant.written_whole(source);
    match what {
        1 => same(&decoded(codec, &body).expect("it is an answer"), &meant.response, &body),
        2 => {
            let json = body.trim_ascii_end().len();
            body.truncate(source.below(json));
            let kind = decoded(codec, &body).expect_err("it is cut");
            let blank = body.trim_ascii().is_empty() || body == b"\xef\xbb\xbf";
            let expected = if blank { ErrorKind::Protocol } else { ErrorKind::Truncated };
            assert_eq!(kind, expected, "{}", String::from_utf8_lossy(&body));
        }
        _ => {
            if source.flag() {
                body = mutation::odd(&meant.whole, source).into_bytes();
            }
            if source.flag() {
                mutation::bytes(&mut body, source);
            }
            survive(codec, &body);
        }
    }
}

fn decoded<C: Codec>(codec: &C, body: &[u8]) -> Result<Response, ErrorKind> {
    codec.decode("acme", body).map_err(|failure| failure.kind)
}

fn survive<C: Codec>(codec: &C, body: &[u8]) {
    let shown = String::from_utf8_lossy(body);
    match codec.decode("acme", body) {
        Ok(response) => {
            assert!(response.tool_calls.iter().all(|call| !call.name.is_empty()), "{shown}");
            assert!(response.opaque.is_sorted_by_key(|part| (part.after_text, part.after_calls)), "{shown}");
            let bytes: usize = response.into_events().iter().map(StreamEvent::len).sum();
            assert!(bytes <= 3 * body.len(), "{bytes} bytes of {}: {shown}", body.len());
        }
        Err(failure) => assert!(failure.message.len() <= 3 * body.len() + 100, "{shown}"),
    }
    for status in [200, 400, 413, 429, 500, 599] {
        let failure = codec.failure(status, &HeaderMap::new(), body);
        assert!(failure.message.len() <= 3 * body.len() + 100, "{shown}");
    }
}

/// Mending keeps what is whole, and leaves nothing to mend.
fn mended(text: &str) {
    let mended = wire::mended(text);
    assert_eq!(mended.len(), text.len());
    assert_eq!(wire::mended(&mended), mended);
    // JSON that can be read means the same.
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        assert_eq!(serde_json::from_str::<serde_json::Value>(&mended).unwrap(), value, "{text}");
    }
}
