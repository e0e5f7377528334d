//! What Anthropic's answers hold.

use serde_json::{Value, json};

use super::{Facts, Wire, shown, sse, stream};

const ANTHROPIC: Wire = Wire::Anthropic;

fn start() -> Value {
    json!({"type": "message_start", "message": {"type": "message", "content": [], "stop_reason": null,
        "usage": {"input_tokens": 3, "output_tokens": 1}}})
}

fn block(index: u32, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

/// A text block, whole.
fn text(index: u32, text: &str) -> [Value; 3] {
    let opening = json!({"type": "text", "text": ""});
    [block(index, &opening), delta(index, &json!({"type": "text_delta", "text": text})), stop(index)]
}

fn end(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}),
        json!({"type": "message_stop"}),
    ]
}

/// The events under their own names, as the vendor sends them.
fn named(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| event["type"].as_str().unwrap().to_owned();
    events.iter().map(|event| format!("event: {}\n{}", name(event), sse([event]))).collect()
}

#[tokio::test]
async fn a_stream_comes_in_its_order_with_a_ping_anywhere() {
    let mut facts = Facts::new().await;
    let events = [&[start()][..], &text(0, "hi"), &text(1, " there"), &end("end_turn")].concat();
    let told = "says hi there; ends Stop; in 3 out 5";
    let (came, _) = facts.streamed(ANTHROPIC, &stream(ANTHROPIC, named(&events).concat())).await;
    let order = "started; started; in 3 out 1; says hi; says  there; out 5; ends Stop";
    facts.holds("in order", &*shown::events(&came), order);
    facts.streams(ANTHROPIC, "without names", &stream(ANTHROPIC, sse(&events)), told).await;
    for at in 0..=events.len() {
        for ping in ["event: ping\ndata: {\"type\": \"ping\"}\n\n", "data: {\"type\":\"ping\"}\n\n"] {
            let mut events = named(&events);
            events.insert(at, ping.to_owned());
            let says = format!("a ping before event {at}");
            facts.streams(ANTHROPIC, &says, &stream(ANTHROPIC, events.concat()), told).await;
        }
    }
}

