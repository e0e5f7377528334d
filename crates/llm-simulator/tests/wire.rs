//! Answers that are as they should be, in the words of each vendor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, WIRES, read, within};
use llm_simulator::{Behaviour, Simulator, Usage, Wire};
use serde_json::{Value, json};

#[tokio::test]
async fn an_openai_answer() {
    let simulator = Simulator::start().await.unwrap();
    let usage = Usage { cache_read_tokens: 100, reasoning_tokens: 9, ..Usage::new(18, 27) };
    simulator.on("gpt-x", Behaviour::answer("Hello there").reasoning("Hm, so").usage(usage));
    let seen = Asker::new(&simulator).ask(Wire::OpenAi, "gpt-x", false).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "application/json"));
    assert!(seen.header("x-request-id").starts_with("req_"));
    let answer = seen.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "gpt-x");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(
        answer["choices"],
        json!([{"index": 0, "logprobs": null, "finish_reason": "stop", "message": {"role": "assistant",
            "content": "Hello there", "reasoning_content": "Hm, so", "refusal": null, "annotations": []}}])
    );
    let counted = &answer["usage"];
    assert_eq!((&counted["prompt_tokens"], &counted["completion_tokens"]), (&json!(118), &json!(27)));
    assert_eq!(counted["total_tokens"], 145);
    assert_eq!(counted["prompt_tokens_details"]["cached_tokens"], 100);
    assert_eq!(counted["completion_tokens_details"]["reasoning_tokens"], 9);
}

#[tokio::test]
async fn an_openai_stream() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    simulator.on("gpt-x", Behaviour::answer("Hello there").reasoning("Hm").usage(Usage::new(18, 27)));
    let seen = asker.ask(Wire::OpenAi, "gpt-x", true).await;
    assert_eq!(seen.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(seen.header("transfer-encoding"), "chunked");
    assert!(seen.whole);
    assert!(seen.text().ends_with("data: [DONE]\n\n"));
    let data = seen.data();
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let expected = [
        choice(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null),
        choice(json!({"content": null, "reasoning_content": "Hm"}), Value::Null),
        choice(json!({"content": "Hello"}), Value::Null),
        choice(json!({"content": " there"}), Value::Null),
        choice(json!({}), json!("stop")),
        json!([]),
    ];
    let choices: Vec<&Value> = data.iter().map(|chunk| &chunk["choices"]).collect();
    assert_eq!(choices, expected.iter().collect::<Vec<_>>());
    assert!(
        data.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == data[0]["id"])
    );
    // Their lengths do not tell the length of the text.
    assert!(data.iter().all(|chunk| !chunk["obfuscation"].as_str().unwrap().is_empty()));
    let usages: Vec<bool> = data.iter().map(|chunk| chunk["usage"].is_object()).collect();
    assert_eq!(usages, [false, false, false, false, false, true]);
    assert_eq!(data[5]["usage"]["total_tokens"], 45);
}

#[tokio::test]
async fn openai_streams_usage_on_request_only() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]});
    let url = format!("{}/openai/v1/chat/completions", simulator.base_url());
    let seen = read(asker.client.post(url).body(body.to_string()).send().await.unwrap()).await;
    assert!(seen.terminated() && !seen.text().contains("usage"), "{}", seen.text());
    let seen = asker.ask(Wire::OpenAi, "m!no-usage", true).await;
    assert!(seen.terminated() && !seen.text().contains("prompt_tokens"), "{}", seen.text());
}

