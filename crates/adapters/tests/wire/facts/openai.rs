//! What the errors of OpenAI and of hosts that speak like it mean.

use serde_json::{Value, json};

use super::{
    AUTHENTICATION, BAD_REQUEST, BILLING, CONTENT_FILTER, CONTEXT_LENGTH, Facts, Failed, JSON,
    MODEL_NOT_FOUND, OVERLOADED, PERMISSION, RATE_LIMITED, SERVER, TOO_LARGE, Verdict, Wire, reply, shown,
    sse, stream,
};

const OPEN_AI: Wire = Wire::OpenAi;
const INVALID: &str = "invalid_request_error";

/// Status, type, code, and what they mean. An empty code is none.
const REFUSALS: [(&str, u16, &str, &str, Verdict); 50] = [
    ("no key or a wrong one", 401, INVALID, "invalid_api_key", AUTHENTICATION),
    ("no key or a wrong one", 401, INVALID, "", AUTHENTICATION),
    (
        "a region without service",
        403,
        "request_forbidden",
        "unsupported_country_region_territory",
        PERMISSION,
    ),
    ("not allowed", 403, INVALID, "", PERMISSION),
    ("no such model", 404, INVALID, "model_not_found", MODEL_NOT_FOUND),
    ("no such model", 404, INVALID, "", MODEL_NOT_FOUND),
    ("no such model", 404, "", "", MODEL_NOT_FOUND),
    ("no such model", 400, INVALID, "model_not_found", MODEL_NOT_FOUND),
    ("the window is full", 400, INVALID, "context_length_exceeded", CONTEXT_LENGTH),
    ("a text is too long", 400, INVALID, "string_above_max_length", CONTEXT_LENGTH),
    ("a filter", 400, INVALID, "content_filter", CONTENT_FILTER),
    ("a policy", 400, INVALID, "content_policy_violation", CONTENT_FILTER),
    ("too large", 413, INVALID, "", TOO_LARGE),
    ("too large", 413, "", "", TOO_LARGE),
    ("too large for the rate ever to allow it", 413, "tokens", "rate_limit_exceeded", TOO_LARGE),
    ("not to be processed", 422, INVALID, "", BAD_REQUEST),
    ("not to be processed", 422, "", "", BAD_REQUEST),
    ("another 400", 400, INVALID, "", BAD_REQUEST),
    ("another 400", 400, INVALID, "unsupported_parameter", BAD_REQUEST),
    ("another 400", 400, INVALID, "invalid_image_format", BAD_REQUEST),
    ("another 400", 400, "", "", BAD_REQUEST),
    ("too fast", 429, "requests", "rate_limit_exceeded", RATE_LIMITED),
    ("too fast", 429, "tokens", "rate_limit_exceeded", RATE_LIMITED),
    ("too fast", 429, "", "slow_down", RATE_LIMITED),
    ("too fast", 429, "requests", "", RATE_LIMITED),
    ("too fast", 429, "", "", RATE_LIMITED),
    ("no money", 429, "insufficient_quota", "", BILLING),
    ("no money", 429, "insufficient_quota", "insufficient_quota", BILLING),
    ("no money, whatever the code", 429, "insufficient_quota", "other", BILLING),
    ("no money", 429, "", "credit_balance_exhausted", BILLING),
    ("a limit of spending", 429, "", "project_spend_limit_exceeded", BILLING),
    ("a limit of spending", 429, "", "organization_spend_limit_exceeded", BILLING),
    ("a limit of spending", 429, "", "some_other_spend_limit_exceeded", BILLING),
    ("a limit of usage", 429, "", "organization_usage_limit_exceeded", BILLING),
    ("no money, whatever the status", 402, "", "", BILLING),
    ("overloaded", 503, "server_error", "server_is_overloaded", OVERLOADED),
    ("overloaded", 503, "", "server_is_overloaded", OVERLOADED),
    ("overloaded", 503, "", "slow_down", OVERLOADED),
    ("unavailable", 503, "server_error", "", SERVER),
    ("a timeout of theirs", 408, "", "", SERVER),
    ("a timeout of theirs", 408, INVALID, "", SERVER),
    ("a conflict", 409, "", "", SERVER),
    ("a conflict", 409, INVALID, "", SERVER),
    ("their failure", 500, "server_error", "", SERVER),
    ("their failure", 500, INVALID, "", SERVER),
    ("their failure", 500, "", "", SERVER),
    ("their gateway", 502, "", "", SERVER),
    ("their gateway", 504, "", "", SERVER),
    ("their gateway", 520, "", "", SERVER),
    ("their failure", 599, "", "", SERVER),
];

