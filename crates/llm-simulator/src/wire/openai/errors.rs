//! OpenAI's errors.

use crate::{
    fault::ErrorWords,
    host::Host,
    wire::{nullable, quoted},
};

/// The error envelope for a status.
pub(crate) fn envelope(status: u16, words: &ErrorWords, model: &str, host: Host) -> String {
    let no_money = [&words.kind, &words.code].into_iter().flatten().any(|word| is_billing(word));
    let (kind, code, message) = if no_money { no_quota() } else { usual(status, model) };
    if host == Host::Mistral {
        return flat(status, words, kind, &message);
    }
    format!(
        "{{\n  \"error\": {{\n    \"message\": {message},\n    \"type\": {kind},\n    \"param\": {param},\n    \"code\": {code}\n  }}\n}}\n",
        message = quoted(words.message.as_deref().unwrap_or(&message)),
        param = nullable(words.param.as_deref()),
        kind = quoted(words.kind.as_deref().unwrap_or(kind)),
        code = nullable(words.code.as_deref().or(code)),
    )
}

/// Mistral puts no envelope around it, and says in a list what is wrong with fields.
fn flat(status: u16, words: &ErrorWords, kind: &str, message: &str) -> String {
    let message = quoted(words.message.as_deref().unwrap_or(message));
    let (message, param) = match words.param.as_deref() {
        Some(field) if status == 422 => {
            let detail =
                format!(r#"{{"type":"extra_forbidden","loc":["body",{}],"msg":{message}}}"#, quoted(field));
            (format!(r#"{{"detail":[{detail}]}}"#), None)
        }
        param => (message, param),
    };
    format!(
        r#"{{"object":"error","message":{message},"type":{kind},"param":{param},"code":{code}}}"#,
        kind = quoted(words.kind.as_deref().unwrap_or(kind)),
        param = nullable(param),
        code = nullable(words.code.as_deref()),
    )
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