#[tokio::test]
async fn an_anthropic_answer() {
    let simulator = Simulator::start().await.unwrap();
    let usage = Usage { cache_read_tokens: 100, cache_write_tokens: 5, ..Usage::new(18, 27) };
    simulator.on("claude-x", Behaviour::answer("Hello there").reasoning("Hm").usage(usage).finish("length"));
    let seen = Asker::new(&simulator).ask(Wire::Anthropic, "claude-x", false).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "application/json"));
    assert!(seen.header("request-id").starts_with("req_"));
    let answer = seen.json();
    assert_eq!((&answer["type"], &answer["role"]), (&json!("message"), &json!("assistant")));
    assert!(answer["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(answer["model"], "claude-x");
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("max_tokens"), &Value::Null));
    assert_eq!(answer["content"][0]["thinking"], "Hm");
    assert_eq!(answer["content"][1], json!({"type": "text", "text": "Hello there"}));
    let kept = json!({"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 0});
    let counts = json!({"input_tokens": 18, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100,
        "cache_creation": kept, "output_tokens": 27, "service_tier": "standard"});
    assert_eq!(answer["usage"], counts);
}

#[tokio::test]
async fn an_anthropic_stream() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::answer("Hello there").reasoning("Hm so").usage(Usage::new(18, 27)));
    let seen = Asker::new(&simulator).ask(Wire::Anthropic, "claude-x", true).await;
    assert!(seen.whole);
    let data = seen.data();
    for ((name, _), data) in seen.events().iter().zip(&data) {
        assert_eq!(data["type"], name.as_str());
    }
    assert!(seen.text().lines().any(|line| line.ends_with("  }")), "events are padded");
    let start = &data[0]["message"];
    assert_eq!((&start["content"], &start["usage"]["output_tokens"]), (&json!([]), &json!(1)));
    let rest: Vec<Value> = data[1..].to_vec();
    let delta =
        |index: usize, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let start = |index: usize, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let thinking = json!({"type": "thinking", "thinking": "", "signature": ""});
    let expected = [
        start(0, thinking),
        json!({"type": "ping"}),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, json!({"type": "thinking_delta", "thinking": " so"})),
        delta(0, json!({"type": "signature_delta", "signature": rest[4]["delta"]["signature"]})),
        json!({"type": "content_block_stop", "index": 0}),
        start(1, json!({"type": "text", "text": ""})),
        delta(1, json!({"type": "text_delta", "text": "Hello"})),
        delta(1, json!({"type": "text_delta", "text": " there"})),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"input_tokens": 18, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "output_tokens": 27}}),
        json!({"type": "message_stop"}),
    ];
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn empty_answers_and_finish_reasons() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for (finish, openai, anthropic) in [
        ("stop", "stop", "end_turn"),
        ("length", "length", "max_tokens"),
        ("content_filter", "content_filter", "refusal"),
        ("pause_turn", "pause_turn", "pause_turn"),
    ] {
        for (wire, expected) in [(Wire::OpenAi, openai), (Wire::Anthropic, anthropic)] {
            let model = format!("m!empty!finish={finish}");
            let streamed = asker.ask(wire, &model, true).await;
            assert!(streamed.terminated() && streamed.deltas().is_empty(), "{wire} {finish}");
            let answer = asker.ask(wire, &model, false).await.json();
            let found = if wire == Wire::OpenAi {
                assert_eq!(answer["choices"][0]["message"]["content"], "");
                let data = streamed.data();
                assert_eq!(data[data.len() - 2]["choices"][0]["finish_reason"], expected);
                &answer["choices"][0]["finish_reason"]
            } else {
                assert_eq!(answer["content"], json!([]));
                let data = streamed.data();
                assert_eq!(data[data.len() - 2]["delta"]["stop_reason"], expected);
                &answer["stop_reason"]
            };
            assert_eq!(found, expected, "{wire}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_not_text_with_openai_and_a_stop_reason_with_anthropic() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let seen = asker.ask(Wire::OpenAi, "m!refusal=I will not", true).await;
    assert!(seen.deltas().is_empty());
    let refusal: String = seen
        .data()
        .iter()
        .filter_map(|data| data.pointer("/choices/0/delta/refusal")?.as_str().map(str::to_owned))
        .collect();
    assert_eq!(refusal, "I will not");
    let message = &asker.ask(Wire::OpenAi, "m!refusal=No", false).await.json()["choices"][0]["message"];
    assert_eq!((&message["content"], &message["refusal"]), (&Value::Null, &json!("No")));
    let answer = asker.ask(Wire::Anthropic, "m!refusal=No", false).await.json();
    assert_eq!(answer["stop_reason"], "refusal");
}

#[tokio::test]
async fn the_answer_names_the_model_without_directives_or_as_told() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for wire in WIRES {
        assert_eq!(asker.ask(wire, "m-1!text=Hi!!", false).await.json()["model"], "m-1");
        assert_eq!(asker.ask(wire, "m-1!model-id=m-1-2026", false).await.json()["model"], "m-1-2026");
    }
    assert_eq!(simulator.requests("m-1!text=Hi!!").len(), 2);
}

#[tokio::test]
async fn request_ids_are_unique() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    let first = asker.ask(Wire::OpenAi, "m", false).await;
    let second = asker.ask(Wire::OpenAi, "m", false).await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_ne!(first.json()["id"], second.json()["id"]);
}

