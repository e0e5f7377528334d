//! Tool calls, secret reasoning and why the model stopped, as each vendor writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, WIRES};
use llm_simulator::{Behaviour, Fault, Simulator, Usage, Wire};
use serde_json::{Value, json};

async fn start(behaviour: Behaviour) -> (Simulator, Asker) {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", behaviour);
    let asker = Asker::new(&simulator);
    (simulator, asker)
}

fn two_calls() -> Behaviour {
    Behaviour::answer("On it")
        .tool_call_with_id("id_1", "look_up", r#"{"b": 1, "a": "x"}"#)
        .tool_call_with_id("id_2", "look_up", "{}")
}

/// Where events stand for the same thing in every chunk of OpenAI's.
fn choices(data: &[Value]) -> Vec<Value> {
    data.iter().map(|chunk| chunk["choices"].clone()).collect()
}

fn choice(delta: &Value, finish: &Value) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])
}

#[tokio::test]
async fn openai_calls_tools_in_an_answer() {
    let (_simulator, asker) = start(two_calls()).await;
    let answer = asker.ask(Wire::OpenAi, "m", false).await.json();
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "look_up", "arguments": arguments}});
    let expected = json!({"role": "assistant", "content": "On it", "refusal": null, "annotations": [],
        "tool_calls": [call("id_1", r#"{"b": 1, "a": "x"}"#), call("id_2", "{}")]});
    assert_eq!(answer["choices"][0]["message"], expected);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn openai_calls_tools_in_a_stream() {
    let (_simulator, asker) = start(two_calls()).await;
    let data = asker.ask(Wire::OpenAi, "m", true).await.data();
    let named = |index: u8, id: &str| {
        let function = json!({"name": "look_up", "arguments": ""});
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
    };
    let piece =
        |index: u8, piece: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
    let mut expected =
        vec![choice(&json!({"role": "assistant", "content": "", "refusal": null}), &Value::Null)];
    let deltas = [
        json!({"content": "On"}),
        json!({"content": " it"}),
        named(0, "id_1"),
        piece(0, "{\"b\": "),
        piece(0, "1, \"a\""),
        piece(0, ": \"x\"}"),
        named(1, "id_2"),
        piece(1, "{}"),
    ];
    expected.extend(deltas.map(|delta| choice(&delta, &Value::Null)));
    expected.extend([choice(&json!({}), &json!("tool_calls")), json!([])]);
    assert_eq!(choices(&data), expected);
}

#[tokio::test]
async fn anthropic_calls_tools_in_an_answer() {
    let (_simulator, asker) = start(two_calls().reasoning("Hm").redacted_reasoning("hush")).await;
    let answer = asker.ask(Wire::Anthropic, "m", false).await.json();
    let content = &answer["content"];
    assert_eq!(content[0]["type"], "thinking");
    assert_eq!(
        content[1],
        json!({"type": "redacted_thinking", "data": content[1]["data"].as_str().unwrap()})
    );
    let input = json!({"b": 1, "a": "x"});
    assert_eq!(content[2], json!({"type": "text", "text": "On it"}));
    assert_eq!(content[3], json!({"type": "tool_use", "id": "id_1", "name": "look_up", "input": input}));
    assert_eq!(content[4], json!({"type": "tool_use", "id": "id_2", "name": "look_up", "input": {}}));
    assert_eq!((content.as_array().unwrap().len(), &answer["stop_reason"]), (5, &json!("tool_use")));
}

#[tokio::test]
async fn anthropic_calls_tools_in_a_stream() {
    let (_simulator, asker) = start(two_calls().reasoning("Hm").redacted_reasoning("hush")).await;
    let data = asker.ask(Wire::Anthropic, "m", true).await.data();
    let start = |index: u8, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stop = |index: u8| json!({"type": "content_block_stop", "index": index});
    let delta =
        |index: u8, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let piece =
        |index: u8, piece: &str| delta(index, json!({"type": "input_json_delta", "partial_json": piece}));
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "look_up", "input": {}});
    let secret = &data.iter().find(|event| event["content_block"]["type"] == "redacted_thinking").unwrap()["content_block"]
        ["data"];
    let signature = &data[4]["delta"]["signature"];
    let expected = [
        start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "thinking_delta", "thinking": "Hm"})),
        delta(0, json!({"type": "signature_delta", "signature": signature})),
        stop(0),
        start(1, json!({"type": "redacted_thinking", "data": secret})),
        stop(1),
        start(2, json!({"type": "text", "text": ""})),
        delta(2, json!({"type": "text_delta", "text": "On"})),
        delta(2, json!({"type": "text_delta", "text": " it"})),
        stop(2),
        start(3, tool("id_1")),
        piece(3, ""),
        piece(3, "{\"b\": "),
        piece(3, "1, \"a\""),
        piece(3, ": \"x\"}"),
        stop(3),
        start(4, tool("id_2")),
        piece(4, ""),
        piece(4, "{}"),
        stop(4),
    ];
    assert_eq!(data[1..22], expected);
    assert_eq!(data[22]["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
}

#[tokio::test]
async fn calls_alone_come_without_text() {
    let (_simulator, asker) = start(Behaviour::default().tool_call("f", "")).await;
    let answer = asker.ask(Wire::OpenAi, "m", false).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], Value::Null);
    let data = asker.ask(Wire::OpenAi, "m", true).await.data();
    assert_eq!(
        data[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": null, "refusal": null})
    );
    assert_eq!(data.len(), 4, "role, call, finish, usage: {data:?}");
    let answer = asker.ask(Wire::Anthropic, "m", false).await.json();
    assert_eq!(answer["content"].as_array().unwrap().len(), 1);
    assert_eq!(answer["content"][0]["input"], json!({}), "what is no object is an empty one");
    let data = asker.ask(Wire::Anthropic, "m", true).await.data();
    let kinds: Vec<&str> = data.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    assert_eq!(
        kinds,
        [["message_start", "ping"].as_slice(), &block, &["message_delta", "message_stop"]].concat()
    );
}

