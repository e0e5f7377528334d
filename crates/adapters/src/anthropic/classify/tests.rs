//! Every row of what Anthropic's errors mean.

use serde_json::json;

use super::*;
use ErrorKind::{
    Authentication, BadRequest, Billing, ContextLength, ModelNotFound, Other, Overloaded, Permission,
    RateLimited, Server, TooLarge,
};

fn envelope(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

#[test]
fn types_and_statuses_have_kinds() {
    for (status, ty, expected) in [
        (400, "invalid_request_error", BadRequest),
        (401, "authentication_error", Authentication),
        (402, "billing_error", Billing),
        (403, "permission_error", Permission),
        (404, "not_found_error", ModelNotFound),
        (408, "anything", Server),
        (409, "anything", Server),
        (413, "request_too_large", TooLarge),
        (413, "invalid_request_error", TooLarge),
        (422, "invalid_request_error", BadRequest),
        (429, "rate_limit_error", RateLimited),
        (429, "anything", RateLimited),
        (500, "api_error", Server),
        (502, "anything", Server),
        (503, "anything", Server),
        (503, "overloaded_error", Overloaded),
        (504, "timeout_error", Server),
        (520, "anything", Server),
        (529, "overloaded_error", Overloaded),
        (529, "anything", Overloaded),
        (401, "invalid_request_error", Authentication),
        (418, "anything", Other),
    ] {
        let failure = refusal(status, envelope(ty, "m").to_string().as_bytes());
        assert_eq!(failure.kind, expected, "{status} {ty}");
        assert_eq!((&*failure.message, failure.code.as_deref()), ("m", Some(ty)));
        assert_eq!(failure.request_id.as_deref(), Some("req_1"));
    }
}

#[test]
fn codes_say_more_than_the_type() {
    for (status, ty, code, expected) in [
        (400, "invalid_request_error", "organization_on_hold", Permission),
        (429, "rate_limit_error", "ramp_limit_exceeded", RateLimited),
        (429, "rate_limit_error", "enforced_spend_limit_reached", Billing),
        (429, "rate_limit_error", "contract_spend_limit_reached", Billing),
        (429, "rate_limit_error", "anything", RateLimited),
    ] {
        let body =
            json!({"type": "error", "error": {"type": ty, "message": "m", "details": {"error_code": code}}});
        let failure = refusal(status, body.to_string().as_bytes());
        assert_eq!((failure.kind, failure.code.as_deref()), (expected, Some(code)));
    }
}

#[test]
fn texts_are_signals_in_one_place_only() {
    for (message, expected) in [
        ("prompt is too long: 210000 tokens > 200000 maximum", ContextLength),
        ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000", ContextLength),
        ("You have reached your specified API usage limits. You will regain access on 2026-02-01.", Billing),
        ("Your credit balance is too low to access the Anthropic API.", Billing),
        ("messages: at least one message is required", BadRequest),
    ] {
        let told = envelope("invalid_request_error", message);
        assert_eq!(refusal(400, told.to_string().as_bytes()).kind, expected, "{message}");
        assert_eq!(in_answer(&told).kind, expected, "{message}");
        assert_eq!(refusal(500, told.to_string().as_bytes()).kind, Server);
        assert_eq!(refusal(500, envelope("api_error", message).to_string().as_bytes()).kind, Server);
    }
}

#[test]
fn errors_inside_a_success_go_by_their_type() {
    for (ty, expected) in [
        ("overloaded_error", Overloaded),
        ("rate_limit_error", RateLimited),
        ("api_error", Server),
        ("timeout_error", Server),
        ("authentication_error", Authentication),
        ("permission_error", Permission),
        ("not_found_error", ModelNotFound),
        ("request_too_large", TooLarge),
        ("billing_error", Billing),
        ("invalid_request_error", BadRequest),
        ("never heard of", Server),
    ] {
        assert_eq!(in_answer(&envelope(ty, "m")).kind, expected, "{ty}");
    }
    assert_eq!(in_answer(&json!("words")).kind, Server);
    assert_eq!(in_answer(&json!("words")).message, "words");
}

#[test]
fn what_is_no_envelope_goes_by_its_status() {
    for body in ["", "<html></html>", "nonsense", "{}", "[]", "null", "{\"error\":{}}", "{\"error\":\"x\"}"] {
        for (status, expected) in [(400, BadRequest), (401, Authentication), (502, Server), (529, Overloaded)]
        {
            assert_eq!(refusal(status, body.as_bytes()).kind, expected, "{status} {body}");
        }
    }
}
