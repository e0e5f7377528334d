//! Orders, hedges and quorums from the configuration: the report key by key, and the exit codes.

use std::collections::BTreeSet;

use llm_reliability::Report;
use llm_simulator::{Behaviour, Ended, Simulator};
use serde_json::{Value, json};

use crate::harness::{ask, candidates, keys};
use crate::report::{ATTEMPT, TOP};

/// What a report says of each attempt: who, why, what came of it, and how far it was.
fn trail(report: &Value) -> Vec<[&str; 4]> {
    report["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| ["model_key", "launch", "outcome", "phase"].map(|key| it[key].as_str().unwrap_or("null")))
        .collect()
}

/// A report that was read says what the written one does.
fn can_be_read(report: &Value) {
    let read: Report = serde_json::from_value(report.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), *report);
}

#[tokio::test]
async fn a_hedged_answer_is_reported_with_who_lost() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("silent", Behaviour::stall());
    simulator.on("well", Behaviour::answer("Hello there"));
    let models = [("anthropic", "silent"), ("openai", "well"), ("groq", "spare")];
    let hedges = "[failover]\nhedge_after = '100ms'\nhedge_budget = '100%'\n";
    let config = format!("timeouts.first_token = '60s'\n{hedges}{}", candidates(&simulator, &models));
    let done = ask(&config, &["--json", "--", "Hi"]).await;
    let report = done.report();
    assert_eq!((done.code, done.err.as_str(), keys(&report)), (0, "", BTreeSet::from(TOP)));
    for (key, value) in [
        ("schema", json!(1)),
        ("strategy", json!("failover")),
        ("ended", json!("answered")),
        ("succeeded", json!(true)),
        ("degraded", json!(false)),
        ("quorum", Value::Null),
        ("retry_after_ms", Value::Null),
        ("usage", report["response"]["usage"].clone()),
        ("cost", json!([report["attempts"][1]["cost"]])),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert_eq!(report["response"]["model_key"], "openai:well");
    assert_eq!(
        trail(&report),
        [
            ["anthropic:silent", "primary", "cancelled", "first_token"],
            ["openai:well", "hedge", "success", "stream"],
        ]
    );
    let lost = &report["attempts"][0];
    assert!(keys(lost).is_superset(&ATTEMPT.into()), "{lost}");
    for key in ["error", "first_token_ms", "usage", "cost"] {
        assert!(lost[key].is_null(), "{key} of {lost}");
    }
    assert!(lost["latency_ms"].as_f64() >= Some(100.0) && lost["start_ms"] == 0.0, "{lost}");
    assert!(report["attempts"][1]["start_ms"].as_f64() >= Some(100.0), "{report}");
    can_be_read(&report);
    simulator.wait_idle().await;
    assert_eq!(simulator.requests("silent")[0].ended, Ended::Disconnected);
    assert_eq!(simulator.received("spare"), 0);

    let plain = ask(&config, &["--stream", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str(), plain.err.as_str()), (0, "Hello there\n", ""));
}

