//! When a provider says that it may be asked again.

use std::time::Duration;

use serde_json::{Value, json};

use super::{BAD_REQUEST, BOTH, EVENTS, Facts, Failed, JSON, OVERLOADED, RATE_LIMITED, SERVER, Wire, reply};

/// No hint is longer than a day, so that dates far away make one that does not depend on the time of the test.
const DAY: f64 = 86_400.0;
const FAR: &str = "Fri, 31 Dec 2100 23:59:59 GMT";
const PAST: &str = "Tue, 06 Jan 2026 07:12:53 GMT";

fn refusal(hint: &Value) -> String {
    let mut body = json!({"error": {"message": "m", "type": "rate_limit_error"}});
    if !hint.is_null() {
        body["error"]["retry_after"] = hint.clone();
    }
    body.to_string()
}

impl Facts {
    /// A 429 with these lines and this hint in its body asks to be left alone for so long.
    async fn waits(&mut self, wire: Wire, says: &str, lines: &[&str], hint: &Value, seconds: Option<f64>) {
        let sent = reply(wire, 429, &[lines, &[JSON]].concat(), refusal(hint));
        let failed = Failed {
            retry_after: seconds.map(Duration::from_secs_f64),
            ..Failed::with_status(RATE_LIMITED, 429).code("rate_limit_error")
        };
        self.fails(wire, &format!("{says}: {lines:?} {hint}"), &sent, &failed).await;
    }
}

#[tokio::test]
async fn the_hints_of_open_ai_and_its_kin_count_in_their_order() {
    let (milliseconds, seconds) = ("retry-after-ms: 1500", "retry-after: 7");
    let (far, past) = (&*format!("retry-after: {FAR}"), &*format!("retry-after: {PAST}"));
    let reset = "x-ratelimit-reset-requests: 9s";
    let body = json!(8);
    let mut facts = Facts::new().await;
    for (says, lines, hint, wait) in [
        ("milliseconds come first", &[reset, seconds, milliseconds][..], &body, Some(1.5)),
        ("then seconds", &[reset, seconds], &body, Some(7.0)),
        ("seconds may have a fraction", &["retry-after: 2.5"], &body, Some(2.5)),
        ("then a date", &[reset, far], &body, Some(DAY)),
        ("a date in the past is now", &[reset, past], &body, Some(0.0)),
        ("then the body", &[reset], &body, Some(8.0)),
        ("then the limits' resets", &[reset], &Value::Null, Some(9.0)),
        ("nothing is said", &[], &Value::Null, None),
        ("nonsense is passed over", &["retry-after-ms: soon", seconds], &body, Some(7.0)),
        ("nonsense is passed over", &["retry-after: soon", reset], &body, Some(8.0)),
        ("nonsense is passed over", &[reset], &json!("soon"), Some(9.0)),
    ] {
        facts.waits(Wire::OpenAi, says, lines, hint, wait).await;
    }
}

#[tokio::test]
async fn the_hints_of_anthropic_count_in_their_order() {
    let (milliseconds, seconds) = ("retry-after-ms: 1500", "retry-after: 7");
    let (far, past) = (&*format!("retry-after: {FAR}"), &*format!("retry-after: {PAST}"));
    let (reset, over) = (
        "anthropic-ratelimit-requests-reset: 2100-12-31T23:59:59Z",
        "anthropic-ratelimit-requests-reset: 2026-01-06T07:11:55Z",
    );
    let mut facts = Facts::new().await;
    for (says, lines, wait) in [
        ("milliseconds come first", &[reset, seconds, milliseconds][..], Some(1.5)),
        ("then seconds", &[reset, seconds], Some(7.0)),
        ("then a date", &[over, far], Some(DAY)),
        ("a date in the past is now", &[reset, past], Some(0.0)),
        ("then the limits' resets", &[reset], Some(DAY)),
        ("nothing is said", &[], None),
    ] {
        facts.waits(Wire::Anthropic, says, lines, &Value::Null, wait).await;
    }
}

#[tokio::test]
async fn numbers_that_are_none_are_no_hints_and_too_large_ones_are_too_long() {
    let mut facts = Facts::new().await;
    let none = Value::Null;
    for header in ["retry-after-ms", "retry-after", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]
    {
        for number in ["nan", "NaN", "-nan", "inf", "-inf", "Infinity", "-1", "-0.5", "-5s", "nans", "infs"] {
            facts.waits(Wire::OpenAi, "no number", &[&format!("{header}: {number}")], &none, None).await;
        }
    }
    for limit in ["requests", "tokens", "input-tokens", "output-tokens"] {
        for time in ["nan", "inf", "-1"] {
            let line = format!("anthropic-ratelimit-{limit}-reset: {time}");
            facts.waits(Wire::Anthropic, "no time", &[&line], &none, None).await;
        }
    }
    for hint in [json!("nan"), json!("inf"), json!(-1), json!(-0.5), json!(-1e300)] {
        facts.waits(Wire::OpenAi, "no number in the body", &[], &hint, None).await;
    }
    let many = "9".repeat(400);
    for wire in BOTH {
        for number in [&*many, "1e300", "1e999"] {
            for header in ["retry-after-ms", "retry-after"] {
                facts.waits(wire, "too large", &[&format!("{header}: {number}")], &none, Some(DAY)).await;
            }
        }
    }
    let reset = format!("x-ratelimit-reset-tokens: {many}h");
    facts.waits(Wire::OpenAi, "too large", &[&reset], &none, Some(DAY)).await;
    facts.waits(Wire::OpenAi, "too large", &[], &json!(1e300), Some(DAY)).await;
    facts.waits(Wire::OpenAi, "too large", &[], &json!(u64::MAX), Some(DAY)).await;
}

