//! Answers as OpenAI and hosts like it write them.

mod calls;

use std::collections::VecDeque;

use llm_protocol::{ErrorKind, FinishReason, Opaque, Placed, Response, ToolCall, Usage};
use serde_json::{Map, Value, json};

use self::calls::Calls;
use super::meant::{Frame, Meant};
use super::source::Source;

const REASONS: [(&str, FinishReason); 7] = [
    ("stop", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("tool_calls", FinishReason::ToolCalls),
    ("content_filter", FinishReason::ContentFilter),
    ("model_length", FinishReason::Length),
    ("insufficient_system_resource", FinishReason::Error),
    ("brand_new", FinishReason::Unknown),
];

/// Where a host puts its reasoning.
#[derive(Clone, Copy, PartialEq)]
enum Thinks {
    Not,
    Content,
    Reasoning,
    InBothPlaces,
    /// Among the content, as Mistral.
    InParts,
    /// And again with a signature, as OpenRouter.
    InDetails,
}

pub(super) fn meant(source: &mut Source<'_>) -> Meant {
    let ascii = source.flag();
    let model = source.pick(&["m-1", "", "m \"ö\" 2"]);
    let thinks = source.pick(&[
        Thinks::Not,
        Thinks::Content,
        Thinks::Reasoning,
        Thinks::InBothPlaces,
        Thinks::InParts,
        Thinks::InDetails,
    ]);
    let thought = if thinks == Thinks::Not { String::new() } else { source.text() };
    let text = source.text();
    let refusal = if source.one_in(4) { source.text() } else { String::new() };
    let style = source.pick(&[Calls::ByIndex, Calls::ById, Calls::AllAtOnce, Calls::AsFunction]);
    let calls = calls::made(style, ascii, source);
    let (word, reason) = source.pick(&REASONS);
    let (usage, counts) = usage(source);

    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let mut own = Map::new();
    let thoughts = thoughts(thinks, &thought, &mut message, &mut own, source);
    if !calls.is_empty() && matches!(thinks, Thinks::Content | Thinks::InBothPlaces) && !thought.is_empty() {
        own.insert("reasoning_content".into(), thought.clone().into());
    }
    let words = |text: &str| {
        if thinks == Thinks::InParts { json!([{"type": "text", "text": text}]) } else { json!(text) }
    };
    if thinks == Thinks::InParts {
        message.insert(
            "content".into(),
            json!([{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}, {"type": "text", "text": text}]),
        );
    } else {
        message.insert("content".into(), if text.is_empty() { Value::Null } else { json!(text) });
    }
    if !refusal.is_empty() {
        message.insert("refusal".into(), json!(refusal));
    }

    let said: VecDeque<String> =
        source.pieces(&text).into_iter().map(|piece| json!({"content": words(&piece)}).to_string()).collect();
    let declined = source
        .pieces(&refusal)
        .into_iter()
        .map(|piece| json!({"refusal": piece, "content": null}).to_string());
    let declined: VecDeque<String> = declined.collect();
    let called = calls::called(style, &calls, source);
    let deltas = merged(vec![thoughts, said, declined, called], source);
    let frames = stream(model, &deltas, word, counts.as_ref(), source);

    let mut response = Response::default();
    response.model_id = some(model);
    response.reasoning = some(&thought);
    response.refusal = some(&refusal);
    if !own.is_empty() {
        let part = Opaque::new("acme", serde_json::Value::from(own).to_string());
        response.opaque.push(Placed::new(text.len(), calls.len(), part));
    }
    let whole = whole(model, &message, style, &calls, word, counts.as_ref());
    response.text = text;
    response.tool_calls = calls::with_ids(calls);
    response.finish_reason = reason;
    response.usage = usage;
    let (error, kind) = source.pick(&[
        (r#"{"error":{"message":"m","type":"server_error","code":null}}"#, ErrorKind::Server),
        (r#"{"error":{"message":"m","code":429},"choices":[]}"#, ErrorKind::RateLimited),
        (r#"{"choices":[{"index":0,"delta":{},"error":{"message":"m","code":"context_length_exceeded"}}]}"#, ErrorKind::ContextLength),
    ]);
    Meant { response, ascii, frames, whole, error: (Frame::new("error", error), kind), noise: noise() }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn noise() -> Vec<Frame> {
    vec![
        Frame::new("", r#"{"choices":[],"object":"chat.completion.chunk"}"#),
        Frame::new("", r#"{"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"stop"}]}"#),
        Frame::new(
            "",
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":null}}],"usage":null,"error":null}"#,
        ),
        Frame::new("ping", "no JSON"),
        Frame::new("ping", ""),
        Frame::new("message", r#"{"choices":[{"delta":{},"finish_reason":""}],"new":[{"a":1}]}"#),
    ]
}

fn usage(source: &mut Source<'_>) -> (Usage, Option<Value>) {
    let (prompt, output, cached, written, reasoning) =
        (source.tokens(), source.tokens(), source.tokens(), source.tokens(), source.tokens());
    let usage = Usage {
        input_tokens: prompt,
        output_tokens: output,
        cache_read_tokens: cached,
        cache_write_tokens: written,
        reasoning_tokens: reasoning,
    };
    let cache = cached.unwrap_or(0) + written.unwrap_or(0);
    let counts = json!({
        "prompt_tokens": prompt.map(|prompt| prompt + cache),
        "completion_tokens": output,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    });
    (usage, (!usage.is_unknown()).then_some(counts))
}

/// The deltas of the reasoning; what stands in the message, and what is to go back.
fn thoughts(
    thinks: Thinks,
    thought: &str,
    message: &mut Map<String, Value>,
    own: &mut Map<String, Value>,
    source: &mut Source<'_>,
) -> VecDeque<String> {
    let names: &[&str] = match thinks {
        Thinks::Not | Thinks::InParts => &[],
        Thinks::Content => &["reasoning_content"],
        Thinks::Reasoning | Thinks::InDetails => &["reasoning"],
        Thinks::InBothPlaces => &["reasoning", "reasoning_content"],
    };
    message.extend(names.iter().map(|name| ((*name).to_owned(), json!(thought))));
    let detail = |text: &str| json!({"type": "reasoning.text", "text": text, "index": 0, "format": "f"});
    let mut deltas = VecDeque::new();
    for piece in source.pieces(thought) {
        let mut delta: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), json!(piece))).collect();
        match thinks {
            Thinks::InParts => {
                let part = json!([{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]);
                delta.insert("content".into(), part);
            }
            Thinks::InDetails => {
                delta.insert("reasoning_details".into(), json!([detail(&piece)]));
            }
            _ => {}
        }
        deltas.push_back(Value::from(delta).to_string());
    }
    if thinks == Thinks::InDetails {
        let signed = json!({"type": "reasoning.text", "signature": "s+/=", "index": 0, "text": null});
        let sealed = json!({"type": "reasoning.encrypted", "data": "x", "index": 1});
        deltas.push_back(json!({"reasoning_details": [signed]}).to_string());
        deltas.push_back(json!({"reasoning_details": [sealed]}).to_string());
        let mut whole = detail(thought);
        whole["signature"] = json!("s+/=");
        if thought.is_empty() {
            whole = signed;
        }
        let details = json!([whole, sealed]);
        message.insert("reasoning_details".into(), details.clone());
        own.insert("reasoning_details".into(), details);
    }
    deltas
}

/// Several queues in one, each in its order.
fn merged(mut queues: Vec<VecDeque<String>>, source: &mut Source<'_>) -> Vec<String> {
    let mut merged = Vec::new();
    loop {
        queues.retain(|queue| !queue.is_empty());
        if queues.is_empty() {
            return merged;
        }
        let queue = source.below(queues.len());
        merged.extend(queues[queue].pop_front());
    }
}

fn stream(
    model: &str,
    deltas: &[String],
    word: &str,
    counts: Option<&Value>,
    source: &mut Source<'_>,
) -> Vec<Frame> {
    let model = json!(model);
    let chunk = |delta: &str, reason: Value, more: String| {
        Frame::new(
            "message",
            format!(
                r#"{{"object":"chat.completion.chunk","model":{model},"choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]{more}}}"#
            ),
        )
    };
    let mut frames = vec![chunk(r#"{"role":"assistant","content":""}"#, Value::Null, String::new())];
    frames.extend(deltas.iter().map(|delta| chunk(delta, Value::Null, String::new())));
    let place = source.below(3);
    let at_end = match (place, counts) {
        (1, Some(counts)) => format!(r#","usage":{counts}"#),
        (2, Some(counts)) => format!(r#","x_groq":{{"usage":{counts}}}"#),
        _ => String::new(),
    };
    frames.push(chunk("{}", json!(word), at_end).completing());
    if let (0, Some(counts)) = (place, counts) {
        frames.push(Frame::new("", format!(r#"{{"choices":[],"usage":{counts}}}"#)));
    }
    if source.flag() {
        frames.push(Frame::new("", "[DONE]").last());
    }
    frames
}

fn whole(
    model: &str,
    message: &Map<String, Value>,
    style: Calls,
    calls: &[ToolCall],
    word: &str,
    counts: Option<&Value>,
) -> String {
    let mut message = json!(message).to_string();
    if let [call, ..] = calls {
        let (name, calls) = match style {
            Calls::AsFunction => {
                ("function_call", calls::function(Some(&call.name), &call.arguments).to_string())
            }
            _ => ("tool_calls", calls::list(calls)),
        };
        message = format!(r#"{{"{name}":{calls},{}"#, &message[1..]);
    }
    let (model, word, counts) = (json!(model), json!(word), json!(counts));
    format!(
        r#"{{"object":"chat.completion","model":{model},"choices":[{{"index":0,"message":{message},"finish_reason":{word}}}],"usage":{counts}}}"#
    )
}
