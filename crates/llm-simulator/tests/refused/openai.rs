//! What OpenAI refuses of the fields of a request.

use llm_simulator::{Behaviour, Wire};
use serde_json::{Value, json};

use crate::{asker, refused, with};

pub(crate) fn tool() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    json!({"type": "function", "function": {"name": "f", "parameters": schema, "strict": true}})
}

pub(crate) fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
}

pub(crate) fn user(content: Value) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

/// A conversation with everything in it that is allowed.
pub(crate) fn whole() -> Value {
    json!({
        "model": "gpt-x",
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_completion_tokens": 9,
        "temperature": 2,
        "stop": ["a", "b", "c", "d"],
        "tools": [tool()],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind"}]},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [call("call_1"), call("call_2")]},
            {"role": "tool", "tool_call_id": "call_2", "content": "two"},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            {"role": "assistant", "content": "Twice"},
            {"role": "user", "content": "So?"},
        ],
    })
}

#[tokio::test]
async fn a_conversation_with_everything_is_answered() {
    let (_simulator, asker) = asker().await;
    let seen = asker.ask_with(Wire::OpenAi, &whole()).await;
    assert_eq!(seen.status, 200, "{}", seen.text());
}

#[tokio::test]
async fn fields_are_refused_in_the_vendors_words() {
    let (_simulator, asker) = asker().await;
    for (fields, says) in [
        (json!({"max_tokens": 9}), "Setting 'max_tokens' and 'max_completion_tokens' at the same time"),
        (json!({"top_k": 1}), "Unknown parameter: 'top_k'."),
        (json!({"system": "a"}), "Unknown parameter: 'system'."),
        (json!({"max_completion_tokens": 0}), "integer below minimum value"),
        (json!({"max_completion_tokens": "9"}), "expected an integer, but got a string"),
        (json!({"temperature": 2.1}), "Expected a value <= 2, but got 2.1"),
        (json!({"temperature": -1}), "Expected a value >= 0, but got -1"),
        (json!({"temperature": "1"}), "Invalid type for 'temperature'"),
        (json!({"top_p": 1.5}), "Invalid 'top_p'"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "maximum length 4, but got an array with length 5"),
        (json!({"stop": 1}), "Invalid type for 'stop'"),
        (json!({"stream": false}), "'stream_options' parameter is only allowed when 'stream' is enabled"),
        (json!({"stream": 1}), "Invalid type for 'stream'"),
        (json!({"tools": null}), "'tool_choice' is only allowed when 'tools' are specified"),
        (json!({"tools": null, "tool_choice": null}), "'parallel_tool_calls' is only allowed when"),
        (json!({"tools": []}), "Invalid 'tools': empty array"),
        (json!({"tools": [{"function": {"name": "f"}}]}), "Missing required parameter: 'tools[0].type'"),
        (json!({"tools": [{"type": "web", "function": {"name": "f"}}]}), "Invalid value: 'web'"),
        (json!({"tools": [{"type": "function"}]}), "Missing required parameter: 'tools[0].function'"),
        (json!({"tools": [{"type": "function", "function": {}}]}), "'tools[0].function.name'"),
        (json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}), "does not match pattern"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f".repeat(65)}}]}),
            "maximum length 64, but got a string with length 65",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]}),
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"string\"'",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object"}}}]}),
            "Invalid schema for function 'f': In context=(), 'additionalProperties' is required",
        ),
        (json!({"tool_choice": "any"}), "Supported values are: 'none', 'auto', 'required'"),
        (json!({"tool_choice": {"type": "tool", "name": "f"}}), "Invalid value: 'tool'"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "g"}}}), "'g' not found in 'tools'"),
    ] {
        refused(&asker, Wire::OpenAi, &with(&whole(), &fields), says).await;
    }
}

