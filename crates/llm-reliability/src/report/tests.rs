//! The report's JSON: the names as written, and both ways without loss.

use std::time::Duration;

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{Clock, Error, ErrorKind, FinishReason, Response, Usage};
use serde_json::{Value, json};

use super::*;
use crate::attempt::{Launch, Phase};
use crate::money::Price;

mod forged;

const KEY: &str = "anthropic:claude-x";

fn attempt(outcome: Outcome) -> Attempt {
    // Every error of an attempt names its model.
    let outcome = match outcome {
        Outcome::PreemptedUnsupported(error) => Outcome::PreemptedUnsupported(error.with_model_key(KEY)),
        Outcome::DeferredBackpressure(error) => Outcome::DeferredBackpressure(error.with_model_key(KEY)),
        Outcome::Failed(error) => Outcome::Failed(error.with_model_key(KEY)),
        Outcome::Interrupted { error, partial } => {
            Outcome::Interrupted { error: error.with_model_key(KEY), partial }
        }
        other => other,
    };
    Attempt {
        model_key: KEY.into(),
        provider: "anthropic".into(),
        model_id: "claude-x".into(),
        request_id: None,
        ordinal: 0,
        launch: Launch::Primary,
        outcome,
        phase: Some(Phase::FirstToken),
        start: Duration::ZERO,
        first_token: None,
        latency: Duration::from_micros(15_000_200),
        usage: None,
        cost: None,
        handed_out: false,
        fallback_eligible: true,
        degraded: false,
    }
}

fn answered() -> Attempt {
    let usage = Usage { input_tokens: Some(18), output_tokens: Some(27), ..Usage::default() };
    let mut response = Response::new("…");
    response.usage = usage;
    response.model_id = Some("gpt-x-2026".into());
    let price = Price::new("USD", "0.80".parse().unwrap(), "4.00".parse().unwrap());
    Attempt {
        model_key: "openai:gpt-x".into(),
        provider: "openai".into(),
        model_id: "gpt-x".into(),
        ordinal: 1,
        launch: Launch::Failover,
        phase: Some(Phase::Stream),
        first_token: Some(Duration::from_micros(480_500)),
        usage: Some(usage),
        cost: price.cost(&usage),
        fallback_eligible: false,
        ..attempt(Outcome::Success(response))
    }
}

/// Of these attempts in this order.
fn report(strategy: Strategy, ended: Ended, mut attempts: Vec<Attempt>) -> Report {
    let mut before = None;
    for (attempt, at) in attempts.iter_mut().zip(0..) {
        attempt.ordinal = at;
        attempt.launch = match before.replace(Arc::clone(&attempt.model_key)) {
            _ if strategy == Strategy::FanOut => Launch::Panel,
            None => Launch::Primary,
            Some(key) if key == attempt.model_key => Launch::Retry,
            Some(_) => Launch::Failover,
        };
    }
    let quorum = (strategy == Strategy::FanOut).then(|| Quorum::of(QuorumPolicy::All, &attempts));
    Report::new(strategy, ended, attempts, quorum, Duration::from_micros(15_480_700))
}

fn both_ways(report: &Report) -> Value {
    let json = serde_json::to_value(report).unwrap();
    let back: Report = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json);
    assert_eq!(format!("{back:?}"), format!("{report:?}"));
    json
}

