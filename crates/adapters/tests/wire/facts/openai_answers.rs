//! What the answers of OpenAI and of hosts that speak like it hold.

use serde_json::{Value, json};

use super::{Facts, Wire, shown, sse, stream};

const OPEN_AI: Wire = Wire::OpenAi;

fn whole(message: &Value, finish: &str, usage: &Value) -> String {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})
        .to_string()
}

fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn end(finish: &str) -> Value {
    chunk(&json!({}), Some(finish))
}

#[tokio::test]
async fn tokens_are_counted_wherever_the_host_puts_them() {
    let mut facts = Facts::new().await;
    let hi = |finish| chunk(&json!({"content": "hi"}), finish);
    let with = |mut chunk: Value, field: &str, value: Value| {
        chunk[field] = value;
        chunk
    };
    let plain = json!({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21});
    let (says, told) = ("says hi; ends Stop", "says hi; ends Stop; in 12 out 9");
    for (row, events, expected) in [
        ("OpenAI's last chunk", vec![hi(None), end("stop"), json!({"choices": [], "usage": plain})], told),
        (
            "with the finish: DeepSeek, Mistral",
            vec![hi(None), with(end("stop"), "usage", plain.clone())],
            told,
        ),
        (
            "behind the finish, with choices: OpenRouter",
            vec![hi(None), end("stop"), with(chunk(&json!({"content": ""}), None), "usage", plain.clone())],
            told,
        ),
        ("with the text", vec![with(hi(Some("stop")), "usage", plain.clone())], told),
        (
            "Groq's own place",
            vec![hi(None), with(end("stop"), "x_groq", json!({"id": "r", "usage": plain}))],
            told,
        ),
        (
            "null until the last",
            vec![
                with(hi(None), "usage", Value::Null),
                with(end("stop"), "usage", Value::Null),
                json!({"choices": [], "usage": plain}),
            ],
            told,
        ),
        ("nowhere", vec![hi(None), end("stop")], says),
    ] {
        facts.streams(OPEN_AI, row, &stream(OPEN_AI, sse(events)), expected).await;
    }
}

#[tokio::test]
async fn cached_tokens_are_part_of_the_prompt_and_reasoning_of_the_completion() {
    let mut facts = Facts::new().await;
    let usage = |prompt: Value, completion: Value| {
        json!({"prompt_tokens": 12, "completion_tokens": 9,
            "prompt_tokens_details": prompt, "completion_tokens_details": completion})
    };
    let none = Value::Null;
    for (says, usage, told) in [
        ("no details", usage(none.clone(), none.clone()), "in 12 out 9"),
        ("empty details", usage(json!({}), json!({})), "in 12 out 9"),
        ("cached", usage(json!({"cached_tokens": 10}), none.clone()), "in 2 out 9 read 10"),
        ("none cached", usage(json!({"cached_tokens": 0}), none.clone()), "in 12 out 9 read 0"),
        ("reasoning", usage(none.clone(), json!({"reasoning_tokens": 7})), "in 12 out 9 thought 7"),
        (
            "both",
            usage(json!({"cached_tokens": 10, "audio_tokens": 0}), json!({"reasoning_tokens": 7})),
            "in 2 out 9 read 10 thought 7",
        ),
        (
            "DeepSeek's name",
            json!({"prompt_tokens": 12, "completion_tokens": 9, "prompt_cache_hit_tokens": 10}),
            "in 2 out 9 read 10",
        ),
        (
            "OpenRouter's writes",
            usage(json!({"cached_tokens": 3, "cache_write_tokens": 4}), none),
            "in 5 out 9 read 3 wrote 4",
        ),
    ] {
        let json = whole(&json!({"content": "hi"}), "stop", &usage);
        let last = json!({"choices": [], "usage": usage});
        let events = sse([chunk(&json!({"content": "hi"}), None), end("stop"), last]);
        facts.answers(OPEN_AI, says, &json, &events, &format!("says hi; ends Stop; {told}")).await;
    }
}

#[tokio::test]
async fn finish_reasons_have_names_of_ours() {
    let mut facts = Facts::new().await;
    for (finish, reason) in [
        ("stop", "Stop"),
        ("length", "Length"),
        ("tool_calls", "ToolCalls"),
        ("function_call", "ToolCalls"),
        ("content_filter", "ContentFilter"),
        ("brand_new", "Unknown"),
    ] {
        let json = whole(&json!({"content": "hi"}), finish, &Value::Null);
        let events = sse([chunk(&json!({"content": "hi"}), None), end(finish)]);
        facts.answers(OPEN_AI, finish, &json, &events, &format!("says hi; ends {reason}")).await;
    }
}

