//! Answers in OpenAI's words, and in those of the hosts that speak like it.

use crate::{
    answer::{Call, Finish, Place, Usage},
    host::Host,
    opaque,
    wire::{Events, Reply, list, nullable, quoted},
};

/// What OpenRouter calls the manner of the reasoning that it passes on.
const FORMAT: &str = "anthropic-claude-v1";

/// The body of an answer that is not streamed.
pub(crate) fn body(reply: &Reply<'_>) -> String {
    let answer = reply.answer;
    let (refused, host) = (answer.finish == Finish::Refusal, answer.host);
    let text = quoted(&answer.text.concat());
    // Calls alone come without text, an answer without either with an empty one.
    let silent = answer.text.is_empty() && !answer.calls.is_empty();
    let content = if refused || silent { "null" } else { text.as_str() };
    let refusal = if refused { text.as_str() } else { "null" };
    let calls: Vec<String> = answer.calls.iter().map(|call| tool_call(call, &call.arguments, "")).collect();
    let usage =
        answer.usage().map_or_else(String::new, |usage| format!(r#","usage":{}"#, counts(usage, host)));
    let tail = match host {
        Host::OpenAi => r#","service_tier":"default","system_fingerprint":null"#.to_owned(),
        Host::Groq => format!(r#","system_fingerprint":null,"x_groq":{{"id":{}}}"#, quoted(reply.id)),
        Host::OpenRouter => r#","provider":"Simulated""#.to_owned(),
        Host::DeepSeek | Host::Mistral => String::new(),
    };
    format!(
        r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{content}{reasoning}{calls},"refusal":{refusal},"annotations":[]}},"logprobs":null,"finish_reason":{finish}}}]{usage}{tail}}}"#,
        id = quoted(reply.id),
        created = reply.created,
        model = quoted(reply.model),
        reasoning = reasoned(reply),
        calls = list("tool_calls", &calls),
        finish = quoted(finish_reason(&answer.finish)),
    )
}

