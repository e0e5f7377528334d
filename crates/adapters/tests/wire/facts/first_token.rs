//! What the first token of an answer is, and what only comes before it.

use llm_protocol::StreamEvent;

use super::{Facts, Wire, shown, sse, stream};

fn chunk(delta: &str) -> String {
    sse([format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)])
}

fn block(index: u32, block: &str) -> String {
    sse([format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)])
}

fn delta(index: u32, delta: &str) -> String {
    sse([format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)])
}

impl Facts {
    /// Of these events, followed by the first token, this is what comes before it.
    async fn precede(&mut self, wire: Wire, says: &str, events: &str, before: &str) {
        let (token, end) = match wire {
            Wire::OpenAi | Wire::OpenRouter => {
                (chunk(r#"{"content":"hi"}"#), sse([r#"{"choices":[{"finish_reason":"stop"}]}"#]))
            }
            Wire::Anthropic => {
                (delta(9, r#"{"type":"text_delta","text":"hi"}"#), sse([r#"{"type":"message_stop"}"#]))
            }
        };
        let (came, error) = self.streamed(wire, &stream(wire, format!("{events}{token}{end}"))).await;
        self.holds(says, error.map(|error| error.to_string()), None);
        let first = came.iter().position(StreamEvent::is_token).unwrap_or(came.len());
        self.holds(says, &*shown::content(&came[..first]), before);
        self.holds(says, came.get(first).cloned(), Some(StreamEvent::Text("hi".into())));
    }
}

#[tokio::test]
async fn what_comes_before_the_first_token_of_open_ais_is_none() {
    let mut facts = Facts::new().await;
    for (says, events, before) in [
        ("nothing", String::new(), ""),
        ("comments", ": OPENROUTER PROCESSING\n\n:\n\n: ping - 2026-01-06\n\n".into(), ""),
        ("a ping", "event: ping\ndata: {\"type\":\"ping\"}\n\nevent: ping\ndata:\n\n".into(), ""),
        ("the role alone", chunk(r#"{"role":"assistant"}"#), ""),
        ("the role with an empty text", chunk(r#"{"role":"assistant","content":"","refusal":null}"#), ""),
        ("the role with no text", chunk(r#"{"role":"assistant","content":null}"#), ""),
        ("an empty delta", chunk("{}"), ""),
        ("no delta", chunk("null"), ""),
        ("Azure's first chunk", sse([r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#]), ""),
        ("tokens so far", sse([r#"{"choices":[],"usage":{"prompt_tokens":3}}"#]), "in 3"),
        ("reasoning", chunk(r#"{"reasoning":"hm"}"#), "thinks hm"),
        ("reasoning", chunk(r#"{"reasoning_content":"hm","content":null}"#), "thinks hm"),
        (
            "a signature",
            chunk(r#"{"content":"","reasoning_details":[{"type":"reasoning.text","signature":"s"}]}"#),
            "works",
        ),
        ("no thoughts", chunk(r#"{"role":"assistant","content":"","reasoning_details":[]}"#), ""),
        ("no thoughts at all", chunk(r#"{"reasoning_details":null,"reasoning":null}"#), ""),
        ("an empty list of calls", chunk(r#"{"tool_calls":[]}"#), ""),
    ] {
        facts.precede(Wire::OpenAi, says, &events, before).await;
    }
}

#[tokio::test]
async fn what_comes_before_the_first_token_of_anthropics_is_none() {
    let mut facts = Facts::new().await;
    let signed = [
        block(0, r#"{"type":"thinking","thinking":"","signature":""}"#),
        delta(0, r#"{"type":"thinking_delta","thinking":"hm"}"#),
        delta(0, r#"{"type":"signature_delta","signature":"s"}"#),
        sse([r#"{"type":"content_block_stop","index":0}"#]),
    ]
    .concat();
    for (says, events, before) in [
        ("nothing", String::new(), ""),
        ("comments", ": wait\n\n:\n\n".into(), ""),
        ("a ping", "event: ping\ndata: {\"type\":\"ping\"}\n\n".into(), ""),
        ("a ping without a name", sse([r#"{"type":"ping"}"#]), ""),
        (
            "the beginning",
            sse([r#"{"type":"message_start","message":{"usage":{"input_tokens":3}}}"#]),
            "in 3",
        ),
        ("the start of a text", block(0, r#"{"type":"text","text":""}"#), ""),
        ("an empty text", delta(0, r#"{"type":"text_delta","text":""}"#), ""),
        ("the start of a thought", block(0, r#"{"type":"thinking","thinking":""}"#), "works"),
        ("reasoning", delta(0, r#"{"type":"thinking_delta","thinking":"hm"}"#), "thinks hm"),
        ("a signature", delta(0, r#"{"type":"signature_delta","signature":"s"}"#), ""),
        ("a thought, signed", signed, "works; thinks hm; keeps thinking"),
        ("the start of a hidden thought", block(0, r#"{"type":"redacted_thinking","data":"x"}"#), "works"),
        ("the start of a tool of their own", block(0, r#"{"type":"server_tool_use","name":"s"}"#), "works"),
        ("a citation", delta(0, r#"{"type":"citations_delta","citation":{}}"#), ""),
    ] {
        facts.precede(Wire::Anthropic, says, &events, before).await;
    }
}

#[tokio::test]
async fn a_piece_of_a_tool_call_is_a_first_token() {
    let mut facts = Facts::new().await;
    let start = r#"{"type":"tool_use","id":"a","name":"f","input":{}}"#;
    for (says, wire, events, first) in [
        (
            "a call in pieces",
            Wire::OpenAi,
            [
                chunk(r#"{"role":"assistant","content":null}"#),
                chunk(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}"#),
            ]
            .concat(),
            "call 0 a f",
        ),
        (
            "a call in the old way",
            Wire::OpenAi,
            chunk(r#"{"content":null,"function_call":{"name":"f","arguments":"{}"}}"#),
            "call 0 - f {}",
        ),
        (
            "a call in a block",
            Wire::Anthropic,
            [block(0, start), delta(0, r#"{"type":"input_json_delta","partial_json":"{"}"#)].concat(),
            "call 0 a f",
        ),
    ] {
        let (came, _) = facts.streamed(wire, &stream(wire, events)).await;
        let token = came.iter().find(|event| event.is_token()).cloned();
        facts.holds(says, &*shown::events(token.as_slice()), first);
    }
}
