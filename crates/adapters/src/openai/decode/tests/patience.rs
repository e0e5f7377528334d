//! Answers that are whole but for details, and answers that only look like some.

use super::*;

const END: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

/// The answer, and the failure in which it ends.
fn answer(data: &[&str]) -> (Response, Option<ErrorKind>) {
    let (events, failure) = read(data);
    (testing::collect(&events), failure)
}

#[test]
fn details_do_not_cost_an_answer() {
    for chunk in [
        r#"{"model":5,"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":"0","delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0.0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","tool_calls":[{"index":0,"function":null}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","tool_calls":{}}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","tool_calls":[5,null,"x"]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a","refusal":false,"reasoning":5}}]}"#,
        r#"{"model":"m","model":"m","choices":[{"delta":{"content":"b"},"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"b"}}],"choices":[{"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"text":"b"}],"content":[{"text":"a"}]}}]}"#,
        r#"{"choices":[{"delta":{"content":5,"content":"b"},"delta":{"refusal":"no"},"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}},{"index":0,"delta":{"content":"b"}},{"delta":5},6]}"#,
        r#"{"choices":[{"index":1,"delta":5},{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1},"usage":null}"#,
        r#"{"object":5,"choices":[{"delta":{"content":"a"}}],"usage":"n/a"}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens_details":""}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"x_groq":[1],"usage":[{"a":1}]}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"error":""}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"error":false}"#,
        r#"{"choices":[{"delta":{"content":"a"},"error":{}}],"error":{}}"#,
        r#"{"choices":[{"delta":{"content":"a"}}],"id":"\ud83d","unknown":"\ude00"}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":5},{},7]}}]}"#,
    ] {
        let (streamed, failure) = answer(&[chunk, END]);
        assert_eq!((&*streamed.text, streamed.refusal, failure), ("a", None, None), "{chunk}");
        let body = chunk.replace("\"delta\"", "\"message\"");
        let whole = OPEN_AI.decode("openai", body.as_bytes()).unwrap();
        assert_eq!((&*whole.text, whole.usage, whole.tool_calls.len()), ("a", Usage::default(), 0), "{body}");
    }
    let halves = r#"{"choices":[{"delta":{"content":"\ud83d a \ud83d\ude00"}}]}"#;
    assert_eq!(answer(&[halves, END]).0.text, "\u{fffd} a \u{1f600}");
}

#[test]
fn text_and_finish_have_to_be_what_they_are() {
    for chunk in [
        r#"{"choices":[{"delta":{"content":5}}]}"#,
        r#"{"choices":[{"delta":{"content":{"a":1}}}]}"#,
        r#"{"choices":[{"delta":"words"}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":5}]}"#,
        r#"{"choices":{"a":1}}"#,
        "[{}]",
        "\"words\"",
    ] {
        assert_eq!(answer(&[chunk, END]).1, Some(ErrorKind::Protocol), "{chunk}");
        let body = chunk.replace("\"delta\"", "\"message\"");
        assert_eq!(
            OPEN_AI.decode("openai", body.as_bytes()).unwrap_err().kind,
            ErrorKind::Protocol,
            "{body}"
        );
    }
}

#[test]
fn what_comes_after_the_finish_cannot_spoil_an_answer() {
    for (event, failure) in [
        ("data: {\"choices\":[],\"usage\":\"n/a\"}", None),
        ("data: {\"choices\":[],\"usage\":{\"prompt_tokens_details\":\"\"}}", None),
        ("data: words", None),
        ("data: 5", None),
        ("data: {\"choices\":5}", None),
        ("data: {\"choices\":", None),
        ("event: message\ndata: <html>", None),
        ("event: error\ndata:", None),
        ("data: {\"error\":null}", None),
        ("data: {\"error\":{}}", None),
        (
            "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}",
            None,
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}}]}}]}",
            None,
        ),
        ("data: {\"error\":{\"message\":\"m\"}}", Some(ErrorKind::Server)),
        ("event: error\ndata: words", Some(ErrorKind::Server)),
    ] {
        let body = format!("{}{event}\n\n", sse([&*text("a"), END]));
        let (events, ending) = testing::read(&OPEN_AI, [body.as_bytes()]);
        assert_eq!(ending.err().map(|failure| failure.kind), failure, "{event}");
        let expected = [started(), StreamEvent::Text("a".into()), StreamEvent::Finish(FinishReason::Stop)];
        assert_eq!(events, expected, "{event}");
    }
    let mut body = sse([&*text("a"), END]).into_bytes();
    body.extend_from_slice(b"data: \xff\n\n");
    assert!(testing::read(&OPEN_AI, [&*body]).1.is_ok());
}

#[test]
fn reports_of_tokens_are_put_together() {
    let usage = |data: &[&str]| answer(data).0.usage;
    let first = r#"{"usage":{"prompt_tokens":12,"prompt_tokens_details":{"cached_tokens":10}}}"#;
    let later = r#"{"usage":{"prompt_tokens":12,"completion_tokens":3.0}}"#;
    let both = Usage {
        input_tokens: Some(2),
        cache_read_tokens: Some(10),
        output_tokens: Some(3),
        ..Usage::default()
    };
    assert_eq!(usage(&[first, later]), both);
    assert_eq!(usage(&[later, first]), both);
    let beside =
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12}}"#;
    let (events, _) = read(&[beside]);
    let reported = Usage { input_tokens: Some(12), ..Usage::default() };
    let expected = [
        StreamEvent::Text("a".into()),
        StreamEvent::Usage(reported),
        StreamEvent::Finish(FinishReason::Stop),
    ];
    assert_eq!(events, expected);
    let groq = r#"{"usage":{"prompt_tokens":1},"x_groq":{"usage":{"prompt_tokens":2}}}"#;
    assert_eq!(usage(&[groq]).input_tokens, Some(1));
    let only_groq = r#"{"usage":"n/a","x_groq":{"usage":{"prompt_tokens":2}}}"#;
    assert_eq!(usage(&[only_groq]).input_tokens, Some(2));
    let two_names = r#"{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    assert_eq!(usage(&[two_names]).cache_read_tokens, Some(4));
}

