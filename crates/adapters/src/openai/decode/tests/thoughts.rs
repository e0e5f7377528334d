//! Reasoning that hosts want back.

use super::*;

fn opaque(response: &Response) -> Vec<(usize, usize, Value)> {
    let parts = response.opaque.iter();
    assert!(response.opaque.iter().all(|placed| placed.part.provider == "acme"));
    parts.map(|placed| (placed.after_text, placed.after_calls, placed.part.value.clone())).collect()
}

fn streamed(deltas: &[Value]) -> Response {
    let mut data: Vec<String> = deltas.iter().map(|delta| chunk(delta, None)).collect();
    data.push(chunk(&json!({}), Some("stop")));
    let (events, ending) = testing::read(&OPEN_AI, [sse(data.iter().map(String::as_str)).as_bytes()]);
    assert!(ending.is_ok());
    testing::collect(&events)
}

fn whole(message: &Value) -> Response {
    let body = json!({"choices": [{"message": message, "finish_reason": "stop"}]});
    OPEN_AI.decode("acme", body.to_string().as_bytes()).unwrap()
}

#[test]
fn details_are_put_together_and_kept() {
    let text = |text: &str, signature: Option<&str>| json!({"type": "reasoning.text", "text": text, "signature": signature, "index": 0});
    let secret = json!({"type": "reasoning.encrypted", "data": "…", "index": 1});
    let response = streamed(&[
        json!({"reasoning": "Let ", "reasoning_details": [text("Let ", None)]}),
        json!({"reasoning": "me.", "reasoning_details": [text("me.", None)]}),
        json!({"reasoning_details": [text("", Some("signed")), secret]}),
        json!({"content": "Well"}),
    ]);
    let details = json!({"reasoning_details": [text("Let me.", Some("signed")), secret]});
    assert_eq!(opaque(&response), [(4, 0, details.clone())]);
    assert_eq!((response.reasoning.as_deref(), &*response.text), (Some("Let me."), "Well"));

    let mut message = details.clone();
    message["content"] = "Well".into();
    assert_eq!(opaque(&whole(&message)), [(4, 0, details)]);
    for nothing in [json!(null), json!([]), json!("words")] {
        assert!(opaque(&streamed(&[json!({"content": "a", "reasoning_details": nothing})])).is_empty());
    }
}

#[test]
fn what_led_to_a_call_is_kept_with_it() {
    let call = json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]);
    let thought = json!({"reasoning_content": "I need f."});
    let response = streamed(&[
        json!({"reasoning_content": "I need "}),
        json!({"reasoning_content": "f.", "tool_calls": call}),
    ]);
    assert_eq!(opaque(&response), [(0, 1, thought.clone())]);
    let message = json!({"content": null, "reasoning_content": "I need f.", "tool_calls": call});
    assert_eq!(opaque(&whole(&message)), [(0, 1, thought)]);
    // Without a call nobody wants it back, and some refuse it.
    assert!(opaque(&streamed(&[json!({"reasoning_content": "Hm.", "content": "a"})])).is_empty());
    assert!(opaque(&whole(&json!({"reasoning_content": "Hm.", "content": "a"}))).is_empty());
}

#[test]
fn more_than_anyone_can_want_back_is_no_answer() {
    let details = format!("[{}1]", "1,".repeat(1 << 20));
    let data = format!(r#"{{"choices":[{{"delta":{{"reasoning_details":{details}}}}}]}}"#);
    let body = sse([data.as_str()]);
    let mut events = crate::stream::Events::new(OPEN_AI.decoder("acme"), 1 << 30, false);
    events.push(body.as_bytes());
    let failed =
        matches!(events.step(), crate::stream::Step::Failed(failure) if failure.kind == ErrorKind::Protocol);
    assert!(failed);
}