/// The events of a streamed answer.
pub(crate) fn events(reply: &Reply<'_>) -> Events {
    let (answer, host) = (reply.answer, reply.answer.host);
    let content = if answer.text.is_empty() && !answer.calls.is_empty() { "null" } else { r#""""# };
    let refusal = if host == Host::OpenAi { r#","refusal":null"# } else { "" };
    let first = format!(r#"{{"role":"assistant","content":{content}{refusal}}}"#);
    let about = if host == Host::Groq {
        format!(r#","x_groq":{{"id":{}}}"#, quoted(reply.id))
    } else {
        String::new()
    };
    let opening = event(reply, &choice(&first, None), &format!("{}{about}", no_usage(reply)));
    let mut reasoning: Vec<String> =
        answer.reasoning.iter().map(|text| reasoning_delta(reply, text)).collect();
    if host == Host::OpenRouter {
        let closing = details(reply, None)
            .into_iter()
            .map(|detail| chunk(reply, &format!(r#"{{"content":"","reasoning_details":[{detail}]}}"#), None));
        reasoning.extend(closing);
    }
    let mut deltas: Vec<String> = answer.text.iter().map(|text| delta(reply, Place::Text, text)).collect();
    for (number, call) in answer.calls.iter().enumerate() {
        let start = tool_call(call, &call.first, &format!(r#""index":{number},"#));
        deltas.push(chunk(reply, &format!(r#"{{"tool_calls":[{start}]}}"#), None));
        deltas.extend(call.pieces.iter().map(|piece| delta(reply, Place::Call(number), piece)));
    }
    Events {
        opening: vec![opening],
        reasoning,
        deltas,
        finish: finish(reply),
        done: Some("data: [DONE]\n\n".to_owned()),
    }
}

/// One event with one delta.
pub(crate) fn delta(reply: &Reply<'_>, place: Place, text: &str) -> String {
    let text = quoted(text);
    let delta = match place {
        Place::Text if reply.answer.finish == Finish::Refusal => format!(r#"{{"refusal":{text}}}"#),
        Place::Text => format!(r#"{{"content":{text}}}"#),
        Place::Call(number) => {
            format!(r#"{{"tool_calls":[{{"index":{number},"function":{{"arguments":{text}}}}}]}}"#)
        }
    };
    chunk(reply, &delta, None)
}

/// The finish reason, and the usage where the host puts it.
fn finish(reply: &Reply<'_>) -> Vec<String> {
    let (host, usage) = (reply.answer.host, reply.answer.usage());
    let counts = usage.map(|usage| counts(usage, host));
    let reason = Some(finish_reason(&reply.answer.finish));
    let beside = |counts: &String| format!(r#","usage":{counts}"#);
    match (host, counts) {
        (Host::DeepSeek | Host::Mistral, Some(counts)) => {
            vec![event(reply, &choice(r#"{"content":""}"#, reason), &beside(&counts))]
        }
        (Host::OpenRouter, Some(counts)) => {
            let nothing = r#"{"role":"assistant","content":""}"#;
            vec![chunk(reply, nothing, reason), event(reply, &choice(nothing, None), &beside(&counts))]
        }
        (Host::Groq, Some(counts)) => {
            let own = format!(r#","x_groq":{{"id":{},"usage":{counts}}}"#, quoted(reply.id));
            let mut finish = vec![event(reply, &choice("{}", reason), &own)];
            if reply.usage {
                finish.push(event(reply, "[]", &beside(&counts)));
            }
            finish
        }
        (_, counts) => {
            let mut finish = vec![chunk(reply, "{}", reason)];
            finish.extend(counts.filter(|_| reply.usage).map(|counts| event(reply, "[]", &beside(&counts))));
            finish
        }
    }
}

fn tool_call(call: &Call, arguments: &str, index: &str) -> String {
    let (id, name, arguments) = (quoted(&call.id), quoted(&call.name), quoted(arguments));
    format!(r#"{{{index}"id":{id},"type":"function","function":{{"name":{name},"arguments":{arguments}}}}}"#)
}

/// The name under which a host sends its reasoning.
fn reasoning_field(host: Host) -> &'static str {
    match host {
        Host::Groq | Host::OpenRouter => "reasoning",
        Host::OpenAi | Host::DeepSeek | Host::Mistral => "reasoning_content",
    }
}

/// The reasoning as fields of a message.
fn reasoned(reply: &Reply<'_>) -> String {
    let (answer, mut fields) = (reply.answer, String::new());
    if !answer.reasoning.is_empty() {
        let text = quoted(&answer.reasoning.concat());
        fields = format!(r#","{}":{text}"#, reasoning_field(answer.host));
    }
    if answer.host == Host::OpenRouter {
        fields.push_str(&list("reasoning_details", &details(reply, Some(&answer.reasoning.concat()))));
    }
    fields
}

fn reasoning_delta(reply: &Reply<'_>, text: &str) -> String {
    let (host, text) = (reply.answer.host, quoted(text));
    let field = reasoning_field(host);
    let delta = match host {
        Host::OpenRouter => format!(
            r#"{{"content":"","{field}":{text},"reasoning_details":[{{"type":"reasoning.text","text":{text},"format":"{FORMAT}","index":0}}]}}"#
        ),
        Host::Groq => format!(r#"{{"{field}":{text}}}"#),
        Host::OpenAi | Host::DeepSeek | Host::Mistral => format!(r#"{{"content":null,"{field}":{text}}}"#),
    };
    chunk(reply, &delta, None)
}

/// OpenRouter's list of what the reasoning consists of. In a stream the text has been sent before the signature.
fn details(reply: &Reply<'_>, text: Option<&str>) -> Vec<String> {
    let answer = reply.answer;
    let mut details = Vec::new();
    if !answer.reasoning.is_empty() {
        let text = text.map_or_else(String::new, |text| format!(r#""text":{},"#, quoted(text)));
        let signature = opaque::signature(&answer.reasoning.concat());
        details.push(format!(
            r#"{{"type":"reasoning.text",{text}"signature":"{signature}","format":"{FORMAT}","index":0}}"#
        ));
    }
    for secret in &answer.redacted {
        let (data, index) = (opaque::redacted(secret), details.len());
        details.push(format!(
            r#"{{"type":"reasoning.encrypted","data":"{data}","format":"{FORMAT}","index":{index}}}"#
        ));
    }
    details
}

/// Whoever asks for usage gets a null in all events but the one that has it.
fn no_usage(reply: &Reply<'_>) -> &'static str {
    if reply.usage && reply.answer.host == Host::OpenAi { r#","usage":null"# } else { "" }
}

/// One event with one choice.
fn chunk(reply: &Reply<'_>, delta: &str, finish: Option<&str>) -> String {
    event(reply, &choice(delta, finish), no_usage(reply))
}

fn choice(delta: &str, finish: Option<&str>) -> String {
    format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{}}}]"#, nullable(finish))
}

fn event(reply: &Reply<'_>, choices: &str, rest: &str) -> String {
    let noise = noise(choices.len());
    let (about, padding) = match reply.answer.host {
        Host::OpenAi => {
            (r#","service_tier":"default","system_fingerprint":null"#, format!(r#","obfuscation":"{noise}""#))
        }
        Host::Groq | Host::DeepSeek => (r#","system_fingerprint":null"#, String::new()),
        Host::OpenRouter => (r#","provider":"Simulated""#, String::new()),
        Host::Mistral => ("", format!(r#","p":"{noise}""#)),
    };
    format!(
        "data: {{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model}{about},\"choices\":{choices}{rest}{padding}}}\n\n",
        id = quoted(reply.id),
        created = reply.created,
        model = quoted(reply.model),
    )
}

/// Random letters of random length, by which the length of an event does not tell that of its text.
fn noise(seed: usize) -> &'static str {
    const NOISE: &str = "QPBHOsPReTzzmLcRNwCse9";
    NOISE.get(seed % 13..seed % 13 + seed % 7 + 1).unwrap_or_default()
}

fn counts(usage: Usage, host: Host) -> String {
    // OpenAI counts what is read from the cache, or written to it, in the prompt.
    let fresh = usage.input_tokens.saturating_add(usage.cache_write_tokens);
    let (cached, output) = (usage.cache_read_tokens, usage.output_tokens);
    let (input, reasoning) = (fresh.saturating_add(cached), usage.reasoning_tokens);
    let total = input.saturating_add(output);
    let sums = format!(r#""prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total}"#);
    // Who writes to no cache says nothing of it.
    let written = match usage.cache_write_tokens {
        0 => String::new(),
        tokens => format!(r#","cache_write_tokens":{tokens}"#),
    };
    let read = format!(r#""prompt_tokens_details":{{"cached_tokens":{cached}{written}}}"#);
    let thought = format!(r#""completion_tokens_details":{{"reasoning_tokens":{reasoning}}}"#);
    match host {
        Host::OpenAi => format!(
            r#"{{{sums},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0{written}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
        ),
        Host::OpenRouter => format!(r#"{{{sums},"cost":0.0001,"is_byok":false,{read},{thought}}}"#),
        Host::DeepSeek => format!(
            r#"{{{sums},{read},{thought},"prompt_cache_hit_tokens":{cached},"prompt_cache_miss_tokens":{fresh}}}"#
        ),
        Host::Groq => format!(r#"{{"queue_time":0.01,{sums},"total_time":0.06,{read},{thought}}}"#),
        Host::Mistral => format!("{{{sums}}}"),
    }
}

fn finish_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop | Finish::Refusal | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::ToolCalls => "tool_calls",
        Finish::Other(reason) => reason,
    }
}
