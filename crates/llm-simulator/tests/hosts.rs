//! The manners of the hosts that speak OpenAI's format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::Asker;
use llm_simulator::{Behaviour, Host, Simulator, Usage, Wire};
use serde_json::{Value, json};

async fn start(behaviour: Behaviour) -> (Simulator, Asker) {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", behaviour);
    let asker = Asker::new(&simulator);
    (simulator, asker)
}

#[tokio::test]
async fn hosts_have_their_own_word_for_reasoning() {
    for (host, field) in [
        (Host::OpenAi, "reasoning_content"),
        (Host::DeepSeek, "reasoning_content"),
        (Host::Groq, "reasoning"),
        (Host::OpenRouter, "reasoning"),
    ] {
        let (_simulator, asker) = start(Behaviour::answer("a").reasoning("Hm so").host(host)).await;
        let message = &asker.ask(Wire::OpenAi, "m", false).await.json()["choices"][0]["message"];
        let fields: Vec<&String> =
            message.as_object().unwrap().keys().filter(|key| key.starts_with("reasoning")).collect();
        assert_eq!((message[field].as_str(), fields[0].as_str()), (Some("Hm so"), field), "{host:?}");
        let data = asker.ask(Wire::OpenAi, "m", true).await.data();
        let deltas = data.iter().filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str());
        assert_eq!(deltas.collect::<String>(), "Hm so", "{host:?}");
    }
}

#[tokio::test]
async fn openrouter_says_what_the_reasoning_consists_of() {
    let behaviour =
        Behaviour::answer("a").reasoning("Hm so").redacted_reasoning("hush").host(Host::OpenRouter);
    let (_simulator, asker) = start(behaviour).await;
    let answer = asker.ask(Wire::OpenAi, "m", false).await.json();
    let details = answer["choices"][0]["message"]["reasoning_details"].clone();
    let (signature, data) = (&details[0]["signature"], &details[1]["data"]);
    assert!(signature.is_string() && data.is_string());
    let format = "anthropic-claude-v1";
    let expected = json!([
        {"type": "reasoning.text", "text": "Hm so", "signature": signature, "format": format, "index": 0},
        {"type": "reasoning.encrypted", "data": data, "format": format, "index": 1},
    ]);
    assert_eq!(details, expected);
    let data_events = asker.ask(Wire::OpenAi, "m", true).await.data();
    let deltas = data_events.iter().filter_map(|chunk| {
        let details = &chunk["choices"][0]["delta"]["reasoning_details"];
        details.is_array().then(|| details[0].clone())
    });
    let text = |text: &str| json!({"type": "reasoning.text", "text": text, "format": format, "index": 0});
    let expected = [
        text("Hm"),
        text(" so"),
        json!({"type": "reasoning.text", "signature": signature, "format": format, "index": 0}),
        json!({"type": "reasoning.encrypted", "data": data, "format": format, "index": 1}),
    ];
    assert_eq!(deltas.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn hosts_put_the_usage_of_a_stream_where_they_like() {
    for (host, pointer, chunks_after_finish) in [
        (Host::OpenAi, "/usage", 1),
        (Host::Groq, "/x_groq/usage", 1),
        (Host::OpenRouter, "/usage", 1),
        (Host::DeepSeek, "/usage", 0),
        (Host::Mistral, "/usage", 0),
    ] {
        let (_simulator, asker) = start(Behaviour::answer("a").usage(Usage::new(18, 27)).host(host)).await;
        let data = asker.ask(Wire::OpenAi, "m", true).await.data();
        let finish = data.iter().position(|chunk| chunk["choices"][0]["finish_reason"] == "stop").unwrap();
        assert_eq!(data.len() - 1 - finish, chunks_after_finish, "{host:?}");
        let at = data.iter().position(|chunk| chunk.pointer(pointer).is_some_and(Value::is_object)).unwrap();
        assert_eq!(data[at].pointer(pointer).unwrap()["total_tokens"], 45, "{host:?}");
        let beside = !data[at]["choices"].as_array().unwrap().is_empty();
        assert_eq!(beside, host != Host::OpenAi, "{host:?}");
    }
}

#[tokio::test]
async fn mistral_sends_calls_whole() {
    let (_simulator, asker) =
        start(Behaviour::default().tool_call("f", r#"{"a": 1}"#).host(Host::Mistral)).await;
    let data = asker.ask(Wire::OpenAi, "m", true).await.data();
    let calls: Vec<&Value> = data
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"])
        .filter(|it| it.is_array())
        .collect();
    assert_eq!((calls.len(), &calls[0][0]["function"]["arguments"]), (1, &json!(r#"{"a": 1}"#)));
}
