//! What the vendors send and the simulator does not: written by hand, after the types of the SDKs.

use llm_protocol::{FinishReason, Usage};
use llm_simulator::Wire;
use serde_json::json;

use crate::judge::{Differences, Exhibit, read};
use crate::said::Said;

fn exhibit(name: &str, wire: Wire, stream: bool, body: &str) -> Exhibit {
    let kind = if stream { "text/event-stream" } else { "application/json" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    let (name, provider) = (name.to_owned(), wire.to_string());
    Exhibit { name, wire, provider, stream, bytes: (head + body).into_bytes() }
}

/// What Anthropic counts of thoughts, and what it says of a refusal.
fn anthropic() -> [Exhibit; 2] {
    let usage = r#"{"input_tokens":3,"cache_creation_input_tokens":7,"cache_read_input_tokens":100,"output_tokens":27,"output_tokens_details":{"thinking_tokens":9}}"#;
    let stopped = r#""stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber","explanation":"No."}"#;
    let message = |content: &str, rest: &str| {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{content}],{rest}}}"#
        )
    };
    let whole = message(r#"{"type":"text","text":"Hm"}"#, &format!(r#"{stopped},"usage":{usage}"#));
    let begun = message(
        "",
        r#""stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}"#,
    );
    let events = [
        ("message_start", format!(r#""message":{begun}"#)),
        ("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#.to_owned()),
        ("content_block_delta", r#""index":0,"delta":{"type":"text_delta","text":"Hm"}"#.to_owned()),
        ("content_block_stop", r#""index":0"#.to_owned()),
        ("message_delta", format!(r#""delta":{{{stopped}}},"usage":{usage}"#)),
    ];
    let event =
        |(name, data): &(&str, String)| format!("event: {name}\ndata: {{\"type\":\"{name}\",{data}}}\n\n");
    let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let streamed = events.iter().map(event).collect::<String>() + end;
    [
        exhibit("Anthropic's count of thoughts, whole", Wire::Anthropic, false, &whole),
        exhibit("Anthropic's count of thoughts, streamed", Wire::Anthropic, true, &streamed),
    ]
}

/// What OpenAI counts of what it has written to the cache.
fn openai() -> [Exhibit; 2] {
    let usage = r#"{"prompt_tokens":110,"completion_tokens":27,"total_tokens":137,"prompt_tokens_details":{"cached_tokens":100,"cache_write_tokens":7,"audio_tokens":0,"text_tokens":110,"image_tokens":0},"completion_tokens_details":{"reasoning_tokens":9,"text_tokens":18}}"#;
    let answer = |object: &str, choices: &str, rest: &str| {
        format!(
            r#"{{"id":"chatcmpl-1","object":"{object}","created":1,"model":"gpt-x","choices":[{choices}]{rest}}}"#
        )
    };
    let choice =
        r#"{"index":0,"message":{"role":"assistant","content":"Hm","refusal":null},"finish_reason":"stop"}"#;
    let usage = format!(r#","usage":{usage}"#);
    let whole = answer("chat.completion", choice, &usage);
    let deltas = [
        r#"{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}"#,
        r#"{"index":0,"delta":{"content":"Hm"},"finish_reason":null}"#,
        r#"{"index":0,"delta":{},"finish_reason":"stop"}"#,
    ];
    let chunk =
        |choices: &str, rest: &str| format!("data: {}\n\n", answer("chat.completion.chunk", choices, rest));
    let chunks: String = deltas.map(|delta| chunk(delta, "")).concat();
    let streamed = chunks + &chunk("", &usage) + "data: [DONE]\n\n";
    [
        exhibit("OpenAI's count of the cache, whole", Wire::OpenAi, false, &whole),
        exhibit("OpenAI's count of the cache, streamed", Wire::OpenAi, true, &streamed),
    ]
}

#[tokio::test]
async fn what_the_simulator_does_not_send_is_read_the_same_too() {
    let exhibits: Vec<Exhibit> = anthropic().into_iter().chain(openai()).collect();
    let mut differences = Differences::default();
    for (exhibit, read) in exhibits.iter().zip(read(&exhibits).await) {
        let says = |model: &str, finish, refusal: Option<&str>| Said {
            text: "Hm".to_owned(),
            refusal: refusal.map(str::to_owned),
            finish: Some(finish),
            usage: Usage {
                input_tokens: Some(3),
                output_tokens: Some(27),
                cache_read_tokens: Some(100),
                cache_write_tokens: Some(7),
                reasoning_tokens: Some(9),
            },
            model: Some(model.to_owned()),
            ..Said::default()
        };
        let expected = match exhibit.wire {
            Wire::OpenAi => says("gpt-x", FinishReason::Stop, None),
            _ => says("claude-x", FinishReason::ContentFilter, Some("")),
        };
        differences.note(exhibit, "the SDK", &read.sdk, &expected);
        differences.note(exhibit, "our adapter", &read.ours.said, &expected);
        differences.note(exhibit, "what pydantic says", &read.invalid, &json!([]));
        differences.note(exhibit, "fields that the SDK does not know", &read.strange, &json!([]));
    }
    differences.none();
}
