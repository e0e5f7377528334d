//! What Anthropic's errors mean.

use serde_json::{Value, json};

use super::{
    AUTHENTICATION, BAD_REQUEST, BILLING, CONTEXT_LENGTH, Facts, Failed, JSON, MODEL_NOT_FOUND, OVERLOADED,
    PERMISSION, RATE_LIMITED, SERVER, TOO_LARGE, Verdict, Wire, reply, shown, sse, stream,
};

const ANTHROPIC: Wire = Wire::Anthropic;
const INVALID: &str = "invalid_request_error";
const RATE: &str = "rate_limit_error";

/// Status, type, the code in the details, and what they mean. An empty code is none.
const REFUSALS: [(&str, u16, &str, &str, Verdict); 36] = [
    ("not a good request", 400, INVALID, "", BAD_REQUEST),
    ("not a good request", 400, INVALID, "brand_new", BAD_REQUEST),
    ("not a good request", 400, "", "", BAD_REQUEST),
    ("nor is this", 422, INVALID, "", BAD_REQUEST),
    ("on hold", 400, INVALID, "organization_on_hold", PERMISSION),
    ("on hold, as a type", 400, "organization_on_hold", "", PERMISSION),
    ("a wrong key", 401, "authentication_error", "", AUTHENTICATION),
    ("a wrong key", 401, "", "", AUTHENTICATION),
    ("no money", 402, "billing_error", "", BILLING),
    ("no money", 402, "", "", BILLING),
    ("not allowed", 403, "permission_error", "", PERMISSION),
    ("not allowed", 403, "", "", PERMISSION),
    ("no such model", 404, "not_found_error", "", MODEL_NOT_FOUND),
    ("no such model", 404, "", "", MODEL_NOT_FOUND),
    ("too large", 413, "request_too_large", "", TOO_LARGE),
    ("too large", 413, "", "", TOO_LARGE),
    ("a timeout of theirs", 408, "", "", SERVER),
    ("a timeout of theirs", 408, INVALID, "", SERVER),
    ("a conflict", 409, "", "", SERVER),
    ("a conflict", 409, INVALID, "", SERVER),
    ("their failure", 500, "api_error", "", SERVER),
    ("their failure", 500, "", "", SERVER),
    ("a timeout of theirs", 504, "timeout_error", "", SERVER),
    ("a timeout of theirs", 504, "", "", SERVER),
    ("another of theirs", 502, "api_error", "", SERVER),
    ("another of theirs", 503, "api_error", "", SERVER),
    ("another of theirs", 520, "", "", SERVER),
    ("another of theirs", 599, "", "", SERVER),
    ("too fast", 429, RATE, "", RATE_LIMITED),
    ("too fast a rise", 429, RATE, "ramp_limit_exceeded", RATE_LIMITED),
    ("too fast", 429, "", "", RATE_LIMITED),
    ("a limit of spending", 429, RATE, "enforced_spend_limit_reached", BILLING),
    ("a limit of spending", 429, RATE, "contract_spend_limit_reached", BILLING),
    ("overloaded", 529, "overloaded_error", "", OVERLOADED),
    ("overloaded", 529, "", "", OVERLOADED),
    ("overloaded, in another status", 503, "overloaded_error", "", OVERLOADED),
];

fn envelope(kind: &str, code: &str, message: &str) -> Value {
    let mut error = json!({"message": message});
    if !kind.is_empty() {
        error["type"] = kind.into();
    }
    if !code.is_empty() {
        error["details"] = json!({"error_code": code});
    }
    json!({"type": "error", "error": error, "request_id": "req_of_the_body"})
}

#[tokio::test]
async fn refusals_mean_what_their_codes_say_and_then_their_type_and_status() {
    let mut facts = Facts::new().await;
    for (says, status, kind, code, verdict) in REFUSALS {
        let says = format!("{says}: {status} {kind} {code}");
        let failed = Failed::with_status(verdict, status).code(if code.is_empty() { kind } else { code });
        let sent = reply(ANTHROPIC, status, &[JSON], envelope(kind, code, "m").to_string());
        facts.fails(ANTHROPIC, &says, &sent, &failed).await;
    }
}

/// In a 400, and in a 400 that comes as an event; nowhere else.
#[tokio::test]
async fn a_few_texts_are_the_only_signal() {
    let mut facts = Facts::new().await;
    for (text, verdict) in [
        ("prompt is too long", CONTEXT_LENGTH),
        ("prompt is too long: 210000 tokens > 200000 maximum", CONTEXT_LENGTH),
        ("You have reached your specified API usage limits", BILLING),
        ("You have reached your specified API usage limits. You will regain access on 2026-02-01.", BILLING),
        ("credit balance is too low", BILLING),
        ("Your credit balance is too low to access the Anthropic API.", BILLING),
        ("max_tokens: Field required", BAD_REQUEST),
    ] {
        let told = envelope(INVALID, "", text).to_string();
        let failed = Failed::with_status(verdict, 400).code(INVALID);
        facts.fails(ANTHROPIC, text, &reply(ANTHROPIC, 400, &[JSON], &told), &failed).await;
        let event = stream(ANTHROPIC, format!("event: error\ndata: {told}\n\n"));
        facts.breaks(ANTHROPIC, text, &event, &Failed::inside(verdict).code(INVALID)).await;
        let failed = Failed::with_status(SERVER, 500).code("api_error");
        let other = envelope("api_error", "", text).to_string();
        facts.fails(ANTHROPIC, text, &reply(ANTHROPIC, 500, &[JSON], other), &failed).await;
    }
}