#[test]
fn calls_have_a_name() {
    for calls in ["[{}]", r#"[{"id":"a"}]"#, r#"[{"index":0,"function":{"arguments":"{}"}}]"#, "[null]"] {
        let chunk = format!(r#"{{"choices":[{{"delta":{{"tool_calls":{calls}}}}}]}}"#);
        let (streamed, failure) = answer(&[&chunk, END]);
        assert_eq!((streamed.is_empty(), failure), (true, None), "{calls}");
        let whole = OPEN_AI.decode("openai", chunk.replace("\"delta\"", "\"message\"").as_bytes()).unwrap();
        assert!(whole.is_empty(), "{calls}");
    }
    let late = [
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]}}]}"#,
        END,
    ];
    let call = ToolCall { id: "a".into(), name: "f".into(), arguments: "{}".into() };
    assert_eq!(answer(&late).0.tool_calls, [call]);
}

#[test]
fn calls_from_before_tools_are_calls() {
    let call = ToolCall { id: "call_1".into(), name: "f".into(), arguments: "{}".into() };
    let (streamed, _) = answer(&[
        r#"{"choices":[{"delta":{"content":null,"function_call":{"name":"f","arguments":""}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"{"}}}]}"#,
        r#"{"choices":[{"delta":{"function_call":{"arguments":"}"}}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"function_call"}]}"#,
    ]);
    assert_eq!(
        (streamed.finish_reason, &*streamed.tool_calls),
        (FinishReason::ToolCalls, &[call.clone()][..])
    );
    let whole =
        br#"{"choices":[{"message":{"content":null,"function_call":{"name":"f","arguments":"{}"}}}]}"#;
    assert_eq!(OPEN_AI.decode("openai", whole).unwrap().tool_calls, [call]);
    let twice = br#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f"}}],"function_call":{"name":"f"}}}]}"#;
    assert_eq!(OPEN_AI.decode("openai", twice).unwrap().tool_calls.len(), 1);
}

#[test]
fn an_answer_without_a_choice_is_none() {
    for choices in ["[]", r#"[{"index":1,"message":{"content":"a"}}]"#] {
        let failure = OPEN_AI.decode("openai", format!(r#"{{"choices":{choices}}}"#).as_bytes()).unwrap_err();
        assert_eq!((failure.kind, &*failure.message), (ErrorKind::Protocol, "the answer holds no choice"));
    }
}

/// What is said in a few bytes an element must not become much more.
#[test]
fn lists_without_end_do_not_fill_the_memory() {
    let many = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let call = r#"{"index":1,"function":{"name":"f"}}"#;
    for (name, list, failure) in [
        ("content", many("{}", 1_000_000), None),
        ("tool_calls", many("{}", 1_000_000), None),
        ("tool_calls", many(call, 5000), Some(ErrorKind::Protocol)),
    ] {
        let chunk = format!(r#"{{"choices":[{{"delta":{{"{name}":{list}}}}}]}}"#);
        let body = chunk.replace("\"delta\"", "\"message\"");
        assert_eq!(
            OPEN_AI.decode("openai", body.as_bytes()).err().map(|failure| failure.kind),
            failure,
            "{name}"
        );
    }
    let error = format!(r#"{{"error":{}}}"#, many("0", 1_000_000));
    let failure = OPEN_AI.decode("openai", error.as_bytes()).unwrap_err();
    assert_eq!((failure.kind, &*failure.message), (ErrorKind::Server, "no explanation"));
    let chunks: Vec<String> = (0..5000)
        .map(|index| {
            format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index},"id":"a"}}]}}}}]}}"#)
        })
        .collect();
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    assert_eq!(read(&chunks).1, Some(ErrorKind::Protocol));
}

#[test]
fn whole_answers_that_break_off_are_truncated() {
    for (body, kind) in [
        (&br#"{"choices":[{"message":{"content":"ab"#[..], ErrorKind::Truncated),
        (b"{\"choices\":[{\"message\":{\"content\":\"\xf0\x9f", ErrorKind::Truncated),
        (b"{\"choices\":", ErrorKind::Truncated),
        (b"", ErrorKind::Protocol),
        (b"\n \n", ErrorKind::Protocol),
        (b"{\"choices\":]", ErrorKind::Protocol),
    ] {
        assert_eq!(OPEN_AI.decode("openai", body).unwrap_err().kind, kind);
    }
}

#[test]
fn an_answer_without_a_finish_reason_has_an_unknown_one() {
    for reason in ["", r#","finish_reason":null"#, r#","finish_reason":"""#] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"a"}}{reason}}}]}}"#);
        assert_eq!(OPEN_AI.decode("openai", body.as_bytes()).unwrap().finish_reason, FinishReason::Unknown);
    }
}

#[test]
fn errors_count_under_every_name_of_an_event() {
    let body = format!("event: status\ndata: {{\"error\":{{\"code\":429}}}}\n\n{}", sse([END]));
    assert_eq!(testing::failure(&OPEN_AI, &body), Some(ErrorKind::RateLimited));
}