#[tokio::test]
async fn refusals_and_reasoning_are_no_text() {
    let mut facts = Facts::new().await;
    for (says, message, deltas, expected) in [
        (
            "a refusal",
            json!({"content": null, "refusal": "I won't"}),
            vec![json!({"content": null, "refusal": "I "}), json!({"refusal": "won't"})],
            "declines I won't; ends Stop",
        ),
        (
            "a refusal that is none",
            json!({"content": "hi", "refusal": null}),
            vec![json!({"content": "hi", "refusal": null})],
            "says hi; ends Stop",
        ),
        (
            "DeepSeek's reasoning",
            json!({"content": "hi", "reasoning_content": "hm, so"}),
            vec![
                json!({"content": null, "reasoning_content": "hm"}),
                json!({"content": null, "reasoning_content": ", so"}),
                json!({"content": "hi", "reasoning_content": null}),
            ],
            "thinks hm, so; says hi; ends Stop",
        ),
        (
            "Groq's and OpenRouter's reasoning",
            json!({"content": "hi", "reasoning": "hm, so"}),
            vec![
                json!({"reasoning": "hm"}),
                json!({"content": "", "reasoning": ", so"}),
                json!({"content": "hi"}),
            ],
            "thinks hm, so; says hi; ends Stop",
        ),
        (
            "the same text under both names",
            json!({"content": "hi", "reasoning": "hm", "reasoning_content": "hm"}),
            vec![json!({"reasoning": "hm", "reasoning_content": "hm"}), json!({"content": "hi"})],
            "thinks hm; says hi; ends Stop",
        ),
    ] {
        let json = whole(&message, "stop", &Value::Null);
        let deltas = deltas.iter().map(|delta| chunk(delta, None)).chain([end("stop")]);
        facts.answers(OPEN_AI, says, &json, &sse(deltas), expected).await;
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The first piece of a call, and its next.
fn first(index: u32, id: &str, name: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function",
        "function": {"name": name, "arguments": ""}}]})
}

fn next(index: u32, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

#[tokio::test]
async fn tool_calls_come_in_pieces_that_their_index_tells_apart() {
    let mut facts = Facts::new().await;
    let old = |name: Option<&str>, arguments: &str| json!({"function_call": {"name": name, "arguments": arguments}});
    for (says, message, deltas, finish, expected) in [
        (
            "id and name, then arguments",
            json!({"content": null, "tool_calls": [call("a", "f", "{\"x\":1}")]}),
            vec![first(0, "a", "f"), next(0, "{\"x\""), next(0, ":1}")],
            "tool_calls",
            "a: f{\"x\":1}; ends ToolCalls",
        ),
        (
            "two calls, one after the other",
            json!({"content": "so", "tool_calls": [call("a", "f", "{}"), call("b", "g", "{\"y\":2}")]}),
            vec![
                json!({"content": "so"}),
                first(0, "a", "f"),
                next(0, "{}"),
                first(1, "b", "g"),
                next(1, "{\"y\":2}"),
            ],
            "tool_calls",
            "says so; a: f{}; b: g{\"y\":2}; ends ToolCalls",
        ),
        (
            "two calls, mixed",
            json!({"tool_calls": [call("a", "f", "{\"x\":1}"), call("b", "f", "{\"x\":2}")]}),
            vec![
                first(0, "a", "f"),
                first(1, "b", "f"),
                next(1, "{\"x\""),
                next(0, "{\"x\":"),
                next(1, ":2}"),
                next(0, "1}"),
            ],
            "tool_calls",
            "a: f{\"x\":1}; b: f{\"x\":2}; ends ToolCalls",
        ),
        (
            "the one call of old",
            json!({"content": null, "function_call": {"name": "f", "arguments": "{\"x\":1}"}}),
            vec![old(Some("f"), ""), old(None, "{\"x\":"), old(None, "1}")],
            "function_call",
            "call_1: f{\"x\":1}; ends ToolCalls",
        ),
        (
            "a forced call ends with a stop",
            json!({"tool_calls": [call("a", "f", "{}")]}),
            vec![first(0, "a", "f"), next(0, "{}")],
            "stop",
            "a: f{}; ends Stop",
        ),
    ] {
        let json = whole(&message, finish, &Value::Null);
        let deltas: Vec<_> = deltas.iter().map(|delta| chunk(delta, None)).chain([end(finish)]).collect();
        facts.answers(OPEN_AI, says, &json, &sse(deltas), expected).await;
    }
    let deltas = [first(0, "a", "f"), next(0, "{\"x\""), next(0, ":1}")].map(|delta| chunk(&delta, None));
    let (events, _) = facts.streamed(OPEN_AI, &stream(OPEN_AI, sse(deltas))).await;
    facts.holds("as they come", &*shown::content(&events), "call 0 a f; call 0 - - {\"x\"; call 0 - - :1}");
}
