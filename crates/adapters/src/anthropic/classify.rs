//! What Anthropic's errors mean.
//!
//! They are told apart by the vendor's codes and types, then by the HTTP status. The places where the text is the
//! only signal are in [`TEXTS`].

use llm_protocol::ErrorKind;
use serde_json::Value;

use crate::failure::{Failure, foreign_message, kind_of_status};

/// What only the text of an `invalid_request_error` tells.
const TEXTS: [(&str, ErrorKind); 4] = [
    ("prompt is too long", ErrorKind::ContextLength),
    // The prompt fits, but not together with `max_tokens`.
    ("exceed context limit", ErrorKind::ContextLength),
    ("You have reached your specified API usage limits", ErrorKind::Billing),
    ("credit balance is too low", ErrorKind::Billing),
];

/// What an answer without success means.
pub(super) fn refusal(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => explain(&json, Some(status)),
        Err(_) => Failure::new(kind_of_status(status), foreign_message(body)),
    }
}

/// What an error means that came inside of a success, whole or streamed. One of an unknown type is the vendor's
/// failure and may pass: the request itself had been accepted.
pub(super) fn in_answer(envelope: &Value) -> Failure {
    explain(envelope, None)
}

/// Reads the envelope, `{type: "error", error: {type, message, details?: {error_code}}, request_id}`.
fn explain(envelope: &Value, status: Option<u16>) -> Failure {
    let error = envelope.get("error").unwrap_or(envelope);
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let code = text(error.get("details").and_then(|details| details.get("error_code")));
    let kind = text(error.get("type"));
    let message =
        text(error.get("message")).or_else(|| text(Some(error))).unwrap_or_else(|| "no explanation".into());
    let mut failure = Failure::new(error_kind(status, code.as_deref(), kind.as_deref(), &message), message);
    failure.request_id = text(envelope.get("request_id"));
    failure.code = code.or(kind);
    failure
}

fn error_kind(status: Option<u16>, code: Option<&str>, kind: Option<&str>, message: &str) -> ErrorKind {
    if let Some(kind) = [code, kind].into_iter().flatten().find_map(kind_of_word) {
        return kind;
    }
    let invalid = kind == Some("invalid_request_error");
    let told = TEXTS.iter().find(|(text, _)| message.contains(text)).map(|(_, kind)| *kind);
    match (status, told) {
        (None | Some(400), Some(told)) if invalid => told,
        (None, _) if invalid => ErrorKind::BadRequest,
        (None, _) => ErrorKind::Server,
        (Some(status), _) => kind_of_status(status),
    }
}

/// What one of the vendor's own words means, whatever the status. Two types are missing: `invalid_request_error` and
/// `api_error` come with several statuses, which say more.
fn kind_of_word(word: &str) -> Option<ErrorKind> {
    Some(match word {
        "organization_on_hold" | "permission_error" => ErrorKind::Permission,
        "enforced_spend_limit_reached" | "contract_spend_limit_reached" | "billing_error" => {
            ErrorKind::Billing
        }
        "authentication_error" => ErrorKind::Authentication,
        "not_found_error" => ErrorKind::ModelNotFound,
        "request_too_large" => ErrorKind::TooLarge,
        "rate_limit_error" | "ramp_limit_exceeded" => ErrorKind::RateLimited,
        "overloaded_error" => ErrorKind::Overloaded,
        "timeout_error" => ErrorKind::Server,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