#[test]
fn a_failover_is_written_as_documented() {
    let timeout = attempt(Outcome::Failed(Error::timeout(Clock::FirstToken)));
    let json = both_ways(&report(Strategy::Failover, Ended::Answered, vec![timeout, answered()]));
    let expected = json!({
        "schema": 1, "strategy": "failover", "ended": "answered", "succeeded": true, "degraded": true, "quorum": null,
        "response": {
            "text": "…", "model_key": "openai:gpt-x", "model_id": "gpt-x-2026", "finish_reason": "stop",
            "usage": {"input_tokens": 18, "output_tokens": 27, "cache_read_tokens": null, "cache_write_tokens": null,
                      "reasoning_tokens": null, "total_tokens": 45},
            "tool_calls": []},
        "usage": {"input_tokens": 18, "output_tokens": 27, "cache_read_tokens": null, "cache_write_tokens": null,
                  "reasoning_tokens": null, "total_tokens": 45},
        "cost": [{"currency": "USD", "input": "0.0000144", "output": "0.000108", "cache_read": "0",
                  "cache_write": "0", "total": "0.0001224"}],
        "elapsed_ms": 15480.7, "retry_after_ms": null});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&json[key], value, "{key}");
    }
    let mut keys: Vec<_> = json.as_object().unwrap().keys().collect();
    keys.retain(|key| *key != "attempts");
    assert_eq!(keys.len(), expected.as_object().unwrap().len(), "{keys:?}");
    let first = json!({
        "model_key": "anthropic:claude-x", "provider": "anthropic", "model_id": "claude-x", "request_id": null,
        "ordinal": 0, "launch": "primary", "outcome": "failed", "phase": "first_token", "start_ms": 0.0,
        "first_token_ms": null, "latency_ms": 15000.2,
        "error": {"kind": "timeout", "timeout": "first_token", "category": "transient", "status": null, "code": null,
                  "retry_after_ms": null, "message": "no first token in time"},
        "usage": null, "cost": null, "fallback_eligible": true, "degraded": false});
    assert_eq!(json["attempts"][0], first);
    assert_eq!(json["attempts"][1]["cost"], json["cost"][0]);
    assert!(json["attempts"][1].get("response").is_none(), "an answer stands in one place");
}

#[test]
fn a_fan_out_has_its_answers_beside_the_trail() {
    let failed = attempt(Outcome::Failed(Error::new(ErrorKind::Server, "x")));
    let json = both_ways(&report(Strategy::FanOut, Ended::QuorumMet, vec![answered(), failed, answered()]));
    assert!(json["response"].is_null());
    assert_eq!(json["responses"].as_array().unwrap().len(), 2);
    assert_eq!(json["responses"][0]["model_key"], "openai:gpt-x");
    assert_eq!(json["quorum"], json!({"policy": "all", "required": 1, "seats": 3, "answered": 2}));
    assert_eq!((&json["succeeded"], &json["degraded"]), (&json!(true), &json!(true)));
    let mut miscounted = json;
    miscounted["quorum"]["answered"] = json!(3);
    assert!(serde_json::from_value::<Report>(miscounted).is_err());
}

#[test]
fn every_outcome_survives_the_way_there_and_back() {
    let second = Some(Duration::from_secs(1));
    let error =
        || Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(Duration::from_millis(1500));
    let outcomes = [
        Outcome::PreemptedOpen { retry_after: second, reason: RejectReason::ProbesTaken },
        Outcome::PreemptedOpen { retry_after: Some(Duration::from_secs(9)), reason: RejectReason::Open },
        Outcome::PreemptedUnsupported(Error::unsupported("tools")),
        Outcome::DeferredBackpressure(error()),
        Outcome::Empty { finish_reason: FinishReason::Length },
        Outcome::Failed(Error::timeout(Clock::Total)),
        Outcome::Failed(Error::new(ErrorKind::Server, "").with_should_retry(false)),
        Outcome::DeferredBackpressure(error().with_retry_after(Duration::MAX)),
        Outcome::Interrupted {
            error: Error::new(ErrorKind::Truncated, "cut"),
            partial: Response::new("half"),
        },
        Outcome::Cancelled,
    ];
    let rejected =
        RejectReason::ALL.iter().map(|&reason| Outcome::PreemptedOpen { retry_after: None, reason });
    let limited =
        LimitReason::ALL.iter().map(|&reason| Outcome::PreemptedLimited { retry_after: second, reason });
    for outcome in outcomes.into_iter().chain(rejected).chain(limited) {
        let ended = match outcome {
            Outcome::PreemptedLimited { reason: LimitReason::NeverFits, .. } => Ended::Exhausted,
            Outcome::PreemptedOpen { reason: RejectReason::StoreUnavailable, .. }
            | Outcome::PreemptedLimited { reason: LimitReason::StoreUnavailable, .. } => {
                Ended::StoreUnavailable
            }
            Outcome::PreemptedOpen { .. } | Outcome::PreemptedLimited { .. } => Ended::Unavailable,
            Outcome::Interrupted { .. } | Outcome::Cancelled => Ended::Interrupted,
            _ => Ended::Exhausted,
        };
        let handed_out = ended == Ended::Interrupted;
        let attempts = vec![Attempt { handed_out, ..attempt(outcome.clone()) }];
        let report = report(Strategy::Failover, ended, attempts);
        let endless = outcome_hint(&outcome) == Some(Duration::MAX);
        let json = if endless { serde_json::to_value(&report).unwrap() } else { both_ways(&report) };
        serde_json::from_value::<Report>(json.clone()).unwrap();
        assert_eq!(json["attempts"][0]["outcome"], outcome.as_str());
        let partial = json["attempts"][0].get("partial").is_some();
        assert_eq!(partial, matches!(outcome, Outcome::Interrupted { .. }));
    }
}

