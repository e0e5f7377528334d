//! Blocks that only the vendor can read, streamed and whole.

use super::*;

fn start(index: u32, block: &Value) -> String {
    json!({"type": "content_block_start", "index": index, "content_block": block}).to_string()
}

fn delta(index: u32, delta: &Value) -> String {
    json!({"type": "content_block_delta", "index": index, "delta": delta}).to_string()
}

fn stop(index: u32) -> String {
    json!({"type": "content_block_stop", "index": index}).to_string()
}

fn streamed(blocks: &[String]) -> Response {
    let events: Vec<&str> =
        [START].into_iter().chain(blocks.iter().map(String::as_str)).chain([STOP]).collect();
    answer(&sse(events))
}

fn whole(blocks: &[Value]) -> Response {
    let body = json!({"type": "message", "content": blocks, "stop_reason": "end_turn"});
    anthropic().decode("acme", body.to_string().as_bytes()).unwrap()
}

fn opaque(response: &Response) -> Vec<(usize, usize, Value)> {
    assert!(response.opaque.iter().all(|placed| placed.part.provider == "acme"));
    let parts = response.opaque.iter();
    parts.map(|placed| (placed.after_text, placed.after_calls, read(&placed.part.json))).collect()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

#[test]
fn each_is_kept_whole_and_in_its_place() {
    let thought = |text: &str| json!({"type": "thinking", "thinking": text, "signature": "signed"});
    let secret = json!({"type": "redacted_thinking", "data": "…"});
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}});
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "y"}]});
    let news = json!({"type": "brand_new", "content": "abc", "n": 1});
    let blocks = [
        thought("Let me see."),
        secret.clone(),
        search.clone(),
        found.clone(),
        json!({"type": "text", "text": "Well"}),
        thought(""),
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {}}),
        news.clone(),
    ];
    let places = [
        (0, 0, thought("Let me see.")),
        (0, 0, secret.clone()),
        (0, 0, search),
        (0, 0, found.clone()),
        (4, 0, thought("")),
        (4, 1, news),
    ];
    let response = whole(&blocks);
    assert_eq!(opaque(&response), places);
    assert_eq!(response.reasoning.as_deref(), Some("Let me see."));

    let response = streamed(&[
        start(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "Let me"})),
        delta(0, &json!({"type": "thinking_delta", "thinking": " see."})),
        delta(0, &json!({"type": "signature_delta", "signature": "signed"})),
        stop(0),
        start(1, &secret),
        stop(1),
        start(2, &json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "{\"query\":"})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "\"x\"}"})),
        stop(2),
        start(3, &found),
        stop(3),
        start(4, &json!({"type": "text", "text": ""})),
        delta(4, &json!({"type": "text_delta", "text": "Well"})),
        delta(4, &json!({"type": "citations_delta", "citation": {"url": "z"}})),
        stop(4),
        // Some models do not show what they think, and sign it all the same.
        start(5, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(5, &json!({"type": "signature_delta", "signature": "signed"})),
        stop(5),
        start(6, &json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
        stop(6),
        // Never stopped: it is at its end when the message is.
        start(7, &json!({"type": "brand_new", "content": "a", "n": 1})),
        delta(7, &json!({"type": "brand_new_delta", "content": "bc", "n": 1})),
    ]);
    assert_eq!(opaque(&response), places);
    assert_eq!((&*response.text, response.reasoning.as_deref()), ("Well", Some("Let me see.")));
    assert_eq!(response.tool_calls.len(), 1);
}

#[test]
fn thoughts_that_nobody_signed_are_not_sent_back() {
    let thought = json!({"type": "thinking", "thinking": "hm"});
    for response in [
        whole(&[thought.clone(), json!({"type": "text", "text": "a"})]),
        streamed(&[start(0, &thought), stop(0), text("a")]),
    ] {
        assert_eq!((opaque(&response), response.reasoning.as_deref()), (vec![], Some("hm")));
    }
}

#[test]
fn neither_depth_nor_number_costs_more_than_its_bytes() {
    let deep = format!(r#"{{"type":"x","data":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let wide = format!(r#"{{"type":"x","data":[{}1]}}"#, "1,".repeat(1 << 20));
    for block in [deep, wide] {
        let body = format!(r#"{{"type":"message","content":[{block}],"stop_reason":"end_turn"}}"#);
        let answer = anthropic().decode("acme", body.as_bytes()).unwrap();
        assert_eq!(answer.opaque[0].part.json, block);
        let start = format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
        let body = format!("data: {START}\n\ndata: {start}\n\ndata: {STOP}\n\n");
        let mut events = crate::stream::Events::new(anthropic().decoder("acme"), 1 << 30, false);
        events.push(body.as_bytes());
        let parts = std::iter::from_fn(|| match events.step() {
            crate::stream::Step::Event(event) => Some(event),
            _ => None,
        });
        let kept = parts.filter_map(|event| match event {
            StreamEvent::Opaque(part) => Some(part.json),
            _ => None,
        });
        assert_eq!(kept.collect::<Vec<_>>(), [block]);
    }
}

#[test]
fn more_members_than_anyone_can_want_back_are_no_answer() {
    let members: Vec<String> = (0..=256).map(|number| format!(r#""{number}":0"#)).collect();
    let block = format!("{{{}}}", members.join(","));
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"x"}}"#;
    let delta = format!(r#"{{"type":"content_block_delta","index":0,"delta":{block}}}"#);
    let body = format!("data: {START}\n\ndata: {start}\n\ndata: {delta}\n\n");
    let mut events = crate::stream::Events::new(anthropic().decoder("acme"), 1 << 30, false);
    events.push(body.as_bytes());
    let failure = std::iter::from_fn(|| match events.step() {
        crate::stream::Step::Failed(failure) => Some(Some(failure.kind)),
        crate::stream::Step::MoreBytes | crate::stream::Step::Done => None,
        crate::stream::Step::Event(_) => Some(None),
    });
    assert_eq!(failure.flatten().next(), Some(ErrorKind::Protocol));
}
