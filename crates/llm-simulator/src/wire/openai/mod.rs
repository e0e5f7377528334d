//! OpenAI chat completions.

mod check;
mod errors;
mod formats;
mod hosts;
mod messages;
mod parts;
mod tools;
mod wanted;
mod write;

use serde_json::Value;

use super::{Asked, Call, Codec, Events, Reply, field_model, has_messages, is_streamed, quoted};
use crate::{
    answer::{Place, Wanted},
    fault::ErrorWords,
    host::Host,
    opaque::Ids,
    refusal::Refusal,
};

pub(crate) struct OpenAi;

impl Codec for OpenAi {
    fn read(&self, body: &Value) -> Result<Call, Refusal> {
        let model = field_model(body);
        let model = model.ok_or_else(|| Refusal::new("you must provide a model parameter"))?;
        if !has_messages(body) {
            let missing = Refusal::new("Missing required parameter: 'messages'.");
            return Err(missing.param("messages").code("missing_required_parameter"));
        }
        let usage = body.pointer("/stream_options/include_usage").and_then(Value::as_bool);
        Ok(Call { model: model.to_owned(), streamed: is_streamed(body), usage: usage.unwrap_or_default() })
    }

    fn check(&self, asked: Asked<'_>) -> Result<(), Refusal> {
        check::check(asked.body)
    }

    fn check_host(&self, body: &Value, host: Host, thinking: bool) -> Result<(), Refusal> {
        hosts::check(body, host, thinking)
    }

    fn unknown_field(&self, field: &str) -> Refusal {
        hosts::unsupported(field, "")
    }

    fn wanted(&self, body: &Value) -> Option<Wanted> {
        wanted::wanted(body)
    }

    fn call_id(&self, ids: Ids, number: u64, index: usize, host: Host) -> String {
        match host {
            Host::Mistral => ids.id(number, index, 9),
            _ => format!("call_{}", ids.id(number, index, 24)),
        }
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
        write::body(reply)
    }

    fn events(&self, reply: &Reply<'_>) -> Events {
        write::events(reply)
    }

    fn delta(&self, reply: &Reply<'_>, place: Place, text: &str) -> String {
        write::delta(reply, place, text)
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

    fn error(&self, status: u16, words: &ErrorWords, of: (&str, Host), _request_id: &str) -> String {
        errors::envelope(status, words, of.0, of.1)
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
