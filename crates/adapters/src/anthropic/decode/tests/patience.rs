//! Answers that are whole but for details, and answers that only look like some.

use llm_protocol::ToolCall;

use super::*;

/// A stream with this in the middle of it.
fn around(event: &str) -> String {
    format!("{}{event}\n\n{}", sse([START]), sse([&*text("a"), &*end("end_turn"), STOP]))
}

#[test]
fn what_is_unknown_or_empty_does_not_cost_an_answer() {
    for event in [
        "event: ping\ndata:",
        "event: ping\ndata: words",
        "event: keepalive\ndata: words",
        "event: keepalive\ndata: 5",
        "data:",
        "event: content_block_delta\ndata:",
        "data: [DONE]",
        "data: {\"type\":5}",
        "data: {\"type\":\"brand_new\",\"message\":\"hi\",\"index\":\"x\",\"delta\":[1],\"usage\":7}",
        "data: {\"type\":\"ping\",\"type\":\"ping\",\"error\":null}",
        "data: {\"type\":\"message_start\",\"message\":{\"model\":5,\"usage\":\"n/a\",\"content\":\"x\"}}",
        "data: {\"type\":\"message_start\",\"message\":[{}]}",
        "data: {\"type\":\"content_block_start\",\"index\":\"1\",\"content_block\":\"text\"}",
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":5}}",
        "data: {\"type\":\"content_block_delta\",\"index\":-1,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":5}}",
        "data: {\"type\":\"content_block_delta\",\"delta\":null}",
        "data: {\"type\":\"message_delta\"}",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":5},\"usage\":{\"output_tokens\":\"x\"}}",
        "data: {\"type\":\"brand_new\",\"text\":\"\\ud83d\"}",
        "data: {\"type\":\"brand_new\",\"error\":\"\"}",
    ] {
        let response = answer(&around(event));
        assert_eq!((&*response.text, response.tool_calls.len()), ("a", 0), "{event}");
        assert_eq!(
            (response.finish_reason, response.usage.total()),
            (FinishReason::Stop, Some(39)),
            "{event}"
        );
    }
}

#[test]
fn nonsense_where_the_answer_should_be_is_a_failure() {
    for event in [
        "data: words",
        "data: 5",
        "data: [{}]",
        "event: message\ndata: {\"type\":",
        "event: content_block_delta\ndata: words",
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":5}}",
        "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":{\"a\":1}}}",
    ] {
        assert_eq!(failure(&anthropic(), &around(event)), Some(ErrorKind::Protocol), "{event}");
    }
    let body = br#"{"content":[{"type":"text","text":5}]}"#;
    assert_eq!(anthropic().decode("anthropic", body).unwrap_err().kind, ErrorKind::Protocol);
}

#[test]
fn errors_count_under_every_name_of_an_event() {
    for event in [
        "event: keepalive\ndata: {\"error\":{\"type\":\"overloaded_error\"}}",
        "event: ping\ndata: {\"type\":\"ping\",\"error\":{\"type\":\"overloaded_error\"}}",
        "data: {\"error\":{\"type\":\"overloaded_error\"}}",
    ] {
        assert_eq!(failure(&anthropic(), &around(event)), Some(ErrorKind::Overloaded), "{event}");
    }
}

#[test]
fn events_have_names_on_the_wire() {
    let body = [START, r#"{"type":"ping"}"#, &text("a"), &end("max_tokens"), STOP]
        .map(|data| {
            let json: Value = serde_json::from_str(data).unwrap();
            format!("event: {}\ndata: {data}\n\n", json["type"].as_str().unwrap())
        })
        .concat();
    let response = answer(&body);
    assert_eq!((&*response.text, response.finish_reason), ("a", FinishReason::Length));
    assert_eq!(response.usage.total(), Some(39));
}

#[test]
fn later_reports_of_tokens_replace_earlier_ones() {
    let delta = |usage: Value| {
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
        answer(&sse([START, &delta.to_string(), STOP])).usage
    };
    let at_start = Usage {
        input_tokens: Some(17),
        output_tokens: Some(1),
        cache_read_tokens: Some(4),
        cache_write_tokens: Some(3),
        ..Usage::default()
    };
    assert_eq!(delta(json!(null)), at_start);
    assert_eq!(delta(json!({})), at_start);
    assert_eq!(delta(json!({"output_tokens": 9.0})), Usage { output_tokens: Some(9), ..at_start });
    let all = json!({
        "input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 6,
    });
    let replaced = Usage {
        input_tokens: Some(20),
        output_tokens: Some(9),
        cache_read_tokens: Some(5),
        cache_write_tokens: Some(6),
        ..Usage::default()
    };
    assert_eq!(delta(all), replaced);
    let without =
        answer(&sse([START, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#, STOP]));
    assert_eq!((without.usage, without.finish_reason), (at_start, FinishReason::Stop));
}

/// Blocks come one after another, but nothing says that they have to.
#[test]
fn the_input_of_every_block_is_kept() {
    let block = |index: u32, input: Value| {
        json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": "i", "name": "f", "input": input}}).to_string()
    };
    let response = answer(&sse([
        START,
        &block(0, json!({"a": 1})),
        &block(1, json!({})),
        &block(2, json!(null)),
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        STOP,
    ]));
    let arguments: Vec<_> = response.tool_calls.iter().map(|call| &*call.arguments).collect();
    assert_eq!(arguments, ["{\"a\":1}", "{\"b\":2}", "{}"]);
}

/// What is said in a few bytes an element must not become much more.
#[test]
fn lists_without_end_do_not_fill_the_memory() {
    let many = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let empty = format!(r#"{{"content":{}}}"#, many("{}", 1_000_000));
    assert!(anthropic().decode("anthropic", empty.as_bytes()).unwrap().is_empty());
    let calls = format!(r#"{{"content":{}}}"#, many(r#"{"type":"tool_use","name":"f"}"#, 5000));
    assert_eq!(anthropic().decode("anthropic", calls.as_bytes()).unwrap_err().kind, ErrorKind::Protocol);
    let begin = r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}}"#;
    assert_eq!(failure(&anthropic(), &sse(vec![begin; 5000])), Some(ErrorKind::Protocol));
    let error = format!(r#"{{"error":{}}}"#, many("0", 1_000_000));
    let failure = anthropic().decode("anthropic", error.as_bytes()).unwrap_err();
    assert_eq!((failure.kind, &*failure.message), (ErrorKind::Server, "no explanation"));
}

#[test]
fn details_do_not_cost_a_whole_answer() {
    let body = r#"{"type":"message","error":{},"model":5,"stop_reason":"end_turn","stop_reason":"end_turn","usage":"n/a",
        "content":[5,null,{"type":"tool_use"},{"type":"tool_use","id":5,"name":"f"},{"type":"text","text":"a\ud83d"}]}"#;
    let response = anthropic().decode("anthropic", body.as_bytes()).unwrap();
    let call = ToolCall { id: "call_1".into(), name: "f".into(), arguments: "{}".into() };
    assert_eq!((&*response.text, response.tool_calls), ("a\u{fffd}", vec![call]));
    assert_eq!((response.finish_reason, response.usage), (FinishReason::Stop, Usage::default()));
}

#[test]
fn whole_answers_that_break_off_are_truncated() {
    for body in [&br#"{"content":[{"type":"text","text":"ab"#[..], b"{\"content\":", b"{\"model\":\"\xf0\x9f"]
    {
        assert_eq!(anthropic().decode("anthropic", body).unwrap_err().kind, ErrorKind::Truncated);
    }
}
