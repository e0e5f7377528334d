//! Anthropic messages.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::{Call, Codec, Events, Reply, field_model, has_messages, is_streamed, nullable, quoted};
use crate::{
    answer::{Finish, Usage},
    fault::ErrorWords,
};

pub(crate) struct Anthropic;

/// Seconds until the limits of a successful request are reset.
const RESET: u64 = 59;

const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// Stands for the signature that the vendor puts under its thinking; any opaque text will do.
const SIGNATURE: &str = "c2ltdWxhdGVkIHNpZ25hdHVyZQ==";

impl Codec for Anthropic {
    fn read(&self, body: &Value) -> Result<Call, String> {
        let model = field_model(body).ok_or("model: Field required")?;
        if body.get("max_tokens").and_then(Value::as_u64).is_none_or(|tokens| tokens == 0) {
            return Err("max_tokens: Field required".to_owned());
        }
        if !has_messages(body) {
            return Err("messages: at least one message is required".to_owned());
        }
        Ok(Call { model: model.to_owned(), streamed: is_streamed(body), usage: true })
    }

    fn request_id(&self, unique: &str) -> (&'static str, String) {
        ("request-id", format!("req_{unique}"))
    }

    fn answer_id(&self, unique: &str) -> String {
        format!("msg_{unique}")
    }

    fn headers(&self, status: u16, now: u64) -> Vec<(&'static str, String)> {
        match status {
            200..300 => {
                let reset = UNIX_EPOCH + Duration::from_secs(now.saturating_add(RESET));
                let reset = humantime::format_rfc3339_seconds(reset).to_string();
                vec![
                    ("anthropic-ratelimit-requests-limit", "4000".to_owned()),
                    ("anthropic-ratelimit-requests-remaining", "3999".to_owned()),
                    ("anthropic-ratelimit-requests-reset", reset.clone()),
                    ("anthropic-ratelimit-tokens-reset", reset),
                ]
            }
            408 | 409 | 429 => vec![],
            400..500 => vec![("x-should-retry", "false".to_owned())],
            _ => vec![],
        }
    }

