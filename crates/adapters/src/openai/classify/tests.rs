//! Every row of what OpenAI's errors mean.

use serde_json::json;

use super::*;
use ErrorKind::{
    Authentication, BadRequest, Billing, ContentFilter, ContextLength, ModelNotFound, Other, Overloaded,
    Permission, RateLimited, Server, TooLarge,
};

fn kind(status: u16, error: &Value) -> ErrorKind {
    refusal(status, false, json!({ "error": error }).to_string().as_bytes()).kind
}

#[test]
fn codes_say_more_than_the_status() {
    for (status, code, expected) in [
        (401, "invalid_api_key", Authentication),
        (400, "invalid_api_key", Authentication),
        (403, "unsupported_country_region_territory", Permission),
        (404, "model_not_found", ModelNotFound),
        (400, "model_not_found", ModelNotFound),
        (403, "model_not_found", ModelNotFound),
        (400, "context_length_exceeded", ContextLength),
        (400, "string_above_max_length", ContextLength),
        (400, "content_filter", ContentFilter),
        (400, "content_policy_violation", ContentFilter),
        (400, "unsupported_parameter", BadRequest),
        (400, "invalid_value", BadRequest),
        (413, "rate_limit_exceeded", TooLarge),
        (413, "anything", TooLarge),
        (422, "anything", BadRequest),
        (429, "rate_limit_exceeded", RateLimited),
        (429, "slow_down", RateLimited),
        (429, "anything", RateLimited),
        (429, "insufficient_quota", Billing),
        (429, "credit_balance_exhausted", Billing),
        (429, "project_spend_limit_exceeded", Billing),
        (429, "organization_spend_limit_exceeded", Billing),
        (429, "organization_usage_limit_exceeded", Billing),
        (400, "billing_hard_limit_reached", Billing),
        (503, "server_is_overloaded", Overloaded),
        (503, "slow_down", Overloaded),
        (503, "anything", Server),
        (500, "server_error", Server),
        (402, "anything", Billing),
        (418, "anything", Other),
    ] {
        assert_eq!(
            kind(status, &json!({"message": "m", "type": "t", "param": null, "code": code})),
            expected,
            "{status} {code}"
        );
    }
}

#[test]
fn the_type_counts_where_the_code_says_nothing() {
    for (status, ty, expected) in [
        (429, "insufficient_quota", Billing),
        (429, "requests", RateLimited),
        (429, "tokens", RateLimited),
        (503, "overloaded_error", Overloaded),
        (400, "invalid_request_error", BadRequest),
        (404, "invalid_request_error", ModelNotFound),
        (401, "invalid_request_error", Authentication),
        (500, "invalid_request_error", Server),
    ] {
        for code in [json!(null), json!("other"), json!(status), json!("")] {
            assert_eq!(
                kind(status, &json!({"message": "m", "type": ty, "code": code})),
                expected,
                "{status} {ty}"
            );
        }
    }
}

#[test]
fn the_status_counts_where_nothing_else_does() {
    for (status, expected) in [
        (400, BadRequest),
        (401, Authentication),
        (402, Billing),
        (403, Permission),
        (404, ModelNotFound),
        (408, Server),
        (409, Server),
        (413, TooLarge),
        (422, BadRequest),
        (429, RateLimited),
        (500, Server),
        (502, Server),
        (503, Server),
        (504, Server),
        (529, Overloaded),
        (302, Other),
        (451, Other),
    ] {
        for body in [
            "",
            "<html>bad gateway</html>",
            "nonsense",
            "{}",
            "[]",
            "null",
            "{\"error\":{}}",
            "{\"error\":\"x\"}",
        ] {
            assert_eq!(refusal(status, false, body.as_bytes()).kind, expected, "{status} {body}");
        }
    }
}

#[test]
fn one_text_is_a_signal_and_only_on_a_400() {
    let error = json!({"message": "This model's maximum context length is 4096 tokens.", "code": 400});
    assert_eq!(kind(400, &error), ContextLength);
    assert_eq!(kind(401, &error), Authentication);
    assert_eq!(kind(400, &json!({"message": "maximum tokens"})), BadRequest);
}

