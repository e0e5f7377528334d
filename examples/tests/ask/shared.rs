//! One call after the other, each in a process of its own, through one store.

use llm_simulator::{Behaviour, Simulator};
use serde_json::{Value, json};
use test_servers::{MemcachedServer, RedisServer};

use crate::harness::{Done, ask, candidates};

/// Candidates in this order of priority.
fn ranked(simulator: &Simulator, models: &[(&str, &str)]) -> String {
    let candidate = |(priority, model): (usize, &(&str, &str))| {
        format!("{}priority = {priority}\n", candidates(simulator, &[*model]))
    };
    models.iter().enumerate().map(candidate).collect()
}

/// Which models were asked, in order, and what came of it.
fn trail(report: &Value) -> Vec<(&str, &str)> {
    report["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let key = it["model_key"].as_str().unwrap();
            (key.split_once(':').unwrap().1, it["outcome"].as_str().unwrap())
        })
        .collect()
}

fn is_degraded(report: &Value) -> Vec<bool> {
    report["attempts"].as_array().unwrap().iter().map(|it| it["degraded"].as_bool().unwrap()).collect()
}

/// A store that may take its time on a busy machine.
fn store(redis: &RedisServer) -> String {
    format!("[store]\nredis = '{}'\ntimeout = '4s'\n", redis.url())
}

async fn json(config: &str) -> Done {
    ask(config, &["--json", "--", "Hi"]).await
}

const HOSTS: [(&str, &str); 3] = [("openai", "A"), ("anthropic", "B"), ("groq", "C")];

#[tokio::test]
async fn each_process_begins_with_the_next_candidate() {
    let simulator = Simulator::start().await.unwrap();
    for model in ["A", "B", "C"] {
        simulator.on(model, Behaviour::status(503));
    }
    let (redis, memcached) = (RedisServer::start().await.unwrap(), MemcachedServer::start().await.unwrap());
    let turns = "failover.order = 'round_robin'\nbreaker.failure_threshold = 1000\n";
    let memcached = format!("[store]\nmemcached = '{}'\ntimeout = '4s'\n", memcached.address());
    for store in [store(&redis), memcached] {
        let config = format!("{turns}{store}{}", ranked(&simulator, &HOSTS));
        for expected in ["ABC", "BAC", "CAB", "ABC"] {
            let report = json(&config).await.report();
            let asked: String = trail(&report).iter().map(|(model, _)| *model).collect();
            assert_eq!(asked, expected, "{store}");
            assert_eq!(is_degraded(&report), [false; 3]);
        }
    }
}

#[tokio::test]
async fn one_process_trips_the_breaker_and_the_next_passes_the_candidate_over() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("down", Behaviour::status(503));
    simulator.on("well", Behaviour::answer("Hello there"));
    let redis = RedisServer::start().await.unwrap();
    let breaker = "breaker = { failure_threshold = 1, cooldown = '1h' }\n";
    let hosts = candidates(&simulator, &[("openai", "down"), ("anthropic", "well")]);
    let config = format!("{breaker}{}{hosts}", store(&redis));
    let first = json(&config).await;
    assert_eq!(trail(&first.report()), [("down", "failed"), ("well", "success")]);
    let second = json(&config).await;
    let report = second.report();
    assert_eq!((first.code, second.code, second.err.as_str()), (0, 0, ""));
    assert_eq!(trail(&report), [("down", "preempted_open"), ("well", "success")]);
    assert_eq!((is_degraded(&report), simulator.received("down")), (vec![false; 2], 1));

    // Under another prefix nothing is known of it.
    let other = config.replace("[store]\n", "[store]\nprefix = 'other'\n");
    assert_eq!(trail(&json(&other).await.report())[0], ("down", "failed"));
}

#[tokio::test]
async fn limits_hold_for_all_processes_together() {
    let simulator = Simulator::start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let limits = "limits.'openai:first'.requests_per_minute = 1\n";
    let hosts = candidates(&simulator, &[("openai", "first"), ("anthropic", "second")]);
    let config = format!("{limits}{}{hosts}", store(&redis));
    assert_eq!(trail(&json(&config).await.report()), [("first", "success")]);
    let report = json(&config).await.report();
    assert_eq!(trail(&report), [("first", "preempted_limited"), ("second", "success")]);
}

#[tokio::test]
async fn without_its_store_it_goes_on_or_says_why_not() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("A", Behaviour::status(503));
    simulator.on("B", Behaviour::answer("Hello there"));
    let redis = RedisServer::start().await.unwrap();
    redis.kill();
    let hosts = candidates(&simulator, &HOSTS[..2]);
    let store = store(&redis).replace("4s", "200ms");
    let going_on = json(&format!("{store}{hosts}")).await;
    let report = going_on.report();
    assert_eq!((going_on.code, going_on.err.as_str()), (0, ""));
    assert_eq!(trail(&report), [("A", "failed"), ("B", "success")]);
    assert_eq!(is_degraded(&report), [true; 2]);

    let turns = format!("failover.order = 'round_robin'\n{store}");
    for (settings, attempts) in [(turns, 0), (format!("{store}on_outage = 'fail_closed'\n"), 2)] {
        let config = format!("{settings}{hosts}");
        let done = json(&config).await;
        let report = done.report();
        assert_eq!((done.code, &report["ended"]), (1, &json!("store_unavailable")), "{report}");
        assert_eq!(trail(&report).len(), attempts, "{report}");
        assert_eq!(is_degraded(&report), vec![true; attempts]);
        let plain = ask(&config, &["--", "Hi"]).await;
        assert_eq!((plain.code, plain.out.as_str()), (1, ""));
        assert!(plain.err.starts_with("ask: the shared store is not available\n"), "{}", plain.err);
        assert_eq!(plain.err.lines().count(), 1 + attempts, "{}", plain.err);
    }
}
