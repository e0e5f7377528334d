//! What Anthropic refuses of a conversation.

use llm_simulator::{Behaviour, Wire};
use serde_json::{Value, json};

use crate::{accepted, anthropic::*, asker, refused, with};

#[tokio::test]
async fn messages_are_refused_in_the_vendors_words() {
    let (_simulator, asker) = asker().await;
    let image = |source: Value| user(json!([{"type": "image", "source": source}]));
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    for (fields, says) in [
        (messages(json!([{"role": "system", "content": "a"}])), "Unexpected role \"system\""),
        (
            messages(json!([{"role": "tool", "content": "a"}])),
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        (
            messages(json!([{"role": "assistant", "content": "a"}])),
            "first message must use the \"user\" role",
        ),
        (messages(json!([{"role": "user", "content": "a", "name": "b"}])), "messages.0.name: Extra inputs"),
        (messages(json!(["a"])), "messages.0: Input should be a valid dictionary"),
        (user(json!(1)), "messages.0.content: Input should be a valid list"),
        (user(Value::Null), "messages.0.content: Input should be a valid list"),
        (messages(json!([{"role": "user"}])), "messages.0.content: Field required"),
        (user(json!([])), "messages must have non-empty content"),
        (user(json!("")), "messages must have non-empty content"),
        (user(json!(" \n")), "text content blocks must contain non-whitespace text"),
        (user(text("")), "text content blocks must be non-empty"),
        (user(text(" ")), "text content blocks must contain non-whitespace text"),
        (said(text("a ")), "final assistant content cannot end with trailing whitespace"),
        (said(json!("a\n")), "final assistant content cannot end with trailing whitespace"),
        (user(json!([{"type": "image_url", "image_url": {"url": "https://a.b"}}])), "Input tag 'image_url'"),
        (
            user(json!([{"type": "text", "text": "a", "extra": 1}])),
            "messages.0.content.0.text.extra: Extra inputs",
        ),
        (user(json!([{"text": "a"}])), "messages.0.content.0.type: Field required"),
        (user(json!(["a"])), "messages.0.content.0: Input should be a valid dictionary"),
        (image(json!({"type": "path", "url": "a"})), "Input tag 'path'"),
        (
            image(json!({"type": "base64", "media_type": "image/tiff", "data": "aGk="})),
            "'image/jpeg', 'image/png'",
        ),
        (image(json!({"type": "base64", "media_type": "image/png", "data": "a?"})), "invalid base64 data"),
        (image(json!({"type": "base64", "media_type": "image/png"})), "data: Field required"),
        (image(json!({"type": "url", "url": "data:image/png;base64,aGk="})), "Only HTTP and HTTPS URLs"),
        (said(json!([{"type": "image", "source": {}}])), "`image` blocks can only be in `user` messages"),
        (
            said(json!([{"type": "redacted_thinking", "data": "c2VjcmV0"}])),
            "Invalid `data` in `redacted_thinking` block",
        ),
        (said(json!([{"type": "thinking", "thinking": "a"}])), "thinking.signature: Field required"),
        (
            said(json!([{"type": "thinking", "thinking": "a", "signature": "c2VjcmV0"}])),
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
        (
            user(json!([{"type": "thinking", "thinking": "a", "signature": "b"}])),
            "can only be in `assistant` messages",
        ),
    ] {
        refused(&asker, Wire::Anthropic, &with(&whole(), &fields), says).await;
    }
    accepted(&asker, Wire::Anthropic, &with(&whole(), &said(json!("")))).await;
    accepted(&asker, Wire::Anthropic, &with(&whole(), &said(json!([])))).await;
}

#[tokio::test]
async fn calls_without_results_and_results_without_calls_are_refused() {
    let (_simulator, asker) = asker().await;
    let talk = |turns: Vec<Value>| {
        let roles = ["user", "assistant"].into_iter().cycle();
        let turns =
            turns.into_iter().zip(roles).map(|(content, role)| json!({"role": role, "content": content}));
        messages(turns.collect())
    };
    let hi = || json!("Hi");
    let say = || json!({"type": "text", "text": "So?"});
    let without = "`tool_use` ids were found without `tool_result` blocks immediately after: ";
    let unexpected = "unexpected `tool_use_id` found in `tool_result` blocks: ";
    let odd = |field: &str, value: Value| {
        let mut call = call("c");
        call[field] = value;
        call
    };
    for (turns, says) in [
        (vec![hi(), json!([call("c")])], format!("messages.1: {without}c")),
        (vec![hi(), json!([call("c")]), hi()], format!("{without}c")),
        (vec![hi(), json!([call("c"), call("d")]), json!([result("c")])], format!("{without}d")),
        (vec![hi(), json!([call("c")]), json!([say(), result("c")])], format!("{without}c")),
        (vec![json!([result("c")])], format!("messages.0.content.0: {unexpected}c")),
        (vec![hi(), json!([say()]), json!([result("c")])], format!("{unexpected}c")),
        (
            vec![hi(), json!([call("c")]), json!([result("c"), result("d")])],
            format!("messages.2.content.1: {unexpected}d"),
        ),
        (
            vec![hi(), json!([call("c")]), json!([result("c"), result("c")])],
            "must have a single result".to_owned(),
        ),
        (
            vec![hi(), json!([call("c")]), json!([result("c")]), json!([call("c")]), json!([result("c")])],
            "`tool_use` ids must be unique".to_owned(),
        ),
        (vec![json!([call("c")])], "`tool_use` blocks can only be in `assistant` messages".to_owned()),
        (vec![hi(), json!([result("c")])], "`tool_result` blocks can only be in `user` messages".to_owned()),
        (
            vec![hi(), json!([call("c|1")]), json!([result("c|1")])],
            "should match pattern '^[a-zA-Z0-9_-]+$'".to_owned(),
        ),
        (
            vec![hi(), json!([odd("input", json!("{}"))])],
            "input: Input should be a valid dictionary".to_owned(),
        ),
        (
            vec![hi(), json!([odd("input", Value::Null)])],
            "input: Input should be a valid dictionary".to_owned(),
        ),
        (
            vec![hi(), json!([odd("index", json!(0))])],
            "tool_use.index: Extra inputs are not permitted".to_owned(),
        ),
        (
            vec![
                hi(),
                json!([call("c")]),
                json!([{"type": "tool_result", "tool_use_id": "c", "content": {"a": 1}}]),
            ],
            "tool_result.content: Input should be a valid list".to_owned(),
        ),
        (
            vec![
                hi(),
                json!([call("c")]),
                json!([{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "json"}]}]),
            ],
            "Input tag 'json'".to_owned(),
        ),
        (
            vec![
                hi(),
                json!([call("c")]),
                json!([{"type": "tool_result", "tool_use_id": "c", "is_error": true}]),
            ],
            "content cannot be empty if `is_error` is true".to_owned(),
        ),
    ] {
        refused(&asker, Wire::Anthropic, &with(&whole(), &talk(turns)), &says).await;
    }
    // A text before the results spoils them even in a message of its own.
    let split =
        messages(json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [call("c")]},
        {"role": "user", "content": "So?"}, {"role": "user", "content": [result("c")]}]));
    refused(&asker, Wire::Anthropic, &with(&whole(), &split), without).await;
}

#[tokio::test]
async fn reasoning_comes_back_with_its_own_signature_only() {
    let (simulator, asker) = asker().await;
    simulator.on("m", Behaviour::answer("Yes").reasoning("Hm").redacted_reasoning("hush"));
    let content = asker.ask(Wire::Anthropic, "m", false).await.json()["content"].clone();
    // Another simulator is the same vendor.
    let (_other, other) = crate::asker().await;
    let body = with(&whole(), &said(content.clone()));
    accepted(&asker, Wire::Anthropic, &body).await;
    accepted(&other, Wire::Anthropic, &body).await;
    let mut changed = content.clone();
    changed[0]["thinking"] = json!("Hm!");
    refused(
        &asker,
        Wire::Anthropic,
        &with(&whole(), &said(changed)),
        "Invalid `signature` in `thinking` block",
    )
    .await;
    let mut changed = content;
    changed[1]["data"] = changed[0]["signature"].clone();
    refused(
        &asker,
        Wire::Anthropic,
        &with(&whole(), &said(changed)),
        "Invalid `data` in `redacted_thinking` block",
    )
    .await;
}
