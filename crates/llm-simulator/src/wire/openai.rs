//! OpenAI chat completions.

use serde_json::Value;

use super::{Call, Codec, Events, Reply, field_model, has_messages, is_streamed, nullable, quoted};
use crate::{
    answer::{Finish, Usage},
    fault::ErrorWords,
};

pub(crate) struct OpenAi;

impl Codec for OpenAi {
    fn read(&self, body: &Value) -> Result<Call, String> {
        let model = field_model(body).ok_or("you must provide a model parameter")?;
        if !has_messages(body) {
            return Err("Missing required parameter: 'messages'.".to_owned());
        }
        let usage = body.pointer("/stream_options/include_usage").and_then(Value::as_bool);
        Ok(Call { model: model.to_owned(), streamed: is_streamed(body), usage: usage.unwrap_or_default() })
    }

    fn request_id(&self, unique: &str) -> (&'static str, String) {
        ("x-request-id", format!("req_{unique}"))
    }

    fn answer_id(&self, unique: &str) -> String {
        format!("chatcmpl-{unique}")
    }

    fn headers(&self, status: u16, _now: u64) -> Vec<(&'static str, String)> {
        let mut headers = vec![("openai-version", "2020-10-01"), ("openai-processing-ms", "12")];
        if (200..300).contains(&status) {
            headers.extend([
                ("x-ratelimit-limit-requests", "5000"),
                ("x-ratelimit-limit-tokens", "4000000"),
                ("x-ratelimit-remaining-requests", "4999"),
                ("x-ratelimit-remaining-tokens", "3999993"),
                ("x-ratelimit-reset-requests", "12ms"),
                ("x-ratelimit-reset-tokens", "17.399999999s"),
            ]);
        }
        headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }

    fn body(&self, reply: &Reply<'_>) -> String {
        let answer = reply.answer;
        let text = quoted(&answer.text.concat());
        let (content, refusal) = match answer.finish {
            Finish::Refusal => ("null", text.as_str()),
            _ => (text.as_str(), "null"),
        };
        let reasoning = match answer.reasoning.concat() {
            reasoning if reasoning.is_empty() => String::new(),
            reasoning => format!(r#","reasoning_content":{}"#, quoted(&reasoning)),
        };
        let usage = answer.usage().map_or_else(String::new, |usage| format!(r#","usage":{}"#, counts(usage)));
        format!(
            r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{content}{reasoning},"refusal":{refusal},"annotations":[]}},"logprobs":null,"finish_reason":{finish}}}]{usage},"service_tier":"default","system_fingerprint":null}}"#,
            id = quoted(reply.id),
            created = reply.created,
            model = quoted(reply.model),
            finish = quoted(finish_reason(&answer.finish)),
        )
    }

    fn events(&self, reply: &Reply<'_>) -> Events {
        let answer = reply.answer;
        let opening = chunk(reply, r#"{"role":"assistant","content":"","refusal":null}"#, None);
        let reasoning = |text: &String| {
            chunk(reply, &format!(r#"{{"content":null,"reasoning_content":{}}}"#, quoted(text)), None)
        };
        let mut finish = vec![chunk(reply, "{}", Some(finish_reason(&answer.finish)))];
        if let (true, Some(usage)) = (reply.usage, answer.usage()) {
            finish.push(event(reply, "[]", &format!(r#","usage":{}"#, counts(usage))));
        }
        Events {
            opening: vec![opening],
            reasoning: answer.reasoning.iter().map(reasoning).collect(),
            text: answer.text.iter().map(|text| self.delta(reply, text)).collect(),
            finish,
            done: Some("data: [DONE]\n\n".to_owned()),
        }
    }

    fn delta(&self, reply: &Reply<'_>, text: &str) -> String {
        let field = if reply.answer.finish == Finish::Refusal { "refusal" } else { "content" };
        chunk(reply, &format!(r#"{{"{field}":{}}}"#, quoted(text)), None)
    }

    fn keep_alive(&self) -> &'static str {
        ": keep-alive\n\n"
    }

    fn malformed(&self) -> &'static str {
        "data: {\"id\":\"chatcmpl-\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\n\n"
    }

    fn endless(&self) -> &'static str {
        "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
    }

    fn error(&self, status: u16, words: &ErrorWords, model: &str, _request_id: &str) -> String {
        let no_money = [&words.kind, &words.code].into_iter().flatten().any(|word| is_billing(word));
        let (kind, code, message) = if no_money { no_quota() } else { usual(status, model) };
        format!(
            "{{\n  \"error\": {{\n    \"message\": {message},\n    \"type\": {kind},\n    \"param\": null,\n    \"code\": {code}\n  }}\n}}\n",
            message = quoted(words.message.as_deref().unwrap_or(&message)),
            kind = quoted(words.kind.as_deref().unwrap_or(kind)),
            code = nullable(words.code.as_deref().or(code)),
        )
    }

    fn error_event(&self, envelope: &str) -> String {
        // The envelope is spread over lines; the event has it on one.
        let line: String = envelope.lines().map(str::trim).collect();
        format!("data: {line}\n\n")
    }

    fn models(&self, models: &[String]) -> String {
        let models: Vec<String> = models
            .iter()
            .map(|model| {
                format!(
                    r#"{{"id":{},"object":"model","created":1735689600,"owned_by":"simulator"}}"#,
                    quoted(model)
                )
            })
            .collect();
        format!(r#"{{"object":"list","data":[{}]}}"#, models.join(","))
    }
}

/// One event with one choice.
fn chunk(reply: &Reply<'_>, delta: &str, finish: Option<&str>) -> String {
    let finish = nullable(finish);
    let choices = format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]"#);
    // Whoever asks for usage gets a null in all events but the one that has it.
    event(reply, &choices, if reply.usage { r#","usage":null"# } else { "" })
}

fn event(reply: &Reply<'_>, choices: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":{id},\"object\":\"chat.completion.chunk\",\"created\":{created},\"model\":{model},\"service_tier\":\"default\",\"system_fingerprint\":null,\"choices\":{choices}{usage},\"obfuscation\":\"{noise}\"}}\n\n",
        id = quoted(reply.id),
        created = reply.created,
        model = quoted(reply.model),
        noise = noise(choices.len()),
    )
}

/// Random letters of random length, by which the length of an event does not tell that of its text.
fn noise(seed: usize) -> &'static str {
    const NOISE: &str = "QPBHOsPReTzzmLcRNwCse9";
    NOISE.get(seed % 13..seed % 13 + seed % 7 + 1).unwrap_or_default()
}

fn counts(usage: Usage) -> String {
    // OpenAI counts the cached part of the prompt in the prompt.
    let input =
        usage.input_tokens.saturating_add(usage.cache_read_tokens).saturating_add(usage.cache_write_tokens);
    format!(
        r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
        output = usage.output_tokens,
        total = input.saturating_add(usage.output_tokens),
        cached = usage.cache_read_tokens,
        reasoning = usage.reasoning_tokens,
    )
}

fn finish_reason(finish: &Finish) -> &str {
    match finish {
        Finish::Stop | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::Other(reason) => reason,
    }
}

fn is_billing(word: &str) -> bool {
    matches!(word, "insufficient_quota" | "credit_balance_exhausted")
}

/// Type, code and message of a 429 that no waiting ends.
fn no_quota() -> (&'static str, Option<&'static str>, String) {
    let message = "You exceeded your current quota, please check your plan and billing details.";
    ("insufficient_quota", Some("insufficient_quota"), message.to_owned())
}

/// Type, code and message that OpenAI sends with a status.
fn usual(status: u16, model: &str) -> (&'static str, Option<&'static str>, String) {
    let (kind, code, message) = match status {
        401 => (
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided: sk-*****simulated.",
        ),
        // OpenAI itself says so with 429; this is how compatible hosts say it.
        402 => ("unknown_error", Some("invalid_request_error"), "Insufficient Balance"),
        403 => (
            "request_forbidden",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        404 => {
            let message = format!("The model `{model}` does not exist or you do not have access to it.");
            return ("invalid_request_error", Some("model_not_found"), message);
        }
        413 => ("invalid_request_error", None, "The request is too large."),
        429 => {
            let message =
                format!("Rate limit reached for {model} on requests per min (RPM). Please try again.");
            return ("requests", Some("rate_limit_exceeded"), message);
        }
        503 | 529 => {
            ("service_unavailable_error", Some("server_is_overloaded"), "The engine is currently overloaded.")
        }
        400..500 => ("invalid_request_error", None, "The request was refused."),
        _ => {
            ("server_error", None, "The server had an error while processing your request. Sorry about that!")
        }
    };
    (kind, code, message.to_owned())
}
