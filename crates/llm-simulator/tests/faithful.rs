//! What a faithful model says unasked: the call that it must make, and JSON in the format that is wanted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, body};
use llm_simulator::{Behaviour, Simulator, Wire};
use serde_json::{Value, json};

fn schema() -> Value {
    json!({"type": "object", "required": ["city", "days"], "additionalProperties": false, "properties": {
        "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}}})
}

fn with_tools(wire: Wire, choice: Value, stream: bool) -> Value {
    let mut body = body(wire, "m", stream);
    body["tools"] = match wire {
        Wire::OpenAi => json!([
            {"type": "function", "function": {"name": "first", "parameters": {"type": "object", "properties": {}}}},
            {"type": "function", "function": {"name": "second", "parameters": schema()}},
        ]),
        _ => json!([
            {"name": "first", "input_schema": {"type": "object"}},
            {"name": "second", "input_schema": schema()},
        ]),
    };
    body["tool_choice"] = choice;
    body
}

#[tokio::test]
async fn a_tool_that_must_be_called_is_called_with_the_least_arguments() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for (choice, name, arguments, finish) in [
        (json!("required"), "first", json!({}), "tool_calls"),
        // Whoever has named the tool is told nothing new.
        (
            json!({"type": "function", "function": {"name": "second"}}),
            "second",
            json!({"city": "", "days": 1}),
            "stop",
        ),
    ] {
        let answer =
            asker.ask_with(Wire::OpenAi, &with_tools(Wire::OpenAi, choice.clone(), false)).await.json();
        let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(call["name"], name);
        assert_eq!(serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap(), arguments);
        assert_eq!(answer["choices"][0]["finish_reason"], finish);
        assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
        let data = asker.ask_with(Wire::OpenAi, &with_tools(Wire::OpenAi, choice, true)).await.data();
        let pieces = data.iter().filter_map(|chunk| {
            chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?.as_str().map(str::to_owned)
        });
        assert_eq!(serde_json::from_str::<Value>(&pieces.collect::<String>()).unwrap(), arguments);
    }
    for (choice, name, input) in [
        (json!({"type": "any"}), "first", json!({})),
        (json!({"type": "tool", "name": "second"}), "second", json!({"city": "", "days": 1})),
    ] {
        let body = with_tools(Wire::Anthropic, choice, false);
        let answer = asker.ask_with(Wire::Anthropic, &body).await.json();
        let block = &answer["content"][0];
        assert_eq!((&block["name"], &block["input"]), (&json!(name), &input));
        assert_eq!(answer["stop_reason"], "tool_use");
    }
}

#[tokio::test]
async fn a_tool_that_may_be_called_is_not() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for choice in ["auto", "none"] {
        let answer =
            asker.ask_with(Wire::OpenAi, &with_tools(Wire::OpenAi, json!(choice), false)).await.json();
        assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().starts_with("Hello"));
        let body = with_tools(Wire::Anthropic, json!({"type": choice}), false);
        let answer = asker.ask_with(Wire::Anthropic, &body).await.json();
        assert!(answer["content"][0]["text"].as_str().unwrap().starts_with("Hello"));
    }
}

#[tokio::test]
async fn json_is_said_where_it_is_wanted() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let least = json!({"city": "", "days": 1});
    for stream in [false, true] {
        for (wire, field, format, expected) in [
            (
                Wire::OpenAi,
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "trip", "schema": schema(), "strict": true}}),
                &least,
            ),
            (Wire::OpenAi, "response_format", json!({"type": "json_object"}), &json!({})),
            (
                Wire::Anthropic,
                "output_config",
                json!({"format": {"type": "json_schema", "schema": schema()}}),
                &least,
            ),
            (Wire::Anthropic, "output_format", json!({"type": "json_schema", "schema": schema()}), &least),
        ] {
            let mut body = body(wire, "m", stream);
            body["messages"][0]["content"] = json!("Hi, in JSON please");
            body[field] = format;
            let seen = asker.ask_with(wire, &body).await;
            let text = match (stream, wire) {
                (true, _) => seen.deltas().concat(),
                (false, Wire::OpenAi) => {
                    seen.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
                }
                (false, _) => seen.json()["content"][0]["text"].as_str().unwrap().to_owned(),
            };
            assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), expected, "{wire} {field}");
        }
    }
}

#[tokio::test]
async fn a_behaviour_that_says_what_the_answer_is_is_believed() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let body = with_tools(Wire::OpenAi, json!("required"), false);
    simulator.on("m", Behaviour::answer("No call"));
    let answer = asker.ask_with(Wire::OpenAi, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "No call");
    simulator.on("m", Behaviour::default().tool_call("other", "{}"));
    let answer = asker.ask_with(Wire::OpenAi, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "other");
    // What else is said does not matter.
    simulator.on("m", Behaviour::default().reasoning("Hm").finish("length"));
    let answer = asker.ask_with(Wire::OpenAi, &body).await.json();
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "first");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}