    fn body(&self, reply: &Reply<'_>) -> String {
        let answer = reply.answer;
        let mut content = Vec::new();
        if !answer.reasoning.is_empty() {
            let thinking = quoted(&answer.reasoning.concat());
            content.push(format!(r#"{{"type":"thinking","thinking":{thinking},"signature":"{SIGNATURE}"}}"#));
        }
        if !answer.text.is_empty() {
            content.push(format!(r#"{{"type":"text","text":{}}}"#, quoted(&answer.text.concat())));
        }
        let stop = quoted(stop_reason(&answer.finish));
        message(reply, &content.join(","), &stop, answer.usage())
    }

    fn events(&self, reply: &Reply<'_>) -> Events {
        let answer = reply.answer;
        // The counts of the output grow; the first ones are those of the first token.
        let first = answer.usage().map(|usage| Usage { output_tokens: usage.output_tokens.min(1), ..usage });
        let start = format!(r#"{{"type":"message_start","message":{}}}"#, message(reply, "", "null", first));
        // A block is started as soon as it is clear what comes, before there is any of it.
        let mut opening = vec![event("message_start", &start)];
        let index = text_index(reply);
        let text_start =
            (!answer.text.is_empty()).then(|| block_start(index, r#"{"type":"text","text":""}"#));
        let mut reasoning: Vec<String> = answer.reasoning.iter().map(|text| thinking_delta(text)).collect();
        if let Some(last) = reasoning.last_mut() {
            opening.push(block_start(0, r#"{"type":"thinking","thinking":"","signature":""}"#));
            let signature = format!(r#"{{"type":"signature_delta","signature":"{SIGNATURE}"}}"#);
            last.push_str(&block_delta(0, &signature));
            last.push_str(&block_stop(0));
            last.extend(text_start);
        } else {
            opening.extend(text_start);
        }
        opening.push(PING.to_owned());
        let text: Vec<String> = answer.text.iter().map(|text| self.delta(reply, text)).collect();

        let mut finish = Vec::new();
        if !text.is_empty() {
            finish.push(block_stop(index));
        }
        let usage =
            answer.usage().map_or_else(String::new, |usage| format!(r#","usage":{{{}}}"#, counts(usage)));
        let stop = quoted(stop_reason(&answer.finish));
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":{stop},"stop_sequence":null}}{usage}}}"#
        );
        finish.push(event("message_delta", &delta));
        finish.push(event("message_stop", r#"{"type":"message_stop"}"#));
        Events { opening, reasoning, text, finish, done: None }
    }

    fn delta(&self, reply: &Reply<'_>, text: &str) -> String {
        block_delta(text_index(reply), &format!(r#"{{"type":"text_delta","text":{}}}"#, quoted(text)))
    }

    fn keep_alive(&self) -> &'static str {
        PING
    }

    fn malformed(&self) -> &'static str {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\n\n"
    }

    fn endless(&self) -> &'static str {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\""
    }

    fn error(&self, status: u16, words: &ErrorWords, model: &str, request_id: &str) -> String {
        let (kind, message) = usual(status, model);
        let details = words
            .code
            .as_deref()
            .map_or_else(String::new, |code| format!(r#","details":{{"error_code":{}}}"#, quoted(code)));
        format!(
            r#"{{"type":"error","error":{{"type":{kind},"message":{message}{details}}},"request_id":{id}}}"#,
            kind = quoted(words.kind.as_deref().unwrap_or(kind)),
            message = quoted(words.message.as_deref().unwrap_or(&message)),
            id = quoted(request_id),
        )
    }

    fn error_event(&self, envelope: &str) -> String {
        named("error", envelope)
    }

    fn models(&self, models: &[String]) -> String {
        let entries: Vec<String> = models
            .iter()
            .map(|model| {
                let id = quoted(model);
                format!(
                    r#"{{"type":"model","id":{id},"display_name":{id},"created_at":"2025-01-01T00:00:00Z"}}"#
                )
            })
            .collect();
        let (first, last) = (models.first().map(String::as_str), models.last().map(String::as_str));
        format!(
            r#"{{"data":[{}],"has_more":false,"first_id":{},"last_id":{}}}"#,
            entries.join(","),
            nullable(first),
            nullable(last)
        )
    }
}

fn named(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// An event as the vendor pads it: with spaces before the last brace.
fn event(name: &str, data: &str) -> String {
    let unclosed = data.strip_suffix('}').unwrap_or(data);
    named(name, &format!("{unclosed}{:width$}}}", "", width = data.len() % 14 + 1))
}

/// The message itself, complete or as it is when it starts.
fn message(reply: &Reply<'_>, content: &str, stop: &str, usage: Option<Usage>) -> String {
    let usage = usage.map_or_else(String::new, |usage| {
        format!(r#","usage":{{{},"service_tier":"standard"}}"#, counts(usage))
    });
    format!(
        r#"{{"model":{model},"id":{id},"type":"message","role":"assistant","content":[{content}],"stop_reason":{stop},"stop_sequence":null{usage}}}"#,
        model = quoted(reply.model),
        id = quoted(reply.id),
    )
}

fn counts(usage: Usage) -> String {
    format!(
        r#""input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},"output_tokens":{}"#,
        usage.input_tokens, usage.cache_write_tokens, usage.cache_read_tokens, usage.output_tokens
    )
}

/// The text is the block after the thinking, if there is any.
fn text_index(reply: &Reply<'_>) -> usize {
    usize::from(!reply.answer.reasoning.is_empty())
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

fn stop_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::Other(reason) => reason,
    }
}

/// Type and message that Anthropic sends with a status.
fn usual(status: u16, model: &str) -> (&'static str, String) {
    let (kind, message) = match status {
        401 => ("authentication_error", "invalid x-api-key"),
        402 => ("billing_error", "Your account has a billing problem."),
        403 => ("permission_error", "Your API key does not have permission to use the specified resource."),
        404 => return ("not_found_error", format!("model: {model}")),
        413 => ("request_too_large", "Request exceeds the maximum size"),
        429 => ("rate_limit_error", "This request would exceed your organization's rate limit."),
        504 => ("timeout_error", "Request timed out"),
        529 => ("overloaded_error", "Overloaded"),
        400..500 => ("invalid_request_error", "The request was refused."),
        _ => ("api_error", "Internal server error"),
    };
    (kind, message.to_owned())
}
