//! What Anthropic refuses of the fields of a request.

use llm_simulator::{Behaviour, Wire};
use serde_json::{Value, json};

use crate::{
    accepted, asker,
    common::{read, within},
    refused, with,
};

pub(crate) fn messages(messages: Value) -> Value {
    json!({"messages": messages})
}

pub(crate) fn user(content: Value) -> Value {
    messages(json!([{"role": "user", "content": content}]))
}

pub(crate) fn said(content: Value) -> Value {
    messages(json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]))
}

pub(crate) fn call(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}})
}

pub(crate) fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "a"})
}

/// A conversation with everything in it that is allowed.
pub(crate) fn whole() -> Value {
    json!({
        "model": "claude-x",
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "metadata": {"user_id": "me"},
        "stop_sequences": ["END"],
        "temperature": 1.0,
        "top_k": 5,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto"},
        "output_config": {"effort": "low"},
        "messages": [
            {"role": "user", "content": "What is this?"},
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "text", "text": "And this?", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [{"type": "text", "text": "I look"}, call("toolu_1"), call("toolu_2")]},
            {"role": "user", "content": [result("toolu_2")]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [{"type": "text", "text": "No"}]},
                {"type": "text", "text": "So?"},
            ]},
            {"role": "assistant", "content": "It is"},
        ],
    })
}

#[tokio::test]
async fn a_conversation_with_everything_is_answered() {
    let (_simulator, asker) = asker().await;
    accepted(&asker, Wire::Anthropic, &whole()).await;
}

#[tokio::test]
async fn fields_are_refused_in_the_vendors_words() {
    let (_simulator, asker) = asker().await;
    let mark = |kind: Value| json!({"system": [{"type": "text", "text": "a", "cache_control": kind}]});
    let five: Vec<Value> = (0..5)
        .map(|_| json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}))
        .collect();
    let format = |format: Value| json!({"output_config": {"format": format}});
    for (fields, says) in [
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"max_tokens": "9"}), "max_tokens: Input should be a valid integer"),
        (json!({"max_tokens": -1}), "max_tokens: Input should be a valid integer"),
        (json!({"max_tokens": 0}), "max_tokens: must be greater than or equal to 1"),
        (json!({"frequency_penalty": 1}), "frequency_penalty: Extra inputs are not permitted"),
        (json!({"max_completion_tokens": 1}), "max_completion_tokens: Extra inputs are not permitted"),
        (json!({"stop": ["a"]}), "stop: Extra inputs are not permitted"),
        (json!({"response_format": {}}), "response_format: Extra inputs are not permitted"),
        (json!({"temperature": 1.5}), "temperature: range: 0..1"),
        (json!({"temperature": -0.1}), "temperature: range: 0..1"),
        (json!({"top_p": 2}), "top_p: range: 0..1"),
        (json!({"stop_sequences": "END"}), "stop_sequences: Input should be a valid list"),
        (json!({"stop_sequences": [" "]}), "each stop sequence must contain non-whitespace"),
        (json!({"system": {"text": "a"}}), "system: Input should be a valid list"),
        (json!({"system": [{"type": "text", "text": ""}]}), "system: text content blocks must be non-empty"),
        (json!({"thinking": {"type": "on"}}), "thinking: Input tag 'on'"),
        (json!({"thinking": {"type": "enabled"}}), "budget_tokens: Field required"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 9}}), "greater than or equal to 1024"),
        (json!({"max_tokens": 1024}), "`max_tokens` must be greater than `thinking.budget_tokens`"),
        (json!({"temperature": 0.5}), "`temperature` may only be set to 1 when thinking is enabled"),
        (
            json!({"tool_choice": {"type": "any"}}),
            "Thinking may not be enabled when tool_choice forces tool use",
        ),
        (json!({"tools": null}), "`tool_use` or `tool_result` blocks must define tools"),
        (
            json!({"tools": [], "messages": [{"role": "user", "content": "Hi"}]}),
            "tool_choice may only be specified",
        ),
        (json!({"tool_choice": {"type": "required"}}), "tool_choice: Input tag 'required'"),
        (json!({"tool_choice": {"type": "tool", "name": "g"}}), "Tool 'g' not found in provided tools"),
        (json!({"tools": [{"input_schema": {"type": "object"}}]}), "tools.0.custom.name: Field required"),
        (
            json!({"tools": [{"name": "a b", "input_schema": {}}]}),
            "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (
            json!({"tools": [{"name": "f".repeat(129), "input_schema": {"type": "object"}}]}),
            "tools.0.custom.name: String should match pattern",
        ),
        (json!({"tools": [{"name": "f", "input_schema": {}}]}), "input_schema.type: Field required"),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "object", "anyOf": []}}]}),
            "input_schema does not support oneOf, allOf, or anyOf at the top level",
        ),
        (json!({"betas": ["a"]}), "betas: Extra inputs are not permitted"),
        (
            json!({"system": [{"type": "text", "text": "a", "title": "b"}]}),
            "system.0.title: Extra inputs are not permitted",
        ),
        (json!({"tools": [{"name": "f"}]}), "tools.0.custom.input_schema: Field required"),
        (json!({"tools": [{"name": "f", "input_schema": {"type": "string"}}]}), "Input should be 'object'"),
        (json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), "name: Field required"),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}, {"name": "f", "input_schema": {"type": "object"}}]}),
            "Tool names must be unique",
        ),
        (mark(json!({"type": "permanent"})), "Input tag 'permanent'"),
        (mark(json!({"type": "ephemeral", "ttl": "1d"})), "Input should be '5m' or '1h'"),
        (json!({"system": five}), "A maximum of 4 blocks with cache_control may be provided. Found 6."),
        (format(json!({"type": "json_object"})), "output_config.format.type: Input should be 'json_schema'"),
        (format(json!({"type": "json_schema"})), "output_config.format.schema: Field required"),
        (
            format(json!({"type": "json_schema", "schema": {"type": "object", "properties": {}}})),
            "'additionalProperties' must be explicitly set to false",
        ),
        (
            json!({"output_format": {"type": "json_schema", "schema": {"anyOf": [{"type": "object"}]}}}),
            "output_format.schema: For 'object' type",
        ),
    ] {
        refused(&asker, Wire::Anthropic, &with(&whole(), &fields), says).await;
    }
}

