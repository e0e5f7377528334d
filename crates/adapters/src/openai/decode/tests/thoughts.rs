//! Reasoning that hosts want back.

use super::*;

fn opaque(response: &Response) -> Vec<(usize, usize, Value)> {
    let parts = response.opaque.iter();
    assert!(response.opaque.iter().all(|placed| placed.part.provider == "acme"));
    parts.map(|placed| (placed.after_text, placed.after_calls, read(&placed.part.json))).collect()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
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
        let said = json!({"content": "a", "reasoning_details": nothing});
        assert!(opaque(&whole(&said)).is_empty());
        assert!(opaque(&streamed(&[said])).is_empty());
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
fn details_that_came_whole_stay_as_they_are() {
    let signed = |text: &str| json!({"type": "reasoning.text", "text": text, "signature": text, "index": 0});
    let details = json!({"reasoning_details": [signed("a"), signed("b")], "content": "x"});
    let kept = json!({"reasoning_details": [signed("a"), signed("b")]});
    assert_eq!(opaque(&whole(&details)), [(1, 0, kept.clone())]);
    // One that is signed is at its end, in a stream too.
    assert_eq!(opaque(&streamed(&[details])), [(1, 0, kept)]);
    let spelt = r#"{"choices":[{"message":{"content":"x","reasoning_details":[{"z":1.50,"a":1}]}}]}"#;
    let answer = OPEN_AI.decode("acme", spelt.as_bytes()).unwrap();
    assert_eq!(answer.opaque[0].part.json, r#"{"reasoning_details":[{"z":1.50,"a":1}]}"#);
}

#[test]
fn a_host_that_wants_its_reasoning_back_gets_all_of_it() {
    let body = json!({"choices": [{"message": {"reasoning_content": "Hm.", "content": "a"}}]}).to_string();
    let answer = OPEN_AI.decode("deepseek", body.as_bytes()).unwrap();
    assert_eq!(read(&answer.opaque[0].part.json), json!({"reasoning_content": "Hm."}));
}

#[test]
fn what_hosts_say_of_calls_is_kept_with_their_ids() {
    let call = json!({
        "index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "signed"}},
    });
    let kept = json!({"tool_calls": [{"id": "a", "extra_content": call["extra_content"]}]});
    assert_eq!(opaque(&streamed(&[json!({"tool_calls": [call]})])), [(0, 1, kept.clone())]);
    assert_eq!(opaque(&whole(&json!({"content": null, "tool_calls": [call]}))), [(0, 1, kept)]);
}

#[test]
fn what_hosts_say_of_calls_without_ids_is_kept_with_those_that_they_get() {
    let call = |index: u32, id: &str| {
        json!({
            "index": index, "id": id, "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"signature": index},
        })
    };
    for ids in [["", ""], ["a", "a"]] {
        let calls = json!([call(0, ids[0]), call(1, ids[1])]);
        for answer in
            [streamed(&[json!({"tool_calls": calls})]), whole(&json!({"content": null, "tool_calls": calls}))]
        {
            let of = |place: usize| json!({"id": answer.tool_calls[place].id, "extra_content": {"signature": place}});
            assert_eq!(opaque(&answer)[0].2, json!({"tool_calls": [of(0), of(1)]}), "{ids:?}");
        }
    }
}

#[test]
fn thinking_that_does_not_show_is_work_all_the_same() {
    let details = json!([{"type": "reasoning.encrypted", "data": "…", "index": 0}]);
    let (events, _) = super::read(&[&chunk(&json!({"reasoning_details": details}), None)]);
    assert_eq!(events[1..], [StreamEvent::Working]);
}

#[test]
fn more_members_than_anyone_can_want_back_are_no_answer() {
    let details = format!("[{}{{}}]", "{},".repeat(1 << 16));
    let data = format!(r#"{{"choices":[{{"delta":{{"reasoning_details":{details}}}}}]}}"#);
    let body = sse([data.as_str()]);
    let mut events = crate::stream::Events::new(OPEN_AI.decoder("acme"), 1 << 30, false);
    events.push(body.as_bytes());
    let failed =
        matches!(events.step(), crate::stream::Step::Failed(failure) if failure.kind == ErrorKind::Protocol);
    assert!(failed);
}

#[test]
fn a_long_thought_in_small_pieces_is_one() {
    let piece = json!({"reasoning_details": [{"type": "reasoning.text", "text": "a, ", "index": 0}]});
    let data = chunk(&piece, None);
    let pieces = (1 << 16) + 10;
    let end = chunk(&json!({"content": "x"}), Some("stop"));
    let body = format!("data: {data}\n\n").repeat(pieces) + &sse([end.as_str()]);
    let (events, ending) = testing::read(&OPEN_AI, [body.as_bytes()]);
    assert!(ending.is_ok());
    let json = read(&testing::collect(&events).opaque[0].part.json);
    assert_eq!(json["reasoning_details"][0]["text"].as_str().unwrap().len(), 3 * pieces);
}
