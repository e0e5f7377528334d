//! Streams and whole answers as OpenAI and its kin send them.

use llm_protocol::{ErrorKind, FinishReason, Usage};
use serde_json::{Value, json};

use super::*;
use crate::OpenAi;
use crate::testing::{self, sse};
use crate::vendor::Codec;

const OPEN_AI: OpenAi =
    OpenAi { dialect: None, token_limit_field: None, include_usage: None, cache_marks: None };

fn read(data: &[&str]) -> (Vec<StreamEvent>, Option<ErrorKind>) {
    let (events, ending) = testing::read(&OPEN_AI, [sse(data.iter().copied()).as_bytes()]);
    (events, ending.err().map(|failure| failure.kind))
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    json!({"model": "gpt-x-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        .to_string()
}

fn text(text: &str) -> String {
    chunk(&json!({ "content": text }), None)
}

fn started() -> StreamEvent {
    StreamEvent::Started(Started { model_id: Some("gpt-x-1".into()), ..Started::default() })
}

#[test]
fn a_stream_from_beginning_to_end() {
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": 15, "completion_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 3},
    }});
    let (events, failure) = read(&[
        &chunk(&json!({"role": "assistant", "content": "", "refusal": null}), None),
        &text("424"),
        &chunk(&json!({}), None),
        &text("2"),
        &chunk(&json!({}), Some("stop")),
        &usage.to_string(),
        "[DONE]",
    ]);
    assert_eq!(failure, None);
    let usage = Usage {
        input_tokens: Some(10),
        output_tokens: Some(11),
        cache_read_tokens: Some(5),
        reasoning_tokens: Some(3),
        ..Usage::default()
    };
    assert_eq!(
        events,
        [
            started(),
            StreamEvent::Text("424".into()),
            StreamEvent::Text("2".into()),
            StreamEvent::Finish(FinishReason::Stop),
            StreamEvent::Usage(usage),
        ]
    );
}

#[test]
fn a_finish_reason_completes_a_stream_and_nothing_else_does() {
    let end = chunk(&json!({}), Some("stop"));
    for (data, failure) in [
        (vec![text("a"), end.clone()], None),
        (vec![text("a"), end, "[DONE]".into()], None),
        (vec![text("a"), "[DONE]".into()], Some(ErrorKind::Truncated)),
        (vec![text("a")], Some(ErrorKind::Truncated)),
        (vec![text("a"), chunk(&json!({}), Some(""))], Some(ErrorKind::Truncated)),
        (vec!["[DONE]".into()], Some(ErrorKind::Truncated)),
        (vec![], Some(ErrorKind::Truncated)),
    ] {
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        assert_eq!(read(&data).1, failure, "{data:?}");
    }
}

#[test]
fn nothing_after_done_is_read() {
    let (events, failure) = read(&[&chunk(&json!({}), Some("stop")), "[DONE]", "nonsense"]);
    assert_eq!((events.len(), failure), (2, None));
}

