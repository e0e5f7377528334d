//! Streams and whole answers as Anthropic sends them.

use llm_protocol::{ErrorKind, Usage};
use serde_json::{Value, json};

use super::*;
use crate::Anthropic;
use crate::testing::{self, failure, sse};
use crate::vendor::Codec;

fn anthropic() -> Anthropic {
    Anthropic { version: "2023-06-01".into() }
}

/// The answer of a body that is complete.
fn answer(body: &str) -> Response {
    let (events, ending) = testing::read(&anthropic(), [body.as_bytes()]);
    assert!(ending.is_ok(), "{ending:?}");
    testing::collect(&events)
}

const START: &str = r#"{"type":"message_start","message":{"model":"claude-x-1","content":[],"usage":{"input_tokens":17,"cache_creation_input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn text(text: &str) -> String {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
        .to_string()
}

fn end(reason: &str) -> String {
    json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 15}})
        .to_string()
}

#[test]
fn a_stream_from_beginning_to_end() {
    let body = sse([
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        &text("4200 + 42 ="),
        &text(""),
        &text(" 4242"),
        r#"{"type":"content_block_stop","index":0}"#,
        &end("end_turn"),
        STOP,
        "nonsense that nobody reads",
    ]);
    let (events, ending) = testing::read(&anthropic(), [body.as_bytes()]);
    assert!(ending.is_ok());
    let at_start = Usage {
        input_tokens: Some(17),
        output_tokens: Some(1),
        cache_read_tokens: Some(4),
        cache_write_tokens: Some(3),
        ..Usage::default()
    };
    let at_end = Usage { output_tokens: Some(15), ..Usage::default() };
    assert_eq!(
        events,
        [
            StreamEvent::Started(Started { model_id: Some("claude-x-1".into()), ..Started::default() }),
            StreamEvent::Usage(at_start),
            StreamEvent::Text("4200 + 42 =".into()),
            StreamEvent::Text(" 4242".into()),
            StreamEvent::Usage(at_end),
            StreamEvent::Finish(FinishReason::Stop),
        ]
    );
    assert_eq!(testing::collect(&events).usage.total(), Some(39));
}

#[test]
fn only_message_stop_completes_a_stream() {
    for (data, kind) in [
        (vec![START, &text("a"), &end("end_turn"), STOP], None),
        (vec![START, &text("a"), STOP], None),
        (vec![START, &text("a"), &end("end_turn")], Some(ErrorKind::Truncated)),
        (vec![START, &text("a")], Some(ErrorKind::Truncated)),
        (vec![], Some(ErrorKind::Truncated)),
    ] {
        assert_eq!(failure(&anthropic(), &sse(data.clone())), kind, "{data:?}");
    }
    assert_eq!(answer(&sse([START, STOP])).finish_reason, FinishReason::Unknown);
}

#[test]
fn errors_in_a_stream_are_errors() {
    for (event, kind) in [
        (
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
            ErrorKind::Overloaded,
        ),
        (
            "data: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\"}}",
            ErrorKind::RateLimited,
        ),
        ("event: error\ndata: {\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}", ErrorKind::Server),
        ("event: error\ndata: words", ErrorKind::Server),
        ("data: words", ErrorKind::Protocol),
    ] {
        let body = format!("{}{event}\n\n{}", sse([START, &text("a")]), sse([STOP]));
        assert_eq!(failure(&anthropic(), &body), Some(kind), "{event}");
    }
}

#[test]
fn what_is_unknown_is_skipped() {
    for event in [
        r#"{"type":"brand_new","delta":{"type":"x"}}"#,
        "{}",
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"web_search_tool_result","content":[{"text":{}}]}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"text":5}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
    ] {
        let response = answer(&sse([START, event, &text("a"), STOP]));
        assert_eq!((&*response.text, response.tool_calls.len()), ("a", 0), "{event}");
    }
}

#[test]
fn thoughts_are_told_apart_from_text() {
    let response = answer(&sse([
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"h","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"y"}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"es"}}"#,
        STOP,
    ]));
    assert_eq!((&*response.text, response.reasoning.as_deref()), ("yes", Some("hm")));
}

#[test]
fn tool_calls_are_not_lost() {
    let block = |index: u32, id: &str, input: Value| {
        json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": "f", "input": input}}).to_string()
    };
    let piece = |index: u32, text: &str| {
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": text}}).to_string()
    };
    let stop = |index: u32| json!({"type": "content_block_stop", "index": index}).to_string();
    let response = answer(&sse([
        START,
        &text("I will"),
        &block(1, "a", json!({})),
        &piece(1, ""),
        &piece(1, "{\"x\""),
        &piece(1, ":1}"),
        &stop(1),
        &block(2, "b", json!({})),
        &piece(2, ""),
        &stop(2),
        &block(3, "c", json!({"y": 2})),
        &stop(3),
        &end("tool_use"),
        STOP,
    ]));
    let calls: Vec<_> = response
        .tool_calls
        .iter()
        .map(|call| format!("{} {} {}", call.id, call.name, call.arguments))
        .collect();
    assert_eq!(calls, ["a f {\"x\":1}", "b f {}", "c f {\"y\":2}"]);
    assert_eq!(response.finish_reason, FinishReason::ToolCalls);
}

#[test]
fn stop_reasons_are_mapped() {
    for (wire, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
        ("pause_turn", FinishReason::Unknown),
        ("brand_new", FinishReason::Unknown),
    ] {
        let streamed = answer(&sse([START, &text("a"), &end(wire), STOP]));
        let body =
            json!({"type": "message", "content": [{"type": "text", "text": "a"}], "stop_reason": wire});
        let whole = anthropic().decode("anthropic", body.to_string().as_bytes()).unwrap();
        let refusal = (wire == "refusal").then(String::new);
        for response in [streamed, whole] {
            assert_eq!((response.finish_reason, response.refusal), (reason, refusal.clone()), "{wire}");
        }
    }
}

#[test]
fn whole_answers() {
    let body = json!({
        "type": "message", "model": "claude-x-1", "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "ye", "citations": null}, {"type": "text", "text": "s"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": null},
    });
    let response = anthropic().decode("anthropic", body.to_string().as_bytes()).unwrap();
    assert_eq!((&*response.text, response.reasoning.as_deref()), ("yes", Some("hm")));
    assert_eq!(response.tool_calls[0].arguments, "{\"x\":1}");
    assert_eq!((response.usage.total(), response.usage.cache_read_tokens), (Some(3), None));
    assert_eq!(response.model_id.as_deref(), Some("claude-x-1"));
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for (body, kind) in [
        ("", ErrorKind::Protocol),
        ("<html></html>", ErrorKind::Protocol),
        ("{}", ErrorKind::Protocol),
        ("[]", ErrorKind::Protocol),
        ("5", ErrorKind::Protocol),
        ("{\"content\":\"words\"}", ErrorKind::Protocol),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, ErrorKind::Overloaded),
        (r#"{"error":{"type":"api_error","message":"m"}}"#, ErrorKind::Server),
    ] {
        assert_eq!(anthropic().decode("anthropic", body.as_bytes()).unwrap_err().kind, kind, "{body}");
    }
}

mod own;
mod patience;