#[tokio::test]
async fn resets_are_read_as_their_vendors_write_them() {
    let mut facts = Facts::new().await;
    for (says, text, seconds) in [
        ("milliseconds", "12ms", 0.012),
        ("seconds with all their digits", "17.399999999s", 17.399_999_999),
        ("minutes and seconds", "20m52.666s", 1252.666),
        ("nothing to wait for", "0s", 0.0),
        ("bare seconds, as Azure has them", "500", 500.0),
        ("bare seconds, as Azure has them", "7", 7.0),
    ] {
        for limit in ["requests", "tokens"] {
            let line = format!("x-ratelimit-reset-{limit}: {text}");
            facts.waits(Wire::OpenAi, says, &[&line], &Value::Null, Some(seconds)).await;
        }
    }
    for (says, text, seconds) in [
        ("a time to come", "2100-12-31T23:59:59Z", DAY),
        ("a time to come, elsewhere", "2100-12-31T23:59:59+01:00", DAY),
        ("a time that has passed", "2026-01-06T07:11:55Z", 0.0),
    ] {
        for limit in ["requests", "tokens", "input-tokens", "output-tokens"] {
            let line = format!("anthropic-ratelimit-{limit}-reset: {text}");
            facts.waits(Wire::Anthropic, says, &[&line], &Value::Null, Some(seconds)).await;
        }
    }
}

/// They come with successes, too: 59 seconds with an answer of Anthropic's that went well.
#[tokio::test]
async fn the_hints_of_a_success_are_not_read() {
    const LINES: [&str; 5] = [
        "retry-after: 59",
        "retry-after-ms: 59000",
        "x-should-retry: false",
        "x-ratelimit-reset-requests: 59s",
        "anthropic-ratelimit-requests-reset: 2100-12-31T23:59:59Z",
    ];
    let mut facts = Facts::new().await;
    let error = refusal(&Value::Null);
    for (wire, json, events) in [
        (
            Wire::OpenAi,
            r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#,
            "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ),
        (
            Wire::Anthropic,
            r#"{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}"#,
            concat!(
                "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
                "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
                "data: {\"type\":\"message_stop\"}\n\n",
            ),
        ),
    ] {
        let with = |kind: &str, body: &str| reply(wire, 200, &[&LINES[..], &[kind]].concat(), body);
        let answer = facts.whole(wire, &with(JSON, json)).await.map(|answer| answer.text);
        facts.holds("an answer is one", answer.ok().as_deref(), Some("hi"));
        facts.streams(wire, "an answer is one", &with(EVENTS, events), "says hi; ends Stop").await;
        let failed = Failed::inside(RATE_LIMITED).code("rate_limit_error");
        facts.fails(wire, "an error in a success", &with(JSON, &error), &failed).await;
        let event = format!("event: error\ndata: {error}\n\n");
        facts.breaks(wire, "an error in a stream", &with(EVENTS, &event), &failed).await;
    }
    // What the error itself says is no header of a success.
    let failed = Failed { retry_after: Some(Duration::from_secs(8)), ..Failed::inside(RATE_LIMITED) };
    let sent = reply(Wire::OpenAi, 200, &[&LINES[..], &[JSON]].concat(), refusal(&json!(8)));
    facts.fails(Wire::OpenAi, "a hint in the error", &sent, &failed.code("rate_limit_error")).await;
}

#[tokio::test]
async fn whether_to_ask_the_same_host_again_is_told_and_changes_no_kind() {
    let mut facts = Facts::new().await;
    for wire in BOTH {
        for (status, verdict) in
            [(400, BAD_REQUEST), (429, RATE_LIMITED), (500, SERVER), (503, SERVER), (529, OVERLOADED)]
        {
            for (value, told) in [("true", Some(true)), ("false", Some(false)), ("maybe", None)] {
                let line = format!("x-should-retry: {value}");
                let failed = Failed { should_retry: told, ..Failed::with_status(verdict, status) };
                let sent = reply(wire, status, &[JSON, &line], r#"{"error":{"message":"m"}}"#);
                facts.fails(wire, &format!("{status} {line}"), &sent, &failed).await;
            }
        }
    }
}