#[tokio::test]
async fn formats_are_refused_in_the_vendors_words() {
    let (_simulator, asker) = asker().await;
    let format = |schema: Value, strict: bool| json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": strict}});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let closed = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    for (format, says) in [
        (json!({"type": "xml"}), "Invalid value: 'xml'"),
        (json!({"type": "json_object"}), "must contain the word 'json' in some form"),
        (json!({"type": "json_schema"}), "Missing required parameter: 'response_format.json_schema'"),
        (json!({"type": "json_schema", "json_schema": {"schema": {}}}), "response_format.json_schema.name"),
        (json!({"type": "json_schema", "json_schema": {"name": "n"}}), "response_format.json_schema.schema"),
        (
            json!({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
            "does not match pattern",
        ),
        (
            format(open.clone(), true),
            "Invalid schema for response_format 'n': In context=(), 'additionalProperties'",
        ),
        (format(closed(json!({"a": {"type": "string"}}), json!([])), true), "Missing 'a'"),
        (format(closed(json!({"a": open}), json!(["a"])), true), "In context=('properties', 'a')"),
        (format(closed(json!({"a": {}}), json!(["a"])), true), "schema must have a 'type' key"),
        (format(closed(json!({"a": {"type": "array"}}), json!(["a"])), true), "array schema missing items"),
        (format(closed(json!({"a": {"oneOf": []}}), json!(["a"])), true), "'oneOf' is not permitted"),
        (format(json!({"type": "array", "items": {"type": "string"}}), true), "got 'type: \"array\"'"),
    ] {
        refused(&asker, Wire::OpenAi, &with(&whole(), &json!({"response_format": format})), says).await;
    }
    let says_json =
        with(&user(json!("In Json")), &json!({"model": "m", "response_format": {"type": "json_object"}}));
    assert_eq!(asker.ask_with(Wire::OpenAi, &says_json).await.status, 200);
    for schema in [
        closed(json!({"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}), json!(["a"])),
        closed(json!({"a": {"$ref": "#"}}), json!(["a"])),
        closed(json!({"a": {"type": "array", "items": {"enum": ["b"]}}}), json!(["a"])),
    ] {
        let body = with(&whole(), &json!({"response_format": format(schema, true)}));
        assert_eq!(asker.ask_with(Wire::OpenAi, &body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn models_that_think_refuse_what_they_do_not_know() {
    let (_simulator, asker) = asker().await;
    let with_model =
        |model: &str, fields: Value| with(&with(&user(json!("Hi")), &json!({"model": model})), &fields);
    for model in ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini"] {
        let body = with_model(model, json!({"max_tokens": 9}));
        refused(&asker, Wire::OpenAi, &body, "Use 'max_completion_tokens' instead").await;
        let error = asker.ask_with(Wire::OpenAi, &body).await.json()["error"].clone();
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("unsupported_parameter"), &json!("max_tokens"))
        );
        refused(
            &asker,
            Wire::OpenAi,
            &with_model(model, json!({"stop": ["a"]})),
            "'stop' is not supported with this model",
        )
        .await;
        assert_eq!(
            asker
                .ask_with(Wire::OpenAi, &with_model(model, json!({"max_completion_tokens": 9})))
                .await
                .status,
            200
        );
    }
    for model in ["gpt-4o", "openai/o1", "o1!host=openrouter"] {
        assert_eq!(
            asker.ask_with(Wire::OpenAi, &with_model(model, json!({"max_tokens": 9}))).await.status,
            200
        );
    }
}

#[tokio::test]
async fn a_refusal_takes_no_step_and_is_counted_and_can_be_switched_off() {
    let (simulator, asker) = asker().await;
    let bad = with(&user(json!([])), &json!({"model": "m"}));
    simulator.script("m", [Behaviour::status(503), Behaviour::default().lenient()]);
    assert_eq!(asker.ask_with(Wire::OpenAi, &bad).await.status, 400);
    assert_eq!(asker.ask(Wire::OpenAi, "m", false).await.status, 503);
    assert_eq!(asker.ask_with(Wire::OpenAi, &bad).await.status, 200);
    assert_eq!((simulator.received("m"), simulator.requests("m")[0].body["messages"].is_array()), (3, true));
    let none = json!({"model": "m", "messages": []});
    assert_eq!(asker.ask_with(Wire::OpenAi, &none).await.status, 400, "even the lenient want messages");
}

#[tokio::test]
async fn a_host_can_refuse_a_field_that_it_does_not_know() {
    let (simulator, asker) = asker().await;
    simulator.on("gpt-x", Behaviour::default().refuses("stream_options").refuses("seed"));
    refused(&asker, Wire::OpenAi, &whole(), "Unsupported parameter: 'stream_options'").await;
    let body = with(&user(json!("Hi")), &json!({"model": "gpt-x"}));
    assert_eq!(asker.ask_with(Wire::OpenAi, &body).await.status, 200);
    let error = asker.ask_with(Wire::OpenAi, &with(&body, &json!({"seed": 1}))).await.json()["error"].clone();
    assert_eq!((&error["code"], &error["param"]), (&json!("unsupported_parameter"), &json!("seed")));
}
