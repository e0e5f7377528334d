//! What ends a stream, and what only cuts it off.

use super::{
    CONNECTION, EVENTS, Facts, Failed, JSON, PROTOCOL, RATE_LIMITED, SERVER, TRUNCATED, Wire, head, reply,
    shown, sse, stream,
};

const TEXT: &str = r#"{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#;
const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const COUNTS: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
const DONE: &str = "[DONE]";

const START: &str = r#"{"type":"message_start","message":{"content":[],"usage":{"input_tokens":3}}}"#;
const DELTA: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[tokio::test]
async fn with_its_marker_a_stream_is_complete() {
    let mut facts = Facts::new().await;
    for (says, wire, events, answer) in [
        (
            "finish reason, usage, [DONE]",
            Wire::OpenAi,
            &[TEXT, FINISH, COUNTS, DONE][..],
            "says hi; ends Stop; in 3 out 1",
        ),
        ("finish reason, [DONE]", Wire::OpenAi, &[TEXT, FINISH, DONE], "says hi; ends Stop"),
        (
            "finish reason, usage, a clean end",
            Wire::OpenAi,
            &[TEXT, FINISH, COUNTS],
            "says hi; ends Stop; in 3 out 1",
        ),
        ("finish reason, a clean end", Wire::OpenAi, &[TEXT, FINISH], "says hi; ends Stop"),
        ("message_stop", Wire::Anthropic, &[START, DELTA, END, STOP], "says hi; ends Stop; in 3 out 1"),
        ("message_stop alone", Wire::Anthropic, &[START, DELTA, STOP], "says hi; ends Unknown; in 3"),
    ] {
        facts.streams(wire, says, &stream(wire, sse(events)), answer).await;
    }
}

#[tokio::test]
async fn without_its_marker_a_stream_was_cut() {
    let mut facts = Facts::new().await;
    for (says, wire, events, came) in [
        ("[DONE] without a finish reason", Wire::OpenAi, &[TEXT, DONE][..], "says hi"),
        (
            "usage and [DONE] without a finish reason",
            Wire::OpenAi,
            &[TEXT, COUNTS, DONE],
            "says hi; in 3 out 1",
        ),
        ("a clean end without a finish reason", Wire::OpenAi, &[TEXT], "says hi"),
        ("only [DONE]", Wire::OpenAi, &[DONE], ""),
        ("nothing", Wire::OpenAi, &[], ""),
        ("a stop reason without message_stop", Wire::Anthropic, &[START, DELTA, END], "in 3; says hi; out 1"),
        ("a clean end after the text", Wire::Anthropic, &[START, DELTA], "in 3; says hi"),
        ("a clean end after the beginning", Wire::Anthropic, &[START], "in 3"),
        ("[DONE], which is not theirs", Wire::Anthropic, &[START, DELTA, DONE], "in 3; says hi"),
        ("nothing", Wire::Anthropic, &[], ""),
    ] {
        let cut = Failed::inside(TRUNCATED);
        let events = facts.breaks(wire, says, &stream(wire, sse(events)), &cut).await;
        facts.holds(says, &*shown::content(&events), came);
    }
}

/// Whatever way the body breaks off in.
#[tokio::test]
async fn a_body_that_breaks_off_was_cut_unless_the_answer_in_it_is_at_its_end() {
    let mut facts = Facts::new().await;
    let chunked = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    for (wire, text, end) in [
        (Wire::OpenAi, sse([TEXT]), sse([TEXT, FINISH])),
        (Wire::Anthropic, sse([START, DELTA]), sse([START, DELTA, END, STOP])),
    ] {
        for (says, line, rest) in [
            ("short of its length", "content-length: 100000", text.clone()),
            ("short of its last chunk", "transfer-encoding: chunked", chunked(&text)),
            ("in the midst of a chunk", "transfer-encoding: chunked", format!("fff\r\n{text}")),
            ("a chunk that is none", "transfer-encoding: chunked", format!("{}zzz\r\n", chunked(&text))),
        ] {
            let sent = |body: &str, kind: &str| {
                [head(wire, 200, &[line, kind]).as_bytes(), body.as_bytes()].concat()
            };
            let cut = Failed::inside(TRUNCATED);
            let events = facts.breaks(wire, says, &sent(&rest, EVENTS), &cut).await;
            facts.holds(says, shown::content(&events).contains("says hi"), true);
            let error = facts.whole(wire, &sent(&rest, JSON)).await.err();
            facts.holds(says, error.as_ref().map(Failed::of), Some(cut));
        }
        let sent = [head(wire, 200, &["content-length: 100000", EVENTS]).as_bytes(), end.as_bytes()].concat();
        let (events, error) = facts.streamed(wire, &sent).await;
        let came = (shown::collected(&events).starts_with("says hi; ends Stop"), error.is_none());
        facts.holds("after the marker nothing is lost", came, (true, true));
        for body in ["{\"choices\":[{\"message\":{\"content\":\"h", "{\"content\":[{\"type\":\"text\""] {
            let sent = [head(wire, 200, &[JSON]).as_bytes(), body.as_bytes()].concat();
            facts.fails(wire, "half of an answer", &sent, &Failed::inside(TRUNCATED)).await;
        }
        let failed = Failed { request_id: None, ..Failed::inside(CONNECTION) };
        facts.fails(wire, "closed before the answer", b"", &failed).await;
    }
}

/// Groq ends with an event of this name, and no `[DONE]` comes after it.
#[tokio::test]
async fn an_error_ends_a_stream_without_any_other_marker() {
    let mut facts = Facts::new().await;
    let error = r#"{"error":{"message":"m","type":"server_error","code":"over_capacity"}}"#;
    for (says, wire, events, failed) in [
        (
            "Groq's error",
            Wire::OpenAi,
            format!("{}event: error\ndata: {error}\n\n", sse([TEXT])),
            Failed::inside(SERVER).code("over_capacity"),
        ),
        (
            "Groq's error with its status",
            Wire::OpenAi,
            format!(
                "{}event: error\ndata: {}\n\n",
                sse([TEXT]),
                r#"{"error":{"message":"m","type":"invalid_request_error","status_code":429}}"#
            ),
            Failed::inside(RATE_LIMITED).code("invalid_request_error"),
        ),
        (
            "Anthropic's error",
            Wire::Anthropic,
            format!(
                "{}event: error\ndata: {}\n\n",
                sse([START, DELTA]),
                r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#
            ),
            Failed::inside(SERVER).code("api_error"),
        ),
    ] {
        let came = facts.breaks(wire, says, &stream(wire, &events), &failed).await;
        facts.holds(says, shown::content(&came).ends_with("says hi"), true);
        // What comes after it is no part of the answer.
        let events = format!("{events}{}", sse([FINISH, STOP, DONE]));
        facts.breaks(wire, says, &reply(wire, 200, &[EVENTS], events), &failed).await;
    }
    let sent = stream(Wire::OpenAi, format!("{}data: nonsense\n\n", sse([TEXT])));
    facts.breaks(Wire::OpenAi, "what is no event", &sent, &Failed::inside(PROTOCOL)).await;
}