#[tokio::test]
async fn the_version_is_required_and_decides_about_sampling() {
    let (simulator, asker) = asker().await;
    let url = format!("{}/v1/messages", simulator.base_url());
    let hi = with(&user(json!("Hi")), &json!({"model": "m", "max_tokens": 9}));
    for (version, fields, says) in [
        (None, json!({}), "anthropic-version: header is required"),
        (Some("2023-06-01"), json!({"temperature": 0.5, "top_p": 1, "top_k": 1}), ""),
        (Some("2026-10-20"), json!({"temperature": 0.5}), ""),
        (Some("2026-10-21"), json!({}), ""),
        (Some("2026-10-21"), json!({"temperature": null}), ""),
        (Some("2026-10-21"), json!({"temperature": 0.5}), "temperature: not supported"),
        (Some("2026-10-21"), json!({"top_p": 0.5}), "top_p: not supported"),
        (Some("2027-01-01"), json!({"top_k": 1}), "top_k: not supported"),
    ] {
        let request = asker.client.post(&url).body(with(&hi, &fields).to_string());
        let request = match version {
            Some(version) => request.header("anthropic-version", version),
            None => request,
        };
        let seen = read(within(request.send()).await.unwrap()).await;
        assert_eq!(seen.status, if says.is_empty() { 200 } else { 400 }, "{version:?} {fields}");
        assert!(seen.text().contains(says), "{}", seen.text());
    }
}

#[tokio::test]
async fn a_refusal_takes_no_step_and_can_be_switched_off() {
    let (simulator, asker) = asker().await;
    simulator.script("claude-x", [Behaviour::status(529), Behaviour::default().lenient()]);
    let bad = with(&whole(), &json!({"seed": 1}));
    refused(&asker, Wire::Anthropic, &bad, "seed: Extra inputs").await;
    assert_eq!(asker.ask_with(Wire::Anthropic, &whole()).await.status, 529);
    accepted(&asker, Wire::Anthropic, &bad).await;
    refused(&asker, Wire::Anthropic, &with(&bad, &json!({"max_tokens": null})), "max_tokens: Field required")
        .await;
    simulator.on("claude-x", Behaviour::default().refuses("top_k"));
    refused(&asker, Wire::Anthropic, &whole(), "top_k: Extra inputs are not permitted").await;
}