#[test]
fn envelopes_of_every_shape_are_read() {
    for (body, message, code) in [
        (json!({"error": {"message": "m", "type": "t", "code": "c"}}), "m", Some("c")),
        (json!({"error": {"message": "m", "type": "t", "code": null}}), "m", Some("t")),
        (json!({"error": {"message": "m", "code": 429}}), "m", Some("429")),
        (json!({"error": "m"}), "m", None),
        (json!([{"error": {"message": "m", "code": 400}}]), "m", Some("400")),
        (
            json!({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}),
            "m",
            Some("400"),
        ),
        (json!({"detail": "m"}), "m", None),
        (json!({"detail": [{"loc": []}]}), "no explanation", None),
        (json!({"error": {"message": 5, "code": {}}}), "no explanation", None),
        (json!({"error": null}), "no explanation", None),
        (json!("m"), "m", None),
        (json!(5), "no explanation", None),
    ] {
        let failure = refusal(400, false, body.to_string().as_bytes());
        assert_eq!((&*failure.message, failure.code.as_deref()), (message, code), "{body}");
    }
}

#[test]
fn errors_inside_a_success_go_by_their_own_words() {
    for (error, expected) in [
        (json!({"message": "m", "code": 400}), BadRequest),
        (json!({"message": "m", "code": 401}), Authentication),
        (json!({"message": "m", "code": 429}), RateLimited),
        (json!({"message": "m", "code": "429"}), RateLimited),
        (json!({"message": "m", "code": 502}), Server),
        (json!({"message": "m", "code": 529}), Overloaded),
        (json!({"message": "m", "type": "invalid_request_error"}), BadRequest),
        (json!({"message": "m", "type": "invalid_request_error", "status_code": 429}), RateLimited),
        (json!({"message": "m", "code": "rate_limit_exceeded"}), RateLimited),
        (json!({"message": "m", "code": "slow_down"}), RateLimited),
        (json!({"message": "m", "type": "insufficient_quota"}), Billing),
        (json!({"message": "m", "type": "server_error"}), Server),
        (json!({"message": "m", "type": "never heard of"}), Server),
        (json!({"message": "m", "code": 7}), Server),
        (json!({}), Server),
        (json!("m"), Server),
    ] {
        assert_eq!(in_answer(&error).kind, expected, "{error}");
    }
}

#[test]
fn a_hint_in_the_body_is_read() {
    let hint = |value: Value| in_answer(&json!({"message": "m", "retry_after": value})).retry_after;
    assert_eq!(hint(json!(30)), Some(Duration::from_secs(30)));
    assert_eq!(hint(json!(1.5)), Some(Duration::from_millis(1500)));
    assert_eq!(hint(json!(1e300)), Some(Duration::from_secs(86_400)));
    assert_eq!(hint(json!(u64::MAX)), Some(Duration::from_secs(86_400)));
    assert_eq!(hint(json!(-1)), None);
    assert_eq!(hint(json!("soon")), None);
    assert_eq!(hint(json!(null)), None);
}

#[test]
fn complaints_are_told_in_the_words_of_the_first() {
    let complaint = json!([{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]);
    for body in [
        json!({"object": "error", "message": {"detail": complaint}, "type": "invalid_request_error"}),
        json!({"message": {"detail": complaint}}),
        json!({"detail": complaint}),
        json!({"error": {"message": complaint}}),
    ] {
        let failure = refusal(422, false, body.to_string().as_bytes());
        assert_eq!(
            (failure.kind, &*failure.message),
            (ErrorKind::BadRequest, "Extra inputs are not permitted"),
            "{body}"
        );
    }
    let deep = json!({"detail": {"detail": {"detail": {"detail": {"detail": "x"}}}}});
    assert_eq!(refusal(422, false, deep.to_string().as_bytes()).message, "no explanation");
}