#[tokio::test]
async fn ids_of_calls_are_in_the_vendors_manner_and_unique() {
    let (_simulator, asker) = start(Behaviour::default().tool_call("f", "{}").tool_call("g", "{}")).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = asker.ask(Wire::OpenAi, "m", false).await.json();
        let calls = &answer["choices"][0]["message"]["tool_calls"];
        for (id, length) in [(&calls[0]["id"], 29), (&calls[1]["id"], 29)] {
            let id = id.as_str().unwrap().to_owned();
            assert!(id.starts_with("call_") && id.len() == length, "{id}");
            seen.push(id);
        }
        let answer = asker.ask(Wire::Anthropic, "m", false).await.json();
        for block in answer["content"].as_array().unwrap() {
            let id = block["id"].as_str().unwrap().to_owned();
            assert!(id.starts_with("toolu_01") && id.len() == 30, "{id}");
            seen.push(id);
        }
        let answer = asker.ask(Wire::OpenAi, "m!host=mistral!tool-call=f", false).await.json();
        let id = answer["choices"][0]["message"]["tool_calls"][0]["id"].as_str().unwrap().to_owned();
        assert!(id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        seen.push(id);
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((all, seen.len()), (15, 15));
}

#[tokio::test]
async fn a_fault_can_strike_within_a_call() {
    // Two words, the start of the call, and one piece of its arguments.
    let (_simulator, asker) = start(two_calls().fault_after(4, Fault::Truncate)).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", true).await;
        assert!(seen.whole && !seen.terminated());
        assert_eq!(seen.deltas(), ["On", " it"], "{wire}");
        assert!(seen.text().contains("id_1") && seen.text().contains(r#""{\"b\": ""#), "{}", seen.text());
        assert!(!seen.text().contains("x\\\"") && !seen.text().contains("id_2"), "{}", seen.text());
    }
    let (_simulator, asker) = start(two_calls().error_after(3, 529)).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", true).await;
        assert!(seen.text().contains("id_1") && !seen.text().contains("{\\\"b"), "{}", seen.text());
        assert!(seen.events().pop().unwrap().1.contains("error"));
    }
}

#[tokio::test]
async fn what_is_no_utf8_can_stand_in_arguments() {
    for after in [0, 1, 2] {
        let behaviour = Behaviour::default().tool_call("f", "{}").fault_after(after, Fault::InvalidUtf8);
        let (_simulator, asker) = start(behaviour).await;
        for wire in WIRES {
            let seen = asker.ask(wire, "m", true).await;
            assert!(seen.terminated() && std::str::from_utf8(&seen.body).is_err());
            let text = String::from_utf8_lossy(&seen.body).into_owned();
            let field = if wire == Wire::OpenAi { "arguments" } else { "partial_json" };
            let bad = text.lines().find(|line| line.contains('\u{FFFD}')).unwrap();
            assert!(bad.contains(field), "{bad}");
            let (before, _) = text.split_once('\u{FFFD}').unwrap();
            assert!(before.contains("\"f\""), "the call had not begun: {before}");
        }
    }
}

#[tokio::test]
async fn a_stop_sequence_is_told_by_anthropic() {
    let (_simulator, asker) = start(Behaviour::answer("a").stop_sequence("END")).await;
    let answer = asker.ask(Wire::Anthropic, "m", false).await.json();
    let told = json!({"stop_reason": "stop_sequence", "stop_sequence": "END"});
    assert_eq!(json!({"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"]}), told);
    let data = asker.ask(Wire::Anthropic, "m", true).await.data();
    assert_eq!(data[data.len() - 2]["delta"], told);
    let answer = asker.ask(Wire::OpenAi, "m", false).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn what_is_kept_for_an_hour_is_told_by_anthropic() {
    let usage = Usage { cache_write_tokens: 5, ..Usage::new(1, 2) };
    let (_simulator, asker) = start(Behaviour::default().usage(usage).cached_for_an_hour()).await;
    let kept = json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 5});
    assert_eq!(asker.ask(Wire::Anthropic, "m", false).await.json()["usage"]["cache_creation"], kept);
    let data = asker.ask(Wire::Anthropic, "m", true).await.data();
    assert_eq!(data[0]["message"]["usage"]["cache_creation"], kept);
    assert_eq!(data[data.len() - 2]["usage"]["cache_creation_input_tokens"], 5);
}
