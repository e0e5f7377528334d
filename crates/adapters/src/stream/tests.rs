//! Broken bodies, in every split.
#![cfg(all(feature = "anthropic", feature = "openai"))]

use proptest::prelude::*;
use proptest::sample::Index;

use crate::testing::{read, sse};
use crate::vendor::Codec;
use crate::{Anthropic, OpenAi};

const OPEN_AI: [&str; 5] = [
    r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"index":0,"id":"a"}]}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"ö 😄 \u00e9","reasoning":"hm"},"finish_reason":null}]}"#,
    r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}"#,
    "[DONE]",
];

const ANTHROPIC: [&str; 7] = [
    r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":17,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"ö 😄"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#,
    r#"{"type":"message_stop"}"#,
];

/// Reads a broken body whole and in pieces: never a panic, and never a difference.
fn survive(
    codec: &impl Codec,
    mut body: Vec<u8>,
    breaks: &[(Index, u8)],
    cuts: &[Index],
) -> Result<(), TestCaseError> {
    for (place, byte) in breaks {
        let place = place.index(body.len());
        body[place] = *byte;
    }
    let mut places: Vec<usize> = cuts.iter().map(|place| place.index(body.len())).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    let (whole, ending) = read(codec, [&*body]);
    let (split, split_ending) = read(codec, places.windows(2).map(|pair| &body[pair[0]..pair[1]]));
    prop_assert_eq!(whole, split);
    prop_assert_eq!(
        ending.map_err(|failure| failure.message),
        split_ending.map_err(|failure| failure.message)
    );
    let _an_answer_or_a_failure = codec.decode("acme", &body);
    let _kind = codec.failure(500, &body);
    Ok(())
}

proptest! {
    #[test]
    fn broken_streams_are_survived(
        breaks in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        survive(&OpenAi::builder("m").vendor, sse(OPEN_AI).into_bytes(), &breaks, &cuts)?;
        survive(&Anthropic::builder("m").vendor, sse(ANTHROPIC).into_bytes(), &breaks, &cuts)?;
    }
}
