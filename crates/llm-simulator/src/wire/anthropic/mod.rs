//! Anthropic messages.

mod blocks;
mod check;
mod errors;
mod marks;
mod media;
mod tools;
mod turns;
mod wanted;
mod write;

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::{Asked, Call, Codec, Events, Reply, field_model, has_messages, is_streamed, nullable, quoted};
use crate::{
    answer::{Place, Wanted},
    fault::ErrorWords,
    host::Host,
    opaque::Ids,
    refusal::Refusal,
};

pub(crate) struct Anthropic;

/// Seconds until the limits of a successful request are reset.
const RESET: u64 = 59;

impl Codec for Anthropic {
    fn read(&self, body: &Value) -> Result<Call, Refusal> {
        let model = field_model(body).ok_or_else(|| Refusal::new("model: Field required"))?;
        check::max_tokens(body)?;
        if !has_messages(body) {
            return Err(Refusal::new("messages: at least one message is required"));
        }
        Ok(Call { model: model.to_owned(), streamed: is_streamed(body), usage: true })
    }

    fn check(&self, asked: Asked<'_>) -> Result<(), Refusal> {
        check::check(asked)
    }

    fn unknown_field(&self, field: &str) -> Refusal {
        check::extra(field)
    }

    fn wanted(&self, body: &Value) -> Option<Wanted> {
        wanted::wanted(body)
    }

    fn call_id(&self, ids: Ids, number: u64, index: usize, _host: Host) -> String {
        format!("toolu_01{}", ids.id(number, index, 22))
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
        write::body(reply)
    }

    fn events(&self, reply: &Reply<'_>) -> Events {
        write::events(reply)
    }

    fn delta(&self, reply: &Reply<'_>, place: Place, text: &str) -> String {
        write::delta(reply, place, text)
    }

    fn keep_alive(&self) -> &'static str {
        write::PING
    }

    fn malformed(&self) -> &'static str {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\n\n"
    }

    fn endless(&self) -> &'static str {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\""
    }

    fn error(&self, status: u16, words: &ErrorWords, of: (&str, Host), request_id: &str) -> String {
        errors::envelope(status, words, of.0, request_id)
    }

    fn error_event(&self, envelope: &str) -> String {
        write::named("error", envelope)
    }

    fn models(&self, models: &[String]) -> String {
        let entries: Vec<String> = models
            .iter()
            .map(|model| {
                let id = quoted(model);
                format!(
                    r#"{{"type":"model","id":{id},"display_name":{id},"created_at":"2025-01-01T00:00:00Z","lifecycle":"active"}}"#
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