#[tokio::test]
async fn deltas_of_each_type_go_where_they_belong() {
    let mut facts = Facts::new().await;
    let thought = json!({"type": "thinking", "thinking": "hm, so", "signature": "sig"});
    let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}});
    let citation = json!({"type": "char_location", "cited_text": "hey"});
    for (says, content, events, told) in [
        ("text", json!([{"type": "text", "text": "hi"}]), text(0, "hi").to_vec(), "says hi"),
        (
            "text in pieces",
            json!([{"type": "text", "text": "hi you"}]),
            vec![
                block(0, &json!({"type": "text", "text": "hi"})),
                delta(0, &json!({"type": "text_delta", "text": " you"})),
                stop(0),
            ],
            "says hi you",
        ),
        (
            "thinking and its signature",
            json!([thought, {"type": "text", "text": "hi"}]),
            [
                &[
                    block(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
                    delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
                    delta(0, &json!({"type": "thinking_delta", "thinking": ", so"})),
                    delta(0, &json!({"type": "signature_delta", "signature": "sig"})),
                    stop(0),
                ][..],
                &text(1, "hi"),
            ]
            .concat(),
            "thinks hm, so; says hi",
        ),
        (
            "thoughts that are not shown",
            json!([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "hi"}]),
            [&[block(0, &json!({"type": "redacted_thinking", "data": "x"})), stop(0)][..], &text(1, "hi")]
                .concat(),
            "says hi",
        ),
        (
            "citations",
            json!([{"type": "text", "text": "hi", "citations": [citation]}]),
            {
                let mut events = text(0, "hi").to_vec();
                let citation = json!({"type": "citations_delta", "citation": citation});
                events.insert(1, delta(0, &citation));
                events.insert(3, delta(0, &citation));
                events
            },
            "says hi",
        ),
        (
            "the input of a tool in pieces",
            json!([call]),
            vec![
                block(0, &json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
                delta(0, &json!({"type": "input_json_delta", "partial_json": ""})),
                delta(0, &json!({"type": "input_json_delta", "partial_json": "{\"x\""})),
                delta(0, &json!({"type": "input_json_delta", "partial_json": ":1}"})),
                stop(0),
            ],
            "a: f{\"x\":1}",
        ),
        (
            "a tool without any",
            json!([{"type": "tool_use", "id": "a", "name": "f", "input": {}}]),
            vec![
                block(0, &json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
                delta(0, &json!({"type": "input_json_delta", "partial_json": ""})),
                stop(0),
            ],
            "a: f{}",
        ),
        (
            "a delta of a type to come",
            json!([{"type": "text", "text": "hi"}, {"type": "brand_new", "text": 5}]),
            [
                &text(0, "hi")[..],
                &[
                    block(1, &json!({"type": "brand_new"})),
                    delta(1, &json!({"type": "brand_new_delta", "text": 5})),
                    stop(1),
                ],
            ]
            .concat(),
            "says hi",
        ),
    ] {
        let whole = json!({"type": "message", "content": content, "stop_reason": "end_turn",
            "usage": {"input_tokens": 3, "output_tokens": 5}});
        let events = [&[start()][..], &events, &end("end_turn")].concat();
        let told = format!("{told}; ends Stop; in 3 out 5");
        facts.answers(ANTHROPIC, says, &whole.to_string(), &named(&events).concat(), &told).await;
    }
}

/// What the vendor wants back is kept as it came.
#[tokio::test]
async fn signatures_are_kept_for_the_next_request() {
    let facts = Facts::new().await;
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
    let whole = json!({"type": "message", "content": [thought], "stop_reason": "end_turn"}).to_string();
    let events = sse([
        start(),
        block(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, &json!({"type": "signature_delta", "signature": "sig"})),
        stop(0),
        end("end_turn")[1].clone(),
    ]);
    let answer = facts.whole(ANTHROPIC, &super::reply(ANTHROPIC, 200, &[super::JSON], whole)).await.unwrap();
    let (events, _) = facts.streamed(ANTHROPIC, &stream(ANTHROPIC, events)).await;
    let mut streamed = llm_protocol::ResponseBuilder::default();
    for event in &events {
        streamed.absorb(event);
    }
    for answer in [answer, streamed.into_response()] {
        assert_eq!(answer.opaque.len(), 1);
        assert_eq!(serde_json::from_str::<Value>(&answer.opaque[0].part.json).unwrap(), thought);
    }
}

#[tokio::test]
async fn later_counts_of_tokens_replace_what_they_mention() {
    let mut facts = Facts::new().await;
    let all = json!({"input_tokens": 3, "output_tokens": 1,
        "cache_creation_input_tokens": 20, "cache_read_input_tokens": 10});
    for (says, first, later, told) in [
        ("output alone", all.clone(), json!({"output_tokens": 5}), "in 3 out 5 read 10 wrote 20"),
        (
            "null is absent",
            all.clone(),
            json!({"output_tokens": 5, "input_tokens": null}),
            "in 3 out 5 read 10 wrote 20",
        ),
        ("nothing", all.clone(), json!({}), "in 3 out 1 read 10 wrote 20"),
        ("no usage", all.clone(), Value::Null, "in 3 out 1 read 10 wrote 20"),
        (
            "everything anew",
            all,
            json!({"input_tokens": 4, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 30}),
            "in 4 out 5 read 30 wrote 0",
        ),
        ("only in the end", Value::Null, json!({"input_tokens": 4, "output_tokens": 5}), "in 4 out 5"),
        ("not even then", Value::Null, Value::Null, ""),
    ] {
        let mut begin = start();
        begin["message"]["usage"] = first;
        let last = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": later});
        let events = sse([&[begin][..], &text(0, "hi"), &[last, end("")[1].clone()]].concat());
        let told = ["says hi; ends Stop", told].join("; ");
        let told = told.trim_end_matches("; ");
        facts.streams(ANTHROPIC, says, &stream(ANTHROPIC, events), told).await;
    }
    let begin = start();
    let reports = [2, 4, 9].map(
        |output| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output}}),
    );
    let events = sse([&[begin][..], &text(0, "hi"), &reports, &[end("")[1].clone()]].concat());
    facts
        .streams(ANTHROPIC, "sums, not parts", &stream(ANTHROPIC, events), "says hi; ends Stop; in 3 out 9")
        .await;
    for (says, usage, told) in [
        ("without the cache", json!({"input_tokens": 3, "output_tokens": 5}), "in 3 out 5"),
        (
            "the cache is not part of the input",
            json!({"input_tokens": 3, "output_tokens": 5, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 10}),
            "in 3 out 5 read 10 wrote 20",
        ),
        (
            "null",
            json!({"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": null}),
            "in 3 out 5",
        ),
    ] {
        let json = json!({"type": "message", "content": [{"type": "text", "text": "hi"}],
            "stop_reason": "end_turn", "usage": usage});
        let mut begin = start();
        begin["message"]["usage"] = usage;
        let events = sse([&[begin][..], &text(0, "hi"), &end("end_turn")].concat());
        let told = format!("says hi; ends Stop; {told}");
        facts.answers(ANTHROPIC, says, &json.to_string(), &events, &told).await;
    }
}

#[tokio::test]
async fn stop_reasons_have_names_of_ours() {
    let mut facts = Facts::new().await;
    for (reason, told) in [
        ("end_turn", "says hi; ends Stop"),
        ("stop_sequence", "says hi; ends Stop"),
        ("max_tokens", "says hi; ends Length"),
        ("model_context_window_exceeded", "says hi; ends Length"),
        ("tool_use", "says hi; ends ToolCalls"),
        // The conversation can be sent again to go on: no error, and no end that we have a name for.
        ("pause_turn", "says hi; ends Unknown"),
        ("refusal", "says hi; declines ; ends ContentFilter"),
        ("brand_new", "says hi; ends Unknown"),
    ] {
        let json = json!({"type": "message", "content": [{"type": "text", "text": "hi"}],
            "stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 5}});
        let events = sse([&[start()][..], &text(0, "hi"), &end(reason)].concat());
        let told = format!("{told}; in 3 out 5");
        facts.answers(ANTHROPIC, reason, &json.to_string(), &events, &told).await;
    }
}