#[test]
fn errors_in_a_stream_are_errors_whatever_they_are_called() {
    for (body, kind) in [
        (r#"data: {"error":{"message":"m","type":"server_error"}}"#, ErrorKind::Server),
        (r#"data: {"error":{"message":"m","code":429}}"#, ErrorKind::RateLimited),
        (r#"data: {"error":"words"}"#, ErrorKind::Server),
        ("event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":400}}", ErrorKind::BadRequest),
        ("event: error\ndata: {\"message\":\"m\",\"type\":\"rate_limit_error\"}", ErrorKind::RateLimited),
        ("event: error\ndata: overloaded, come back later", ErrorKind::Server),
        (r#"data: {"object":"error","message":"m","code":401}"#, ErrorKind::Authentication),
        (
            r#"data: {"choices":[{"delta":{"content":""},"finish_reason":"error","error":{"code":502,"message":"m"}}]}"#,
            ErrorKind::Server,
        ),
        // Recorded from OpenRouter: the reason is null, the error is what counts.
        (
            r#"data: {"choices":[{"delta":{"content":""},"finish_reason":null}],"error":{"code":400,"message":"m"}}"#,
            ErrorKind::BadRequest,
        ),
    ] {
        let body = format!("{}{body}\n\ndata: [DONE]\n\n", sse([&*text("a")]));
        assert_eq!(testing::failure(&OPEN_AI, &body), Some(kind), "{body}");
        let (events, _) = testing::read(&OPEN_AI, [body.as_bytes()]);
        assert_eq!(events, [started(), StreamEvent::Text("a".into())], "what came before is kept");
    }
}

#[test]
fn nonsense_is_a_failure_and_what_is_unknown_is_skipped() {
    for (body, kind) in [
        ("data: {\"choices\":", Some(ErrorKind::Protocol)),
        ("data: words", Some(ErrorKind::Protocol)),
        ("data: 5", Some(ErrorKind::Protocol)),
        ("data: {\"choices\":5}", Some(ErrorKind::Protocol)),
        ("data: \u{fffd}", Some(ErrorKind::Protocol)),
        ("event: message\ndata: words", Some(ErrorKind::Protocol)),
        ("event: ping\ndata: words", None),
        ("event: status\ndata: {\"state\":\"warm\"}", None),
        (": comment", None),
        ("data:", None),
        ("data: {}", None),
        ("data: {\"choices\":null,\"usage\":null,\"error\":null,\"model\":null}", None),
        ("data: {\"choices\":[],\"prompt_filter_results\":[{}]}", None),
        ("data: {\"choices\":[{\"delta\":null}]}", None),
        ("data: {\"usage\":{\"prompt_tokens\":\"many\",\"completion_tokens\":-1}}", None),
    ] {
        let end = sse([&*chunk(&json!({}), Some("stop"))]);
        assert_eq!(testing::failure(&OPEN_AI, &format!("{body}\n\n{end}")), kind, "{body}");
    }
}

#[test]
fn failures_do_not_quote_the_answer() {
    let (_, ending) = testing::read(&OPEN_AI, [&b"data: {\"model\":{\"marmalade\":1}}\n\n"[..]]);
    let message = ending.unwrap_err().message;
    assert!(!message.contains("marmalade"), "{message}");
}

#[test]
fn reasoning_and_refusals_are_told_apart_from_text() {
    let delta = |delta: Value| {
        let (events, _) = read(&[&chunk(&delta, None)]);
        events.into_iter().skip(1).collect::<Vec<_>>()
    };
    let reasoning = |text: &str| StreamEvent::Reasoning(text.into());
    assert_eq!(delta(json!({"reasoning_content": "hm", "content": null})), [reasoning("hm")]);
    assert_eq!(delta(json!({"reasoning": "hm", "content": ""})), [reasoning("hm")]);
    assert_eq!(delta(json!({"reasoning": "hm", "reasoning_content": "hm"})), [reasoning("hm")]);
    assert_eq!(delta(json!({"reasoning": {"a": 1}, "refusal": "no"})), [StreamEvent::Refusal("no".into())]);
    let parts = json!({"content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]},
        {"type": "text", "text": "yes"}, {"type": "reference", "reference_ids": [1]},
    ]});
    assert_eq!(delta(parts), [reasoning("hm"), StreamEvent::Text("yes".into())]);
}

#[test]
fn other_choices_are_left_out() {
    let (events, _) =
        read(&[r#"{"choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#]);
    assert_eq!(events, [StreamEvent::Text("a".into())]);
}

#[test]
fn finish_reasons_are_mapped() {
    for (wire, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("model_length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("error", FinishReason::Error),
        ("insufficient_system_resource", FinishReason::Error),
        ("eos", FinishReason::Unknown),
    ] {
        let (events, failure) = read(&[&chunk(&json!({}), Some(wire)), &chunk(&json!({}), Some("stop"))]);
        assert_eq!((events.last(), failure), (Some(&StreamEvent::Finish(reason)), None));
        let body = json!({"choices": [{"message": {"content": "a"}, "finish_reason": wire}]}).to_string();
        assert_eq!(OPEN_AI.decode("openai", body.as_bytes()).unwrap().finish_reason, reason);
    }
}

#[test]
fn tokens_are_counted_one_way() {
    let usage = |chunk: Value| {
        let (events, _) = read(&[&chunk.to_string()]);
        match events.as_slice() {
            [StreamEvent::Usage(usage)] => Some(*usage),
            _ => None,
        }
    };
    let both = Usage { input_tokens: Some(18), output_tokens: Some(73), ..Usage::default() };
    let plain = json!({"prompt_tokens": 18, "completion_tokens": 73, "prompt_tokens_details": null});
    assert_eq!(usage(json!({ "usage": plain })), Some(both));
    assert_eq!(usage(json!({"x_groq": {"id": "r", "usage": plain}})), Some(both));
    assert_eq!(usage(json!({"x_groq": {"id": "r"}})), None);
    assert_eq!(usage(json!({"usage": {}})), None);
    let deep_seek = json!({"prompt_tokens": 12, "completion_tokens": 9, "prompt_cache_hit_tokens": 10});
    let cached = Usage {
        input_tokens: Some(2),
        output_tokens: Some(9),
        cache_read_tokens: Some(10),
        ..Usage::default()
    };
    assert_eq!(usage(json!({ "usage": deep_seek })), Some(cached));
    let router =
        json!({"prompt_tokens": 12, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}});
    let written = Usage {
        input_tokens: Some(5),
        cache_read_tokens: Some(3),
        cache_write_tokens: Some(4),
        ..Usage::default()
    };
    assert_eq!(usage(json!({ "usage": router })), Some(written));
    let odd = json!({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 3}});
    assert_eq!(usage(json!({ "usage": odd })).unwrap().input_tokens, Some(0));
}

#[test]
fn tool_calls_are_not_lost() {
    let calls = |chunks: &[Value]| {
        let chunks: Vec<String> =
            chunks.iter().map(|calls| chunk(&json!({ "tool_calls": calls }), None)).collect();
        let chunks: Vec<String> = chunks.into_iter().chain([chunk(&json!({}), Some("tool_calls"))]).collect();
        let (events, _) = read(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        let calls = testing::collect(&events).tool_calls;
        calls
            .into_iter()
            .map(|call| format!("{} {} {}", call.id, call.name, call.arguments))
            .collect::<Vec<_>>()
    };
    let open_ai = [
        json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        json!([{"index": 0, "function": {"arguments": "{\"x\":"}}]),
        json!([{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]),
        json!([{"index": 0, "function": {"arguments": "1}"}}]),
    ];
    assert_eq!(calls(&open_ai), ["a f {\"x\":1}", "b g {}"]);
    let repeated = [
        json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]),
        json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}]),
    ];
    assert_eq!(calls(&repeated), ["a f {}"]);
    let one_index = [
        json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]),
        json!([{"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}]),
    ];
    assert_eq!(calls(&one_index), ["a f {}", "b g {}"]);
    let no_index = [json!([
        {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "b", "function": {"name": "g", "arguments": null}},
    ])];
    assert_eq!(calls(&no_index), ["a f {\"x\":1}", "b g "]);
    let no_id = [
        json!([{"index": 0, "function": {"name": "f", "arguments": "{}"}}]),
        json!([{"index": 1, "id": "", "function": {"name": "f", "arguments": "{}"}}]),
        json!([{"index": 1, "id": "late", "function": {"arguments": ""}}]),
        json!([{"index": 2, "id": "late", "function": {"name": "g", "arguments": "{}"}}]),
    ];
    assert_eq!(calls(&no_id), ["call_1 f {}", "late f {}", "call_3 g {}"]);
    let only_names = [
        json!([{"index": 0, "function": {"name": "f", "arguments": "{\"x\":"}}]),
        json!([{"index": 0, "function": {"name": "f", "arguments": "1}"}}]),
        json!([{"index": 0, "function": {"name": "g", "arguments": "{}"}}]),
    ];
    assert_eq!(calls(&only_names), ["call_1 f {\"x\":1}", "call_2 g {}"]);
}

#[test]
fn whole_answers() {
    let body = json!({
        "id": "1", "model": "gpt-x-1",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "yes", "refusal": null, "reasoning": "hm",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    });
    let response = OPEN_AI.decode("openai", format!("\n   \n{body}\n").as_bytes()).unwrap();
    assert_eq!((&*response.text, response.reasoning.as_deref()), ("yes", Some("hm")));
    assert_eq!(response.tool_calls[0].name, "f");
    assert_eq!(response.usage.total(), Some(3));
    assert_eq!(response.model_id.as_deref(), Some("gpt-x-1"));
    let refused = r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}"#;
    assert_eq!(OPEN_AI.decode("openai", refused.as_bytes()).unwrap().refusal.as_deref(), Some("no"));
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for (body, kind) in [
        ("", ErrorKind::Protocol),
        ("<html></html>", ErrorKind::Protocol),
        ("{}", ErrorKind::Protocol),
        ("[]", ErrorKind::Protocol),
        ("null", ErrorKind::Protocol),
        ("{\"choices\":[]}", ErrorKind::Protocol),
        ("{\"choices\":null}", ErrorKind::Protocol),
        ("{\"choices\":[{}]}", ErrorKind::Protocol),
        ("{\"choices\":[{\"message\":{\"content\":\"\u{0}", ErrorKind::Protocol),
        (r#"{"error":{"message":"m","code":429}}"#, ErrorKind::RateLimited),
        (r#"{"error":{"message":"m","type":"insufficient_quota"}}"#, ErrorKind::Billing),
        (r#"{"error":"words"}"#, ErrorKind::Server),
        (r#"{"object":"error","message":"m","code":404}"#, ErrorKind::ModelNotFound),
        (r#"{"choices":[{"message":{"content":""},"error":{"code":502}}]}"#, ErrorKind::Server),
    ] {
        assert_eq!(OPEN_AI.decode("openai", body.as_bytes()).unwrap_err().kind, kind, "{body}");
    }
    assert_eq!(
        OPEN_AI.decode("openai", b"{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}").unwrap_err().kind,
        ErrorKind::Protocol
    );
}

mod patience;
mod thoughts;