fn error(kind: &str, code: &str) -> Value {
    let word = |word: &str| Some(word).filter(|word| !word.is_empty()).map(str::to_owned);
    json!({"error": {"message": "m", "type": word(kind), "param": null, "code": word(code)}})
}

#[tokio::test]
async fn refusals_mean_what_their_codes_say_and_then_their_status() {
    let mut facts = Facts::new().await;
    for (says, status, kind, code, verdict) in REFUSALS {
        let says = format!("{says}: {status} {kind} {code}");
        let failed = Failed::with_status(verdict, status).code(if code.is_empty() { kind } else { code });
        let sent = reply(OPEN_AI, status, &[JSON], error(kind, code).to_string());
        facts.fails(OPEN_AI, &says, &sent, &failed).await;
    }
}

#[tokio::test]
async fn envelopes_of_every_shape_are_read() {
    let mut facts = Facts::new().await;
    let long = "This model's maximum context length is 4096 tokens.";
    for (says, status, body, verdict, code) in [
        ("a code that is a text", 429, json!({"error": {"code": "slow_down"}}), RATE_LIMITED, "slow_down"),
        (
            "a code that is a number",
            429,
            json!({"error": {"message": "m", "code": 429}}),
            RATE_LIMITED,
            "429",
        ),
        (
            "a number says less than a type",
            429,
            json!({"error": {"type": "insufficient_quota", "code": 429}}),
            BILLING,
            "429",
        ),
        (
            "a code that is null",
            429,
            json!({"error": {"type": "requests", "code": null}}),
            RATE_LIMITED,
            "requests",
        ),
        ("no code", 401, json!({"error": {"message": "m"}}), AUTHENTICATION, ""),
        ("an error that is a text", 401, json!({"error": "no such key"}), AUTHENTICATION, ""),
        ("an error that is a text", 404, json!({"error": "no such model"}), MODEL_NOT_FOUND, ""),
        ("an error that is a text", 503, json!({"error": "busy"}), SERVER, ""),
        (
            "the error is the envelope",
            400,
            json!({"object": "error", "message": "m", "code": 400}),
            BAD_REQUEST,
            "400",
        ),
        (
            "the only text that is a signal",
            400,
            json!({"object": "error", "message": long}),
            CONTEXT_LENGTH,
            "",
        ),
        ("a list of one", 400, json!([{"error": {"code": 400}}]), BAD_REQUEST, "400"),
    ] {
        let failed = Failed::with_status(verdict, status).code(code);
        let sent = reply(OPEN_AI, status, &[JSON], body.to_string());
        facts.fails(OPEN_AI, &format!("{says}: {body}"), &sent, &failed).await;
    }
    let sent = reply(OPEN_AI, 400, &[JSON], r#"{"error":{"message":"so it is"}}"#);
    for (body, words) in [
        (json!({"error": {"message": "so it is", "code": null}}), "so it is"),
        (json!({"error": "so it is"}), "so it is"),
        (json!({"error": {"message": null}}), "no explanation"),
    ] {
        let sent = reply(OPEN_AI, 400, &[JSON], body.to_string());
        let error = facts.whole(OPEN_AI, &sent).await.unwrap_err();
        facts.holds(&body.to_string(), error.message(), words);
    }
    let (_, error) = facts.streamed(OPEN_AI, &sent).await;
    facts.holds("the same of a stream", error.unwrap().message(), "so it is");
}

/// What a success holds an error of, and what it means.
fn errors() -> Vec<(&'static str, Value, Verdict, &'static str)> {
    vec![
        ("a code", json!({"error": {"message": "m", "code": "slow_down"}}), RATE_LIMITED, "slow_down"),
        (
            "a code",
            json!({"error": {"message": "m", "code": "rate_limit_exceeded"}}),
            RATE_LIMITED,
            "rate_limit_exceeded",
        ),
        ("a code", json!({"error": {"code": "server_is_overloaded"}}), OVERLOADED, "server_is_overloaded"),
        (
            "a code",
            json!({"error": {"code": "context_length_exceeded"}}),
            CONTEXT_LENGTH,
            "context_length_exceeded",
        ),
        ("a code", json!({"error": {"code": "content_filter"}}), CONTENT_FILTER, "content_filter"),
        ("a type", json!({"error": {"type": "insufficient_quota"}}), BILLING, "insufficient_quota"),
        ("a type", json!({"error": {"type": "server_error", "code": null}}), SERVER, "server_error"),
        ("a type", json!({"error": {"type": "invalid_request_error"}}), BAD_REQUEST, "invalid_request_error"),
        ("a status", json!({"error": {"message": "m", "code": 429}}), RATE_LIMITED, "429"),
        ("a status", json!({"error": {"message": "m", "code": "401"}}), AUTHENTICATION, "401"),
        ("a status", json!({"error": {"message": "m", "code": 502}}), SERVER, "502"),
        ("nothing but words", json!({"error": {"message": "m"}}), SERVER, ""),
        ("an error that is a text", json!({"error": "m"}), SERVER, ""),
        ("an error beside an answer", json!({"choices": [], "error": {"code": 400}}), BAD_REQUEST, "400"),
        ("a list of one", json!([{"error": {"code": 429}}]), RATE_LIMITED, "429"),
        (
            "the error is the envelope",
            json!({"object": "error", "message": "m", "code": 404}),
            MODEL_NOT_FOUND,
            "404",
        ),
    ]
}

#[tokio::test]
async fn an_error_in_a_success_is_one_whole_and_streamed() {
    let text = sse([r#"{"choices":[{"delta":{"content":"hi"}}]}"#]);
    let finish = sse([r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#]);
    let mut facts = Facts::new().await;
    for (says, error, verdict, code) in errors() {
        let says = format!("{says}: {error}");
        let failed = Failed::inside(verdict).code(code);
        facts.fails(OPEN_AI, &says, &reply(OPEN_AI, 200, &[JSON], error.to_string()), &failed).await;
        for name in ["", "event: error\n", "event: message\n", "event: brand_new\n", "event: ping\n"] {
            for (before, came) in [("", ""), (&*text, "says hi")] {
                for after in ["", "data: [DONE]\n\n"] {
                    let events = format!("{before}{name}data: {error}\n\n{after}");
                    let says = format!("{says} in {events:?}");
                    let events = facts.breaks(OPEN_AI, &says, &stream(OPEN_AI, events), &failed).await;
                    facts.holds(&says, &*shown::content(&events), came);
                }
            }
        }
        let late = format!("{text}{finish}data: {error}\n\n");
        facts.breaks(OPEN_AI, &format!("{says} after the finish"), &stream(OPEN_AI, late), &failed).await;
    }
    for nothing in ["null", "false", "\"\"", "{}", "[]"] {
        let events = format!("{text}data: {{\"choices\":[],\"error\":{nothing}}}\n\n{finish}");
        facts.streams(OPEN_AI, nothing, &stream(OPEN_AI, events), "says hi; ends Stop").await;
    }
    for (says, event, failed) in [
        ("words", "event: error\ndata: too busy", Failed::inside(SERVER)),
        ("an error without an envelope", "event: error\ndata: {\"type\":\"slow_down\"}", {
            Failed::inside(RATE_LIMITED).code("slow_down")
        }),
    ] {
        facts.breaks(OPEN_AI, says, &stream(OPEN_AI, format!("{text}{event}\n\n")), &failed).await;
    }
}
