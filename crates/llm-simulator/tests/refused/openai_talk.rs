//! What OpenAI refuses of a conversation.

use llm_simulator::Wire;
use serde_json::{Value, json};

use crate::{asker, openai::*, refused, with};

#[tokio::test]
async fn messages_are_refused_in_the_vendors_words() {
    let (_simulator, asker) = asker().await;
    let image = |url: Value| user(json!([{"type": "image_url", "image_url": url}]));
    let said = |message: Value| json!({"messages": [{"role": "user", "content": "Hi"}, message]});
    for (fields, says) in [
        (
            said(json!({"role": "model", "content": "a"})),
            "Invalid value: 'model'. Supported values are: 'system'",
        ),
        (said(json!({"content": "a"})), "Missing required parameter: 'messages[1].role'"),
        (said(json!("Hi")), "Invalid type for 'messages[1]'"),
        (user(json!(1)), "expected one of a string or array of objects, but got an integer"),
        (user(Value::Null), "expected a string, got null"),
        (user(json!([])), "Invalid 'messages[0].content': empty array"),
        (said(json!({"role": "assistant"})), "Missing required parameter: 'messages[1].content'"),
        (said(json!({"role": "assistant", "content": null})), "expected a string, got null"),
        (user(json!(["Hi"])), "Invalid type for 'messages[0].content[0]'"),
        (user(json!([{"type": "image", "source": {}}])), "Invalid value: 'image'"),
        (user(json!([{"type": "tool_result"}])), "Invalid value: 'tool_result'"),
        (user(json!([{"type": "refusal", "refusal": "a"}])), "Supported values are: 'text', 'image_url'"),
        (user(json!([{"type": "text"}])), "Missing required parameter: 'messages[0].content[0].text'"),
        (said(json!({"role": "assistant", "content": [{"type": "thinking"}]})), "Invalid value: 'thinking'"),
        (
            said(
                json!({"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "https://a.b"}}]}),
            ),
            "Image URLs are only allowed for messages with role 'user'",
        ),
        (user(json!([{"type": "image_url"}])), "'messages[0].content[0].image_url'"),
        (image(json!("https://a.b")), "expected an object, but got a string"),
        (image(json!({})), "'messages[0].content[0].image_url.url'"),
        (image(json!({"url": "ftp://a.b/c"})), "Expected a valid URL"),
        (image(json!({"url": "data:image/png;base64,a?"})), "Invalid base64 image_url"),
        (image(json!({"url": "data:image/png,aGk="})), "Invalid base64 image_url"),
        (image(json!({"url": "data:image/tiff;base64,aGk="})), "unsupported image"),
    ] {
        refused(&asker, Wire::OpenAi, &with(&whole(), &fields), says).await;
    }
}

#[tokio::test]
async fn calls_without_results_and_results_without_calls_are_refused() {
    let (_simulator, asker) = asker().await;
    let turn = |calls: Value| json!({"role": "assistant", "content": "a", "tool_calls": calls});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "a"});
    let hi = json!({"role": "user", "content": "Hi"});
    let long = "c".repeat(41);
    let named =
        |name: &str| json!({"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}});
    let preceeding =
        "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
    let unanswered = "The following tool_call_ids did not have response messages: ";
    for (messages, says) in [
        (json!([hi, result("c")]), preceeding.to_owned()),
        (json!([hi, turn(json!([call("c")])), result("d")]), preceeding.to_owned()),
        (json!([hi, turn(json!([call("c")])), result("c"), hi, result("c")]), preceeding.to_owned()),
        (
            json!([hi, turn(json!([call("c")])), result("c"), result("d")]),
            "'d' not found in 'tool_calls'".to_owned(),
        ),
        (
            json!([hi, turn(json!([call("c")])), result("c"), result("c")]),
            "Duplicate value for 'tool_call_id' of 'c', in messages[2] and messages[3].".to_owned(),
        ),
        (json!([hi, turn(json!([call("c")]))]), format!("{unanswered}c")),
        (json!([hi, turn(json!([call("c"), call("d")])), result("d"), hi]), format!("{unanswered}c")),
        (json!([hi, turn(json!([call("c"), call("d")])), hi]), format!("{unanswered}c, d")),
        (json!([hi, turn(json!([call("c"), call("c")])), result("c")]), "Duplicate tool call id".to_owned()),
        (
            json!([hi, turn(json!([call(&long)])), result(&long)]),
            "maximum length 40, but got a string with length 41".to_owned(),
        ),
        (json!([hi, turn(json!([]))]), "Invalid 'messages[1].tool_calls': empty array".to_owned()),
        (json!([hi, turn(Value::Null)]), "expected an array of objects, but got null".to_owned()),
        (json!([hi, turn(json!([{"type": "function"}]))]), "'messages[1].tool_calls[0].id'".to_owned()),
        (json!([hi, turn(json!([{"id": "c"}]))]), "'messages[1].tool_calls[0].type'".to_owned()),
        (
            json!([hi, turn(json!([{"id": "c", "type": "function"}]))]),
            "'messages[1].tool_calls[0].function'".to_owned(),
        ),
        (
            json!([
                hi,
                turn(json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}}]))
            ]),
            "'messages[1].tool_calls[0].function.arguments': expected a string, but got an object".to_owned(),
        ),
        (json!([hi, {"role": "tool", "content": "a"}]), "'messages[1].tool_call_id'".to_owned()),
        (json!([hi, result("")]), "Invalid 'messages[1].tool_call_id': empty string".to_owned()),
        (
            json!([hi, turn(json!([call("")])), result("")]),
            "Invalid 'messages[1].tool_calls[0].id': empty string".to_owned(),
        ),
        (
            json!([hi, turn(json!([call("c")])), {"role": "assistant", "content": "a"}, result("c")]),
            format!("{unanswered}c"),
        ),
        (
            json!([hi, turn(json!([named("a b")])), result("c")]),
            "Invalid 'messages[1].tool_calls[0].function.name': string does not match pattern".to_owned(),
        ),
        (
            json!([hi, turn(json!([named(&"f".repeat(65))])), result("c")]),
            "'messages[1].tool_calls[0].function.name': string too long".to_owned(),
        ),
        (
            json!([hi, turn(json!([{"id": "c", "type": "web"}])), result("c")]),
            "Supported values are: 'function', 'custom'".to_owned(),
        ),
    ] {
        refused(&asker, Wire::OpenAi, &with(&whole(), &json!({"messages": messages})), &says).await;
    }
    let error =
        asker.ask_with(Wire::OpenAi, &with(&whole(), &json!({"messages": [hi, result("c")]}))).await.json();
    assert_eq!(
        (&error["error"]["param"], &error["error"]["code"]),
        (&json!("messages.[1].role"), &Value::Null)
    );
}

#[tokio::test]
async fn what_the_simulator_does_not_make_is_let_pass() {
    let (_simulator, asker) = asker().await;
    let file = json!({"type": "file", "file": {"file_id": "file-1"}});
    let audio = json!({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}});
    let called = json!({"id": "c", "type": "custom", "custom": {"name": "g", "input": "any text"}});
    let body = json!({
        "model": "m",
        "tools": [tool(), {"type": "custom", "custom": {"name": "g"}}],
        "tool_choice": {"type": "custom", "custom": {"name": "g"}},
        "messages": [
            {"role": "user", "content": [file, audio]},
            {"role": "assistant", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "c", "content": "a"},
        ],
    });
    let seen = asker.ask_with(Wire::OpenAi, &body).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    let said = json!({"messages": [{"role": "system", "content": [file]}]});
    refused(&asker, Wire::OpenAi, &with(&whole(), &said), "Invalid value: 'file'").await;
}