#[tokio::test]
async fn a_quorum_is_reported_with_its_seats() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::answer("First"));
    simulator.on("slow", Behaviour::stall());
    simulator.on("c", Behaviour::answer("Third"));
    let config = |rules: &str| {
        let models = [("openai", "a"), ("anthropic", "slow"), ("groq", "c")];
        format!("timeouts.first_token = '60s'\n[fan_out]\n{rules}\n{}", candidates(&simulator, &models))
    };
    let fan_out = ["--strategy", "fan_out", "--json", "--", "Hi"];
    let done = ask(&config("quorum = 2\ngrace = '100ms'"), &fan_out).await;
    let report = done.report();
    let with_responses = TOP.into_iter().chain(["responses"]).collect::<BTreeSet<_>>();
    assert_eq!((done.code, done.err.as_str(), keys(&report)), (0, "", with_responses));
    for (key, value) in [
        ("strategy", json!("fan_out")),
        ("ended", json!("quorum_met")),
        ("succeeded", json!(true)),
        ("degraded", json!(false)),
        ("response", Value::Null),
        ("retry_after_ms", Value::Null),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert_eq!(keys(&report["quorum"]), BTreeSet::from(["policy", "required", "seats", "answered"]));
    for (key, value) in [("required", 2), ("seats", 3), ("answered", 2)] {
        assert_eq!(report["quorum"][key], value, "{key}");
    }
    let answered: Vec<_> =
        report["responses"].as_array().unwrap().iter().map(|it| (&it["model_key"], &it["text"])).collect();
    assert_eq!(answered, [(&json!("openai:a"), &json!("First")), (&json!("groq:c"), &json!("Third"))]);
    assert_eq!(
        trail(&report),
        [
            ["openai:a", "panel", "success", "stream"],
            ["anthropic:slow", "panel", "cancelled", "first_token"],
            ["groq:c", "panel", "success", "stream"],
        ]
    );
    assert!(report["elapsed_ms"].as_f64() >= Some(100.0), "the grace: {report}");
    can_be_read(&report);

    for (policy, required) in [("majority", 2), ("first", 1)] {
        let report = ask(&config(&format!("quorum = '{policy}'")), &fan_out).await.report();
        let quorum = &report["quorum"];
        assert_eq!((&report["ended"], &quorum["policy"]), (&json!("quorum_met"), &json!(policy)));
        assert_eq!((&quorum["required"], &quorum["seats"]), (&json!(required), &json!(3)));
    }
    let plain = ask(&config("quorum = 2"), &["--strategy", "fan_out", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str()), (0, "openai:a:\nFirst\n\ngroq:c:\nThird\n"));
}

#[tokio::test]
async fn too_few_answers_are_printed_and_no_success() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::answer("First"));
    simulator.on("b", Behaviour::status(503));
    // One after the other: once the second has failed, the first would not be waited for.
    let rules = "fan_out = { quorum = 2, concurrency = 1 }\n";
    let config = format!("{rules}{}", candidates(&simulator, &[("openai", "a"), ("anthropic", "b")]));
    let plain = ask(&config, &["--strategy", "fan_out", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str()), (1, "openai:a:\nFirst\n"));
    let lines: Vec<_> = plain.err.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "ask: too few candidates answered"), "{}", plain.err);
    assert!(lines[1].starts_with("  openai:a: success after "), "{}", plain.err);
    assert!(lines[2].starts_with("  anthropic:b: failed after "), "{}", plain.err);

    let done = ask(&config, &["--strategy", "fan_out", "--json", "--", "Hi"]).await;
    let report = done.report();
    assert_eq!(
        (done.code, &report["ended"], &report["succeeded"]),
        (1, &json!("quorum_not_met"), &json!(false))
    );
    assert_eq!((&report["degraded"], &report["quorum"]["answered"]), (&json!(true), &json!(1)));
    can_be_read(&report);
}

#[tokio::test]
async fn substitutes_seats_and_orders_come_from_the_configuration() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("down", Behaviour::status(503));
    let models = [("openai", "down"), ("anthropic", "b"), ("groq", "c")];
    let hosts = candidates(&simulator, &models);
    let rules = "[fan_out]\nseats = ['anthropic:b', 'openai:down']\nbench = ['groq:c']\n";
    let done = ask(&format!("{rules}{hosts}"), &["--strategy", "fan_out", "--json", "--", "Hi"]).await;
    let report = done.report();
    assert_eq!((done.code, &report["quorum"]["seats"], &report["degraded"]), (0, &json!(2), &json!(true)));
    assert_eq!(
        trail(&report),
        [
            ["anthropic:b", "panel", "success", "stream"],
            ["openai:down", "panel", "failed", "first_token"],
            ["groq:c", "failover", "success", "stream"],
        ]
    );
    can_be_read(&report);

    let hosts = hosts
        .replace("model = 'down'", "model = 'down'\nweight = 0")
        .replace("model = 'c'", "model = 'c'\nweight = 0");
    let weighted = ask(&format!("failover.order = 'weighted'\n{hosts}"), &["--json", "--", "Hi"]).await;
    assert_eq!(trail(&weighted.report()), [["anthropic:b", "primary", "success", "stream"]]);
}