#[tokio::test]
async fn overload_has_three_disguises() {
    let mut facts = Facts::new().await;
    let error = envelope("overloaded_error", "", "Overloaded").to_string();
    for status in [529, 503] {
        let failed = Failed::with_status(OVERLOADED, status).code("overloaded_error");
        let says = format!("a status of {status}");
        facts.fails(ANTHROPIC, &says, &reply(ANTHROPIC, status, &[JSON], &error), &failed).await;
    }
    let start = sse([r#"{"type":"message_start","message":{"content":[]}}"#]);
    let text = sse([r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"hi"}}"#]);
    let failed = Failed::inside(OVERLOADED).code("overloaded_error");
    for (before, came) in [(String::new(), ""), (start.clone(), ""), (format!("{start}{text}"), "says hi")] {
        for name in ["event: error\n", "", "event: message\n"] {
            let events = format!("{before}{name}data: {error}\n\n");
            let came_of_it = facts.breaks(ANTHROPIC, &events, &stream(ANTHROPIC, &events), &failed).await;
            facts.holds(&events, &*shown::content(&came_of_it), came);
        }
    }
}

#[tokio::test]
async fn errors_after_a_success_go_by_their_codes_and_types() {
    let mut facts = Facts::new().await;
    for (kind, code, verdict) in [
        ("rate_limit_error", "", RATE_LIMITED),
        ("rate_limit_error", "ramp_limit_exceeded", RATE_LIMITED),
        ("rate_limit_error", "enforced_spend_limit_reached", BILLING),
        ("rate_limit_error", "contract_spend_limit_reached", BILLING),
        ("authentication_error", "", AUTHENTICATION),
        ("permission_error", "", PERMISSION),
        ("invalid_request_error", "organization_on_hold", PERMISSION),
        ("billing_error", "", BILLING),
        ("not_found_error", "", MODEL_NOT_FOUND),
        ("request_too_large", "", TOO_LARGE),
        ("invalid_request_error", "", BAD_REQUEST),
        ("overloaded_error", "", OVERLOADED),
        ("api_error", "", SERVER),
        ("timeout_error", "", SERVER),
        ("brand_new_error", "", SERVER),
        ("", "", SERVER),
    ] {
        let error = envelope(kind, code, "m").to_string();
        let failed = Failed::inside(verdict).code(if code.is_empty() { kind } else { code });
        facts.fails(ANTHROPIC, &error, &reply(ANTHROPIC, 200, &[JSON], &error), &failed).await;
        let event = stream(ANTHROPIC, format!("event: error\ndata: {error}\n\n"));
        facts.breaks(ANTHROPIC, &error, &event, &failed).await;
    }
    let words = stream(ANTHROPIC, "event: error\ndata: out of order\n\n");
    facts.breaks(ANTHROPIC, "words", &words, &Failed::inside(SERVER)).await;
}

/// The header is closer to the truth: proxies rewrite bodies.
#[tokio::test]
async fn the_id_of_a_request_is_in_the_header_or_the_body() {
    let mut facts = Facts::new().await;
    let error = envelope("api_error", "", "m").to_string();
    for (says, lines, id) in [
        ("in both", "request-id: req_of_the_header\r\n", "req_of_the_header"),
        ("in the body alone", "", "req_of_the_body"),
        ("a header without it", "request-id:\r\n", "req_of_the_body"),
    ] {
        for (status, body) in
            [(500, error.clone()), (200, error.clone()), (200, format!("event: error\ndata: {error}\n\n"))]
        {
            let kind = if body.starts_with('{') { JSON } else { super::EVENTS };
            let head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{kind}\r\n{lines}\r\n");
            let (_, failure) = facts.streamed(ANTHROPIC, format!("{head}{body}").as_bytes()).await;
            facts.holds(&format!("{says}: {head}"), failure.unwrap().request_id(), Some(id));
        }
    }
}

#[tokio::test]
async fn the_message_of_an_envelope_is_told() {
    let mut facts = Facts::new().await;
    for (body, words) in [
        (envelope("api_error", "", "so it is"), "so it is"),
        (json!({"type": "error", "error": {"type": "api_error"}}), "no explanation"),
        (json!({"error": "so it is"}), "so it is"),
    ] {
        let sent = reply(ANTHROPIC, 500, &[JSON], body.to_string());
        let error = facts.whole(ANTHROPIC, &sent).await.unwrap_err();
        facts.holds("whole", error.message(), words);
        let (_, error) = facts.streamed(ANTHROPIC, &sent).await;
        facts.holds("streamed", error.unwrap().message(), words);
    }
}
