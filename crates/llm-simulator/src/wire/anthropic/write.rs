//! Answers in Anthropic's words.

use serde_json::Value;

use crate::{
    answer::{Answer, Call, Finish, Place, Usage},
    opaque,
    wire::{Events, Reply, nullable, quoted},
};

pub(crate) const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// The body of an answer that is not streamed.
pub(crate) fn body(reply: &Reply<'_>) -> String {
    let answer = reply.answer;
    let mut content = Vec::new();
    if !answer.reasoning.is_empty() {
        let thinking = answer.reasoning.concat();
        let (text, signature) = (quoted(&thinking), opaque::signature(&thinking));
        content.push(format!(r#"{{"type":"thinking","thinking":{text},"signature":"{signature}"}}"#));
    }
    content.extend(answer.redacted.iter().map(|secret| redacted(secret)));
    if !answer.text.is_empty() {
        content.push(format!(r#"{{"type":"text","text":{}}}"#, quoted(&answer.text.concat())));
    }
    content.extend(answer.calls.iter().map(|call| tool_use(call, object(&call.arguments))));
    message(reply, &content.join(","), Some(&answer.finish), answer.usage())
}

/// The events of a streamed answer. Blocks are numbered in their order.
pub(crate) fn events(reply: &Reply<'_>) -> Events {
    let answer = reply.answer;
    // The counts of the output grow; the first ones are those of the first token.
    let first = answer.usage().map(|usage| Usage { output_tokens: usage.output_tokens.min(1), ..usage });
    let start = format!(r#"{{"type":"message_start","message":{}}}"#, message(reply, "", None, first));
    // A block is started as soon as it is clear what comes, before there is any of it.
    let mut opening = vec![event("message_start", &start)];
    let index = text_index(answer);
    let text_start = (!answer.text.is_empty()).then(|| block_start(index, r#"{"type":"text","text":""}"#));
    let mut reasoning: Vec<String> = answer.reasoning.iter().map(|text| thinking_delta(text)).collect();
    if let Some(last) = reasoning.last_mut() {
        opening.push(block_start(0, r#"{"type":"thinking","thinking":"","signature":""}"#));
        let signature = opaque::signature(&answer.reasoning.concat());
        last.push_str(&block_delta(0, &format!(r#"{{"type":"signature_delta","signature":"{signature}"}}"#)));
        last.push_str(&block_stop(0));
    }
    for (number, secret) in answer.redacted.iter().enumerate() {
        let index = number + usize::from(!answer.reasoning.is_empty());
        reasoning.push(block_start(index, &redacted(secret)) + &block_stop(index));
    }
    match reasoning.last_mut() {
        Some(last) => last.extend(text_start),
        None => opening.extend(text_start),
    }
    opening.push(PING.to_owned());

    let mut deltas: Vec<String> = answer.text.iter().map(|text| delta(reply, Place::Text, text)).collect();
    let mut open = (!deltas.is_empty()).then_some(index);
    for (number, call) in answer.calls.iter().enumerate() {
        let before = open.map_or_else(String::new, block_stop);
        let index = call_index(answer, number);
        // The first piece of the arguments has always nothing in it.
        let start =
            block_start(index, &tool_use(call, "{}")) + &delta(reply, Place::Call(number), &call.first);
        deltas.push(before + &start);
        deltas.extend(call.pieces.iter().map(|piece| delta(reply, Place::Call(number), piece)));
        open = Some(index);
    }
    Events { opening, reasoning, deltas, finish: finish(answer, open), done: None }
}

/// One event with one delta.
pub(crate) fn delta(reply: &Reply<'_>, place: Place, text: &str) -> String {
    let text = quoted(text);
    match place {
        Place::Text => {
            block_delta(text_index(reply.answer), &format!(r#"{{"type":"text_delta","text":{text}}}"#))
        }
        Place::Call(number) => {
            let delta = format!(r#"{{"type":"input_json_delta","partial_json":{text}}}"#);
            block_delta(call_index(reply.answer, number), &delta)
        }
    }
}

/// The end of the last block, why the model stopped, and what it has counted up to there.
fn finish(answer: &Answer, open: Option<usize>) -> Vec<String> {
    let mut finish: Vec<String> = open.map(block_stop).into_iter().collect();
    let usage =
        answer.usage().map_or_else(String::new, |usage| format!(r#","usage":{{{}}}"#, counts(usage, "")));
    let stopped = stopped(Some(&answer.finish));
    let delta = format!(r#"{{"type":"message_delta","delta":{{{stopped}}}{usage}}}"#);
    finish.push(event("message_delta", &delta));
    finish.push(event("message_stop", r#"{"type":"message_stop"}"#));
    finish
}

pub(crate) fn named(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// An event as the vendor pads it: with spaces before the last brace.
fn event(name: &str, data: &str) -> String {
    let unclosed = data.strip_suffix('}').unwrap_or(data);
    named(name, &format!("{unclosed}{:width$}}}", "", width = data.len() % 14 + 1))
}

/// The message itself, complete or as it is when it starts.
fn message(reply: &Reply<'_>, content: &str, finish: Option<&Finish>, usage: Option<Usage>) -> String {
    let usage = usage.map_or_else(String::new, |usage| {
        let written = usage.cache_write_tokens;
        let (short, long) = if reply.answer.cached_for_an_hour { (0, written) } else { (written, 0) };
        let kept = format!(
            r#""cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{long}}},"#
        );
        format!(r#","usage":{{{},"service_tier":"standard"}}"#, counts(usage, &kept))
    });
    format!(
        r#"{{"model":{model},"id":{id},"type":"message","role":"assistant","content":[{content}],{stopped}{usage}}}"#,
        model = quoted(reply.model),
        id = quoted(reply.id),
        stopped = stopped(finish),
    )
}

fn counts(usage: Usage, kept: &str) -> String {
    let thought = match usage.reasoning_tokens {
        0 => String::new(),
        tokens => format!(r#","output_tokens_details":{{"thinking_tokens":{tokens}}}"#),
    };
    format!(
        r#""input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},{kept}"output_tokens":{}{thought}"#,
        usage.input_tokens, usage.cache_write_tokens, usage.cache_read_tokens, usage.output_tokens
    )
}

/// Why the model stopped, or that it has not yet.
fn stopped(finish: Option<&Finish>) -> String {
    let sequence = match finish {
        Some(Finish::StopSequence(sequence)) => Some(sequence.as_str()),
        _ => None,
    };
    let reason = nullable(finish.map(stop_reason));
    format!(r#""stop_reason":{reason},"stop_sequence":{}"#, nullable(sequence))
}

fn stop_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::ToolCalls => "tool_use",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Other(reason) => reason,
    }
}

fn redacted(secret: &str) -> String {
    format!(r#"{{"type":"redacted_thinking","data":"{}"}}"#, opaque::redacted(secret))
}

fn tool_use(call: &Call, input: &str) -> String {
    let (id, name) = (quoted(&call.id), quoted(&call.name));
    format!(r#"{{"type":"tool_use","id":{id},"name":{name},"input":{input}}}"#)
}

/// The arguments as they are if they are an object, which they must be here.
fn object(arguments: &str) -> &str {
    let is_object = serde_json::from_str(arguments).is_ok_and(|arguments: Value| arguments.is_object());
    if is_object { arguments } else { "{}" }
}

/// The text is the block after the reasoning, if there is any.
fn text_index(answer: &Answer) -> usize {
    usize::from(!answer.reasoning.is_empty()) + answer.redacted.len()
}

/// The calls are the blocks after the text, if there is any.
fn call_index(answer: &Answer, number: usize) -> usize {
    text_index(answer) + usize::from(!answer.text.is_empty()) + number
}

fn block_start(index: usize, block: &str) -> String {
    let data = format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#);
    event("content_block_start", &data)
}

fn block_delta(index: usize, delta: &str) -> String {
    event(
        "content_block_delta",
        &format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#),
    )
}

fn thinking_delta(text: &str) -> String {
    block_delta(0, &format!(r#"{{"type":"thinking_delta","thinking":{}}}"#, quoted(text)))
}

fn block_stop(index: usize) -> String {
    event("content_block_stop", &format!(r#"{{"type":"content_block_stop","index":{index}}}"#))
}