fn cut(partial: &str) -> Attempt {
    let first_token = Some(Duration::from_secs(1));
    let error = Error::new(ErrorKind::Truncated, "cut");
    let partial = Response::new(partial);
    let attempt = attempt(Outcome::Interrupted { error, partial });
    Attempt { first_token, phase: Some(Phase::Stream), handed_out: true, ..attempt }
}

#[test]
fn every_attempt_that_was_cut_keeps_its_part() {
    let json =
        both_ways(&report(Strategy::Failover, Ended::Answered, vec![cut("one"), cut("two"), answered()]));
    assert_eq!(json["attempts"][0]["partial"]["text"], "one");
    assert_eq!(json["attempts"][1]["partial"]["text"], "two");
    assert_eq!(json["response"]["text"], "…");
    let refused = |change: fn(&mut Value)| {
        let mut json = json.clone();
        change(&mut json);
        serde_json::from_value::<Report>(json).unwrap_err().to_string()
    };
    assert!(
        refused(|json| json["attempts"][1]["partial"] = Value::Null).contains("interrupted attempt without")
    );
    assert!(refused(|json| json["attempts"][0]["outcome"] = json!("cancelled")).contains("more answers"));
}

#[test]
fn the_partial_of_a_report_is_what_the_caller_was_left_with() {
    let failed = || attempt(Outcome::Failed(Error::new(ErrorKind::Server, "")));
    let waiting = || attempt(Outcome::Cancelled);
    let streaming = || Attempt { handed_out: true, ..waiting() };
    let preempted = || attempt(Outcome::PreemptedUnsupported(Error::unsupported("tools")));
    let table = [
        (Ended::Interrupted, vec![cut("one")], Some("one")),
        (Ended::Interrupted, vec![cut("one"), failed(), preempted()], Some("one")),
        (Ended::Interrupted, vec![cut("one"), failed(), cut("two"), failed()], Some("two")),
        (Ended::Interrupted, vec![cut("one"), waiting()], Some("one")),
        (
            Ended::Interrupted,
            vec![cut("one"), Attempt { first_token: Some(Duration::ZERO), ..failed() }],
            Some("one"),
        ),
        // The caller had discarded it, and gave up what it got in its place.
        (Ended::Interrupted, vec![cut("one"), streaming()], None),
        (Ended::Interrupted, vec![streaming()], None),
        (Ended::Answered, vec![cut("one"), answered()], None),
        (Ended::Exhausted, vec![failed()], None),
    ];
    for (ended, attempts, partial) in table {
        let report = report(Strategy::Failover, ended, attempts);
        assert_eq!(report.partial().map(|partial| partial.text.as_str()), partial, "{report:?}");
        assert!(report.degraded() || report.attempts().len() == 1);
    }
}

#[test]
fn an_error_without_an_answer_tells_what_cut_the_one_that_was_handed_out() {
    let later = attempt(Outcome::Failed(Error::new(ErrorKind::Server, "later")));
    let error = report(Strategy::Failover, Ended::Interrupted, vec![cut("one"), later.clone()]).into_result();
    assert_eq!(std::error::Error::source(&error.unwrap_err()).unwrap().to_string(), "truncated: cut");
    let error = report(Strategy::Failover, Ended::Exhausted, vec![later.clone()]).into_result();
    assert_eq!(std::error::Error::source(&error.unwrap_err()).unwrap().to_string(), "server: later");
    // The caller gave this one up, and had discarded what was cut before.
    let given_up = Attempt { handed_out: true, ..attempt(Outcome::Cancelled) };
    let error = report(Strategy::Failover, Ended::Interrupted, vec![cut("one"), later, given_up]);
    assert!(std::error::Error::source(&error.into_result().unwrap_err()).is_none());
}

fn outcome_hint(outcome: &Outcome) -> Option<Duration> {
    attempt(outcome.clone()).retry_after()
}

#[test]
fn debug_shows_no_answer() {
    let report = report(
        Strategy::Failover,
        Ended::Answered,
        vec![attempt(Outcome::Success(Response::new("marmalade")))],
    );
    assert!(!format!("{report:?}").contains("marmalade"));
}
