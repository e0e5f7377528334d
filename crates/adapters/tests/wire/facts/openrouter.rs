//! OpenRouter, as far as it speaks OpenAI's format.

use std::time::Duration;

use llm_protocol::HealthState;
use serde_json::{Value, json};

use super::{
    BAD_REQUEST, BILLING, CONTENT_FILTER, CONTEXT_LENGTH, Facts, Failed, JSON, OVERLOADED, PERMISSION,
    RATE_LIMITED, SERVER, Wire, reply, shown, sse, stream,
};

const OPEN_ROUTER: Wire = Wire::OpenRouter;

fn error(code: u16, metadata: &Value) -> String {
    json!({"error": {"message": "m", "code": code, "metadata": metadata}}).to_string()
}

#[tokio::test]
async fn its_statuses_mean_what_their_metadata_say() {
    let mut facts = Facts::new().await;
    let flagged = json!({"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"});
    let in_flight = json!({"limit_source": "openrouter_in_flight_budget"});
    let of_type = |word: &str| json!({ "error_type": word });
    for (says, status, lines, metadata, verdict) in [
        ("no money", 402, &[][..], json!({}), BILLING),
        ("no money", 402, &[], of_type("payment_required"), BILLING),
        ("no money, with a hint", 402, &["retry-after: 3"], json!({}), BILLING),
        ("too much at once", 402, &["retry-after: 3"], in_flight.clone(), RATE_LIMITED),
        ("too much at once, without a hint", 402, &[], in_flight, BILLING),
        ("moderated", 403, &[], flagged, CONTENT_FILTER),
        ("moderated", 403, &[], of_type("content_policy_violation"), CONTENT_FILTER),
        ("not allowed", 403, &[], of_type("permission_denied"), PERMISSION),
        ("not allowed", 403, &[], json!({}), PERMISSION),
        ("the host behind it is away", 502, &[], of_type("provider_unavailable"), SERVER),
        ("the host behind it is away", 502, &[], json!({}), SERVER),
        ("the host behind it is overloaded", 503, &[], of_type("provider_overloaded"), OVERLOADED),
        ("no host behind it", 503, &[], json!({}), SERVER),
        ("the type says more than the status", 400, &[], of_type("context_length_exceeded"), CONTEXT_LENGTH),
        ("too fast", 429, &[], of_type("rate_limit_exceeded"), RATE_LIMITED),
    ] {
        let retry_after = lines.first().map(|_| Duration::from_secs(3));
        let sent = reply(OPEN_ROUTER, status, &[lines, &[JSON]].concat(), error(status, &metadata));
        for error in [facts.whole(OPEN_ROUTER, &sent).await.err(), facts.streamed(OPEN_ROUTER, &sent).await.1]
        {
            let failed = error.as_ref().map(Failed::of).map(|failed| (failed.verdict, failed.retry_after));
            facts.holds(&format!("{says}: {status} {metadata}"), failed, Some((verdict, retry_after)));
        }
    }
}

#[tokio::test]
async fn its_body_says_when_to_come_back() {
    let mut facts = Facts::new().await;
    let availability = json!({"code": "provider_overloaded", "retryable": true, "retry_after": 8});
    let body = json!({"error": {"message": "m", "code": 503, "availability": availability}}).to_string();
    let sent = reply(OPEN_ROUTER, 503, &[JSON], body);
    for error in [facts.whole(OPEN_ROUTER, &sent).await.err(), facts.streamed(OPEN_ROUTER, &sent).await.1] {
        let failed = error.as_ref().map(Failed::of).map(|failed| (failed.verdict, failed.retry_after));
        facts.holds("availability", failed, Some((OVERLOADED, Some(Duration::from_secs(8)))));
    }
}

#[tokio::test]
async fn its_errors_in_a_success_are_errors() {
    let mut facts = Facts::new().await;
    let text = sse([r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":null}]}"#]);
    for (says, whole, event, verdict, code) in [
        (
            "at the top",
            json!({"error": {"code": 502, "message": "m"}}),
            json!({"error": {"code": 502, "message": "m"}, "choices": []}),
            SERVER,
            "502",
        ),
        (
            "in the choice",
            json!({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": {"code": 429}}]}),
            json!({"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"code": 429}}]}),
            RATE_LIMITED,
            "429",
        ),
        (
            "the recorded one: no finish reason, and [DONE] behind it",
            json!({"choices": [{"message": {"content": ""}, "finish_reason": null}], "error": {"code": 400}}),
            json!({"choices": [{"delta": {"content": ""}, "finish_reason": null}], "error": {"code": 400}}),
            BAD_REQUEST,
            "400",
        ),
        (
            "with a type that says more than its status",
            json!({"error": {"code": 502, "metadata": {"error_type": "provider_overloaded"}}}),
            json!({"error": {"code": 502, "metadata": {"error_type": "provider_overloaded"}}, "choices": []}),
            OVERLOADED,
            "502",
        ),
    ] {
        let failed = Failed::inside(verdict).code(code);
        facts.fails(OPEN_ROUTER, says, &reply(OPEN_ROUTER, 200, &[JSON], whole.to_string()), &failed).await;
        let sent = stream(OPEN_ROUTER, format!("{text}data: {event}\n\ndata: [DONE]\n\n"));
        let came = facts.breaks(OPEN_ROUTER, says, &sent, &failed).await;
        facts.holds(says, &*shown::content(&came), "says hi");
    }
}

#[tokio::test]
async fn its_comments_are_no_answer() {
    let mut facts = Facts::new().await;
    let comments = ": OPENROUTER PROCESSING\n\n".repeat(30);
    let events = sse([r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}"#]);
    let sent = stream(OPEN_ROUTER, format!("{comments}{events}{comments}data: [DONE]\n\n"));
    facts.streams(OPEN_ROUTER, "thirty before the answer", &sent, "says hi; ends Stop").await;
    let blank = format!("{}{}", "\n         ".repeat(30), crate::raw::ANSWER);
    let answer = facts.whole(OPEN_ROUTER, &reply(OPEN_ROUTER, 200, &[JSON], blank)).await.unwrap();
    facts.holds("and blanks before a whole one", &*answer.text, "hi");
}

/// The list of models is there for everybody: only the key's own page says whether the key is good.
#[tokio::test]
async fn its_health_is_that_of_the_key() {
    let mut facts = Facts::new().await;
    facts.reply.send_replace(reply(OPEN_ROUTER, 200, &[JSON], r#"{"data":{"label":"k"}}"#));
    let health = facts.model(OPEN_ROUTER).health_check().await;
    facts.holds("a key that is good", health.state, HealthState::Healthy);
    let asked = facts.asked.borrow().lines().next().unwrap().to_owned();
    facts.holds("what is asked", &*asked, "GET /api/v1/key HTTP/1.1");
}
