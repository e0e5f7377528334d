//! What single hosts of OpenAI's format refuse.

use llm_simulator::{Behaviour, Host, Wire};
use serde_json::{Value, json};

use crate::{accepted, asker, common::Seen, openai::*, refused, with};

fn talk(messages: Value) -> Value {
    json!({"model": "m", "tools": [tool()], "messages": messages})
}

/// A call and its result, and what comes after.
fn called(call: Value, after: &[Value]) -> Value {
    let result = json!({"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "a"});
    let mut messages = vec![json!({"role": "user", "content": "Hi"}), call, result];
    messages.extend(after.iter().cloned());
    talk(messages.into())
}

/// What Mistral says stands at the top.
fn is_mistrals(seen: &Seen, status: u16, kind: &str, code: Value, message: Value) {
    let expected = json!({"object": "error", "message": message, "type": kind, "param": null, "code": code});
    assert_eq!((seen.status, seen.json()), (status, expected));
}

#[tokio::test]
async fn mistral_wants_ids_of_nine_letters_and_digits() {
    let (simulator, asker) = asker().await;
    simulator.on("m", Behaviour::default().host(Host::Mistral));
    for (id, status) in [("abcDEF123", 200), ("call_1234", 400), ("abcDEF1234", 400), ("abcDEF12", 400)] {
        let call = json!({"role": "assistant", "content": "", "tool_calls": [call(id)]});
        let body = with(&called(call, &[]), &json!({"tool_choice": "any"}));
        let seen = asker.ask_with(Wire::OpenAi, &body).await;
        assert_eq!(seen.status, status, "{id}");
        let why = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
        if status != 200 {
            is_mistrals(&seen, 400, "invalid_request_error", json!("3280"), json!(why));
        }
    }
}

#[tokio::test]
async fn mistral_hears_the_model_before_the_user() {
    let (simulator, asker) = asker().await;
    let call = json!({"role": "assistant", "content": "", "tool_calls": [call("abcDEF123")]});
    let (so, yes) =
        (json!({"role": "user", "content": "So?"}), json!({"role": "assistant", "content": "Yes"}));
    let early = called(call.clone(), std::slice::from_ref(&so));
    accepted(&asker, Wire::OpenAi, &early).await;
    simulator.on("m", Behaviour::default().host(Host::Mistral));
    let seen = asker.ask_with(Wire::OpenAi, &early).await;
    let message = json!("Unexpected role 'user' after role 'tool'");
    is_mistrals(&seen, 400, "invalid_request_message_order", json!("3230"), message);
    accepted(&asker, Wire::OpenAi, &called(call, &[yes, so])).await;
}

#[tokio::test]
async fn mistral_has_words_of_its_own() {
    let (simulator, asker) = asker().await;
    let body = with(&user(json!("Hi")), &json!({"model": "m"}));
    simulator.on("m", Behaviour::default().host(Host::Mistral));
    for field in ["seed", "max_completion_tokens"] {
        let seen = asker.ask_with(Wire::OpenAi, &with(&body, &json!({field: 1}))).await;
        let detail = json!({"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted"});
        is_mistrals(&seen, 422, "invalid_request_error", Value::Null, json!({"detail": [detail]}));
    }
    accepted(&asker, Wire::OpenAi, &with(&body, &json!({"random_seed": 1, "max_tokens": 1}))).await;
    simulator.on("m", Behaviour::status(429).host(Host::Mistral));
    let seen = asker.ask_with(Wire::OpenAi, &body).await;
    assert_eq!((seen.status, &seen.json()["object"]), (429, &json!("error")));
}

#[tokio::test]
async fn deepseek_wants_its_reasoning_back() {
    let (simulator, asker) = asker().await;
    let with_call = |fields: Value| {
        let call = json!({"role": "assistant", "content": "", "tool_calls": [call("c")]});
        called(with(&call, &fields), &[])
    };
    let without = with_call(json!({}));
    simulator.on("m", Behaviour::default().host(Host::DeepSeek));
    accepted(&asker, Wire::OpenAi, &without).await;
    simulator.on("m", Behaviour::default().reasoning("Hm").host(Host::DeepSeek));
    let says = "Missing `reasoning_content` field in the assistant message at message index 1.";
    refused(&asker, Wire::OpenAi, &without, says).await;
    refused(&asker, Wire::OpenAi, &with_call(json!({"reasoning_content": null})), says).await;
    for reasoning in ["", "Hm"] {
        let body = with_call(json!({"reasoning_content": reasoning}));
        accepted(&asker, Wire::OpenAi, &body).await;
    }
    simulator.on("m", Behaviour::default().reasoning("Hm").host(Host::Groq));
    accepted(&asker, Wire::OpenAi, &without).await;
}

#[tokio::test]
async fn some_hosts_want_a_model_to_have_said_something() {
    let (simulator, asker) = asker().await;
    let turn = |said: Value| {
        talk(json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": said},
            {"role": "user", "content": "So?"}]))
    };
    for (host, status) in
        [(Host::OpenAi, 200), (Host::Groq, 200), (Host::Mistral, 400), (Host::DeepSeek, 400)]
    {
        simulator.on("m", Behaviour::default().host(host));
        let seen = asker.ask_with(Wire::OpenAi, &turn(json!(""))).await;
        assert_eq!(seen.status, status, "{host:?}");
        assert!(
            status == 200 || seen.text().contains("content or tool_calls must be set"),
            "{}",
            seen.text()
        );
        accepted(&asker, Wire::OpenAi, &turn(json!("Yes"))).await;
    }
}

