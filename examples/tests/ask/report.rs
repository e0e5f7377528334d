//! The report, key by key.

use std::collections::BTreeSet;

use llm_reliability::Report;
use llm_simulator::Simulator;
use serde_json::Value;

use crate::harness::{keys, trail};

pub(crate) const TOP: [&str; 12] = [
    "schema",
    "strategy",
    "ended",
    "succeeded",
    "degraded",
    "quorum",
    "response",
    "attempts",
    "usage",
    "cost",
    "elapsed_ms",
    "retry_after_ms",
];
const USAGE: [&str; 6] = [
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
];
const RESPONSE: [&str; 6] = ["text", "model_key", "model_id", "finish_reason", "usage", "tool_calls"];
pub(crate) const ATTEMPT: [&str; 13] = [
    "model_key",
    "provider",
    "ordinal",
    "launch",
    "outcome",
    "phase",
    "start_ms",
    "first_token_ms",
    "latency_ms",
    "error",
    "usage",
    "cost",
    "degraded",
];
const ERROR: [&str; 7] = ["kind", "timeout", "category", "status", "code", "retry_after_ms", "message"];
const COST: [&str; 6] = ["currency", "input", "output", "cache_read", "cache_write", "total"];

#[tokio::test]
async fn the_report_has_exactly_its_shape() {
    let simulator = Simulator::start().await.unwrap();
    let done = trail(&simulator, &["--strategy", "failover", "--json", "--", "Say", "hello."]).await;
    assert_eq!((done.code, done.err.as_str(), done.out.lines().count()), (0, "", 1));
    let report = done.report();
    assert_eq!(keys(&report), BTreeSet::from(TOP));
    assert_eq!(report["schema"], 1);
    assert_eq!(report["strategy"], "failover");
    assert_eq!(report["ended"], "answered");
    assert_eq!((&report["succeeded"], &report["degraded"]), (&true.into(), &true.into()));
    assert!(report["quorum"].is_null() && report["retry_after_ms"].is_null());

    let response = &report["response"];
    assert!(keys(response).is_superset(&RESPONSE.into()), "{response}");
    assert_eq!((&response["text"], &response["model_key"]), (&"Hello there".into(), &"groq:well".into()));
    assert_eq!((&response["model_id"], &response["finish_reason"]), (&"well-2026".into(), &"stop".into()));
    assert_eq!(response["tool_calls"], Value::Array(vec![]));
    assert_eq!(keys(&response["usage"]), BTreeSet::from(USAGE));
    assert_eq!(
        (&response["usage"]["input_tokens"], &response["usage"]["total_tokens"]),
        (&18.into(), &45.into())
    );
    assert_eq!(report["usage"], response["usage"]);

    let attempts = report["attempts"].as_array().unwrap();
    let expected = [
        ("anthropic:busy", "anthropic", "primary", "failed", "overloaded"),
        ("openai:silent", "openai", "failover", "failed", "timeout"),
        ("groq:well", "groq", "failover", "success", ""),
    ];
    assert_eq!(attempts.len(), expected.len());
    for (at, (attempt, (key, provider, launch, outcome, kind))) in attempts.iter().zip(expected).enumerate() {
        assert!(keys(attempt).is_superset(&ATTEMPT.into()), "{attempt}");
        assert_eq!((&attempt["model_key"], &attempt["provider"]), (&key.into(), &provider.into()));
        assert_eq!((&attempt["ordinal"], &attempt["launch"]), (&at.into(), &launch.into()));
        assert_eq!((&attempt["outcome"], &attempt["degraded"]), (&outcome.into(), &false.into()));
        assert!(attempt["start_ms"].is_f64() && attempt["latency_ms"].is_f64(), "{attempt}");
        if kind.is_empty() {
            assert!(attempt["error"].is_null() && attempt["first_token_ms"].is_f64(), "{attempt}");
            assert_eq!(attempt["phase"], "stream");
        } else {
            assert_eq!(keys(&attempt["error"]), BTreeSet::from(ERROR));
            assert_eq!((&attempt["error"]["kind"], &attempt["phase"]), (&kind.into(), &"first_token".into()));
            assert_eq!(attempt["error"]["category"], "transient");
        }
    }
    assert_eq!(
        (&attempts[0]["error"]["status"], &attempts[0]["error"]["timeout"]),
        (&529.into(), &Value::Null)
    );
    assert_eq!(attempts[1]["error"]["timeout"], "first_token");
    assert!(attempts[1]["latency_ms"].as_f64().unwrap() >= 200.0);

    let cost = &report["cost"][0];
    assert_eq!(keys(cost), BTreeSet::from(COST));
    assert_eq!((&cost["currency"], &cost["input"]), (&"USD".into(), &"0.0000144".into()));
    assert_eq!((&cost["cache_read"], &cost["total"]), (&"0".into(), &"0.0001224".into()));
    assert_eq!(&attempts[2]["cost"], cost);
    assert!(attempts[0]["cost"].is_null());

    let read: Report = serde_json::from_value(report.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), report);
    assert_eq!(["busy", "silent", "well"].map(|model| simulator.received(model)), [1, 1, 1]);
}
