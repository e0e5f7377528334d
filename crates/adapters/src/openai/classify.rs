//! What OpenAI's errors mean, and those of hosts that speak like it.
//!
//! They are told apart by the vendor's codes and types, then by the HTTP status. The one place where the text is the
//! only signal is [`CONTEXT_LENGTH_TEXT`].

use std::time::Duration;

use llm_protocol::ErrorKind;
use serde_json::Value;

use crate::failure::{Failure, foreign_message, kind_of_status};
use crate::hints;

/// vLLM and hosts built on it say with a plain 400, and no code, that a conversation is too long.
const CONTEXT_LENGTH_TEXT: &str = "maximum context length";

/// Where OpenRouter's limit comes from when it is not that the money is gone.
const IN_FLIGHT: &str = "openrouter_in_flight_budget";

/// What an answer without success means.
///
/// `timed` says that the headers tell when to come back.
pub(super) fn refusal(status: u16, timed: bool, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => Explanation { timed, ..Explanation::read(&json) }.failure(Some(status)),
        Err(_) => Failure::new(kind_of_status(status), foreign_message(body)),
    }
}

/// What an error means that came inside of a success, whole or streamed.
///
/// Some hosts give its status as the code. Where neither says what it is, it is the vendor's failure and may pass:
/// the request itself had been accepted.
pub(super) fn in_answer(error: &Value) -> Failure {
    let explanation = Explanation::read(error);
    let status = explanation.status;
    explanation.failure(status)
}

/// What an error says of itself.
#[derive(Default)]
struct Explanation<'a> {
    message: Option<&'a str>,
    code: Option<String>,
    kind: Option<&'a str>,
    status: Option<u16>,
    retry_after: Option<Duration>,
    /// It says, somewhere, when to come back.
    timed: bool,
    /// OpenRouter's own words, which mean the same with every status.
    router: Option<&'a str>,
    /// OpenRouter: too many requests are under way for the money that is left.
    in_flight: bool,
    /// OpenRouter: the prompt was looked at, and found wanting.
    moderated: bool,
}

impl<'a> Explanation<'a> {
    /// From an envelope, `{"error": …}`, or what is in one: an object, or the message alone. Google's compatible
    /// endpoint puts the envelope into a list.
    fn read(json: &'a Value) -> Self {
        let json = json.get(0).unwrap_or(json);
        let error = json.get("error").filter(|error| !error.is_null()).unwrap_or(json);
        if let Some(message) = error.as_str() {
            return Self { message: Some(message), ..Self::default() };
        }
        let text = |name: &str| error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = error.get("code").and_then(|code| match code {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let number =
            |name: &str| error.get(name).and_then(Value::as_u64).and_then(|number| number.try_into().ok());
        let inner = |place: &str, name: &str| error.get(place).and_then(|place| place.get(name));
        let router = inner("metadata", "error_type").or_else(|| inner("availability", "code"));
        let retry_after = error.get("retry_after").or_else(|| inner("availability", "retry_after"));
        let status = code.as_deref().and_then(|code| code.parse().ok()).or_else(|| number("status_code"));
        Self {
            message: ["message", "detail"].into_iter().find_map(|name| words(error.get(name)?, 4)),
            kind: text("type"),
            status: status.filter(|status| (400..600).contains(status)),
            retry_after: retry_after.and_then(|hint| hints::number(&hint.to_string(), 1.0)),
            timed: false,
            router: router.and_then(Value::as_str),
            in_flight: inner("metadata", "limit_source").and_then(Value::as_str) == Some(IN_FLIGHT),
            moderated: inner("metadata", "flagged_input").is_some(),
            code,
        }
    }

    fn failure(self, status: Option<u16>) -> Failure {
        let kind = self.error_kind(status);
        let message = self.message.unwrap_or("no explanation").to_owned();
        Failure {
            code: self.code.or_else(|| self.kind.map(str::to_owned)),
            retry_after: self.retry_after,
            ..Failure::new(kind, message)
        }
    }

    fn error_kind(&self, status: Option<u16>) -> ErrorKind {
        // Groq answers 413 with the code of a rate limit: the request alone is over the limit, and always will be.
        if status == Some(413) {
            return ErrorKind::TooLarge;
        }
        if self.in_flight && (self.timed || self.retry_after.is_some()) {
            return ErrorKind::RateLimited;
        }
        if self.moderated {
            return ErrorKind::ContentFilter;
        }
        let words = [self.router, self.code.as_deref(), self.kind];
        if let Some(kind) = words.into_iter().flatten().find_map(|word| kind_of_word(word, status)) {
            return kind;
        }
        let text = self.message.unwrap_or_default();
        match status {
            Some(400) if text.contains(CONTEXT_LENGTH_TEXT) => ErrorKind::ContextLength,
            Some(status) => kind_of_status(status),
            None if self.kind == Some("invalid_request_error") => ErrorKind::BadRequest,
            None => ErrorKind::Server,
        }
    }
}

/// The words of an explanation: itself, or those of the first complaint in it, as Python's web servers have them
/// (Mistral, vLLM).
fn words(explanation: &Value, deep: u8) -> Option<&str> {
    let deeper = deep.checked_sub(1)?;
    let said = match explanation {
        Value::String(text) => Some(text.as_str()),
        Value::Array(complaints) => words(complaints.first()?, deeper),
        Value::Object(fields) => {
            ["msg", "message", "detail"].into_iter().find_map(|name| words(fields.get(name)?, deeper))
        }
        _ => None,
    };
    said.filter(|text| !text.is_empty())
}

/// What one of the vendor's own words means, where it means more than the status.
fn kind_of_word(word: &str, status: Option<u16>) -> Option<ErrorKind> {
    Some(match word {
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "organization_usage_limit_exceeded"
        | "billing_hard_limit_reached" => ErrorKind::Billing,
        word if word.ends_with("_spend_limit_exceeded") => ErrorKind::Billing,
        "context_length_exceeded" | "string_above_max_length" => ErrorKind::ContextLength,
        "content_filter" | "content_policy_violation" => ErrorKind::ContentFilter,
        "model_not_found" => ErrorKind::ModelNotFound,
        "invalid_api_key" | "authentication_error" => ErrorKind::Authentication,
        "unsupported_country_region_territory" | "permission_error" => ErrorKind::Permission,
        "server_is_overloaded" | "overloaded_error" | "provider_overloaded" => ErrorKind::Overloaded,
        "slow_down" if status == Some(503) => ErrorKind::Overloaded,
        "rate_limit_exceeded" | "rate_limit_error" | "slow_down" => ErrorKind::RateLimited,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
