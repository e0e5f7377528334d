//! Anthropic's errors.

use crate::{fault::ErrorWords, wire::quoted};

/// The error envelope for a status.
pub(crate) fn envelope(status: u16, words: &ErrorWords, model: &str, request_id: &str) -> String {
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