#[tokio::test]
async fn openai_wants_to_see_the_properties_of_an_object() {
    let (_simulator, asker) = asker().await;
    let with_schema = |model: &str, schema: Value| {
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": schema}});
        with(&user(json!("Hi")), &json!({"model": model, "tools": [tool]}))
    };
    let bare = json!({"type": "object"});
    let body = with_schema("m", bare.clone());
    let says = "Invalid schema for function 'f': In context=(), object schema missing properties.";
    refused(&asker, Wire::OpenAi, &body, says).await;
    let error = asker.ask_with(Wire::OpenAi, &body).await.json()["error"].clone();
    assert_eq!(error["code"], "invalid_function_parameters");
    assert_eq!(error["param"], "tools[0].function.parameters");
    for schema in [json!({"type": "object", "properties": {}}), json!({}), Value::Null] {
        accepted(&asker, Wire::OpenAi, &with_schema("m", schema)).await;
    }
    accepted(&asker, Wire::OpenAi, &with_schema("m!host=groq", bare)).await;
}

#[tokio::test]
async fn models_that_think_do_so_at_one_temperature() {
    let (_simulator, asker) = asker().await;
    let body =
        |model: &str, fields: Value| with(&with(&user(json!("Hi")), &json!({"model": model})), &fields);
    for model in ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.1"] {
        let body = |number: Value| body(model, json!({"temperature": number, "reasoning_effort": "low"}));
        let says = "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.";
        refused(&asker, Wire::OpenAi, &body(json!(0.2)), says).await;
        let error = asker.ask_with(Wire::OpenAi, &body(json!(0))).await.json()["error"].clone();
        assert_eq!((&error["code"], &error["param"]), (&json!("unsupported_value"), &json!("temperature")));
        for number in [json!(1), json!(1.0), Value::Null] {
            accepted(&asker, Wire::OpenAi, &body(number)).await;
        }
    }
    for (model, fields) in [
        ("gpt-5-chat-latest", json!({"temperature": 0.2, "max_tokens": 9, "stop": ["a"]})),
        ("gpt-5.1", json!({"temperature": 0.2})),
        ("gpt-5.2", json!({"temperature": 0.2, "reasoning_effort": "none"})),
        ("gpt-4o", json!({"temperature": 0.2})),
        ("o3!host=openrouter", json!({"temperature": 0.2})),
    ] {
        accepted(&asker, Wire::OpenAi, &body(model, fields)).await;
    }
}