#[tokio::test]
async fn hints_about_rate_limits_come_with_what_succeeds_only() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for stream in [false, true] {
        let seen = asker.ask(Wire::OpenAi, "m", stream).await;
        assert_eq!(seen.header("x-ratelimit-remaining-requests"), "4999");
        assert_eq!(seen.header("x-ratelimit-reset-requests"), "12ms");
        let seen = asker.ask(Wire::Anthropic, "m", stream).await;
        let reset = seen.header("anthropic-ratelimit-requests-reset");
        assert!(reset.starts_with("20") && reset.ends_with('Z') && reset.len() == 20, "{reset}");
        for wire in WIRES {
            let seen = asker.ask(wire, "m!status=429", stream).await;
            assert!(seen.headers.keys().all(|name| !name.as_str().contains("ratelimit")));
        }
    }
}

#[tokio::test]
async fn models_are_listed_in_the_words_of_the_vendor_and_can_fail() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("b", Behaviour::default());
    simulator.on("a", Behaviour::default());
    let client = Asker::new(&simulator).client;
    let url = format!("{}/v1/models", simulator.base_url());
    let openai = read(within(client.get(&url).send()).await.unwrap()).await.json();
    assert_eq!(
        (&openai["object"], &openai["data"][0]["id"], &openai["data"][1]["id"]),
        (&json!("list"), &json!("a"), &json!("b"))
    );
    let get = || client.get(&url).header("anthropic-version", "2023-06-01");
    let anthropic = read(within(get().send()).await.unwrap()).await.json();
    assert_eq!((&anthropic["data"][1]["id"], &anthropic["last_id"]), (&json!("b"), &json!("b")));
    simulator.otherwise(Behaviour::status(500));
    let seen = read(within(get().send()).await.unwrap()).await;
    assert_eq!(seen.status, 200, "what all models get is not what the list of them gets");
    simulator.on(Simulator::MODELS, Behaviour::status(401));
    let seen = read(within(get().send()).await.unwrap()).await;
    assert_eq!((seen.status, &seen.json()["error"]["type"]), (401, &json!("authentication_error")));
    assert_eq!(simulator.received(Simulator::MODELS), 4);
}

#[tokio::test]
async fn what_a_vendor_would_refuse_is_refused() {
    let simulator = Simulator::start().await.unwrap();
    let client = Asker::new(&simulator).client;
    let messages = json!([{"role": "user", "content": "Hi"}]);
    for (path, body, status, kind, says) in [
        ("/v1/chat/completions", json!({"messages": messages}), 400, "invalid_request_error", "model"),
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": []}),
            400,
            "invalid_request_error",
            "messages",
        ),
        (
            "/v1/messages",
            json!({"model": "m", "messages": messages}),
            400,
            "invalid_request_error",
            "max_tokens",
        ),
        ("/v1/messages", json!({"model": "m", "max_tokens": 1}), 400, "invalid_request_error", "messages"),
        ("/v1/messages", json!("text"), 400, "invalid_request_error", "model"),
        ("/v1/nowhere", json!({"model": "m"}), 404, "invalid_request_error", "nothing"),
    ] {
        let url = format!("{}{path}", simulator.base_url());
        let seen = read(within(client.post(url).body(body.to_string()).send()).await.unwrap()).await;
        let error = &seen.json()["error"];
        assert_eq!((seen.status, &error["type"]), (status, &json!(kind)), "{path} {body}");
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
    let url = format!("{}/v1/messages", simulator.base_url());
    assert_eq!(within(client.get(url).send()).await.unwrap().status(), 405);
    let url = format!("{}/v1/messages", simulator.base_url());
    assert_eq!(within(client.post(url).body("{").send()).await.unwrap().status(), 400);
    assert_eq!(simulator.received_total(), 8);
}
