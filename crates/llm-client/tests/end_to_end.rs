//! Configured clients over real sockets: what the settings do.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use llm_client::llm_protocol::{Clock, ErrorKind, Message, Request, ResponseFormat};
use llm_client::llm_reliability::circuit_breaker::{LimitReason, Mode};
use llm_client::llm_reliability::{Ended, Outcome, Phase, Report, ResilientClient};
use llm_client::{Config, Registry};
use llm_simulator::{Behaviour, Simulator, Usage};

const KEY: &str = "sk-hunter2-hunter2";

fn client(text: &str) -> ResilientClient {
    let registry = Registry::new().credentials(|name| name.ends_with("_KEY").then(|| KEY.into()));
    Config::from_toml(text).unwrap().build(&registry).unwrap()
}

/// Two candidates, one of each vendor, under these sections.
fn pair(simulator: &Simulator, sections: &str) -> ResilientClient {
    let url = simulator.base_url();
    client(&format!(
        "{sections}
        [[candidate]]
        provider = 'anthropic'
        model = 'claude-x'
        base_url = '{url}'
        api_key_env = 'A_KEY'
        [[candidate]]
        provider = 'openai'
        model = 'gpt-x'
        base_url = '{url}/v1'
        api_key_env = 'B_KEY'"
    ))
}

fn outcomes(report: &Report) -> Vec<(&str, &str)> {
    report.attempts().iter().map(|attempt| (&*attempt.model_key, attempt.outcome.as_str())).collect()
}

#[tokio::test]
async fn the_sample_configuration_works() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-haiku-4-5", Behaviour::answer("Hello there"));
    let client = client(&format!(
        r#"
        [timeouts]                        # durations as "15s", "500ms"
        first_token = "15s"
        [failover]
        order = "listed"
        transient_retries = 1
        policy = "keel"
        [fan_out]
        quorum = "all"
        [breaker]
        failure_threshold = 3
        cooldown = "120s"
        probes = 1
        [[candidate]]
        id = "anthropic-direct"
        provider = "anthropic"
        model = "claude-haiku-4-5"
        base_url = "{}"
        api_key_env = "ANTHROPIC_API_KEY"
        price = {{ currency = "USD", input_per_1m = "0.80", output_per_1m = "4.00" }}
        "#,
        simulator.base_url()
    ));
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic-direct", "success")]);
    assert_eq!(report.response().unwrap().text, "Hello there");
    assert_eq!(report.cost()[0].currency, "USD");
    let request = &simulator.requests("claude-haiku-4-5")[0];
    assert_eq!(request.header("x-api-key"), Some(KEY));
}

#[tokio::test]
async fn candidates_have_their_settings_on_the_wire() {
    let simulator = Simulator::start().await.unwrap();
    let url = simulator.base_url();
    let client = client(&format!(
        "[[candidate]]
        provider = 'anthropic'
        model = 'claude-x'
        base_url = '{url}/'
        api_version = '2099-01-01'
        max_output_tokens = 77
        [[candidate]]
        provider = 'acme'
        model = 'large'
        base_url = '{url}/some/path/v1'
        stream = 'never'
        max_output_tokens = 78"
    ));
    let report = client.fan_out("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic:claude-x", "success"), ("acme:large", "success")]);
    let claude = &simulator.requests("claude-x")[0];
    assert_eq!(claude.header("anthropic-version"), Some("2099-01-01"));
    assert_eq!(claude.header("x-api-key"), None);
    assert_eq!((claude.body["max_tokens"].as_u64(), claude.streamed), (Some(77), true));
    let large = &simulator.requests("large")[0];
    assert_eq!(
        (large.path.as_str(), large.header("authorization")),
        ("/some/path/v1/chat/completions", None)
    );
    assert_eq!((large.body["max_tokens"].as_u64(), large.streamed), (Some(78), false));
}

#[tokio::test]
async fn priorities_and_what_is_lacking_are_set() {
    let simulator = Simulator::start().await.unwrap();
    let host = |model: &str, settings: &str| {
        let url = simulator.base_url();
        format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\n{settings}\n")
    };
    let client = client(
        &(host("second", "")
            + &host("third", "priority = 3")
            + &host("first", "priority = -1\nlacks = ['json_object']")),
    );
    let request =
        Request::new(vec![Message::user("Hi, in JSON")]).response_format(ResponseFormat::JsonObject);
    let report = client.failover(request).await.unwrap();
    assert_eq!(outcomes(&report), [("acme:first", "preempted_unsupported"), ("acme:second", "success")]);
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("acme:first", "success")]);
    assert_eq!((simulator.received("first"), simulator.received("third")), (1, 0));
}

#[tokio::test]
async fn retries_are_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::status(529));
    let report = pair(&simulator, "[failover]\ntransient_retries = 1").failover("Hi").await.unwrap();
    let expected =
        [("anthropic:claude-x", "failed"), ("anthropic:claude-x", "failed"), ("openai:gpt-x", "success")];
    assert_eq!(outcomes(&report), expected);
    assert_eq!(report.attempts()[0].error().unwrap().kind(), ErrorKind::Overloaded);
}

#[tokio::test]
async fn clocks_are_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("silent", Behaviour::stall());
    let url = simulator.base_url();
    // The one who answers has all the time it wants.
    let client = client(&format!(
        "timeouts.first_token = '200ms'
        [[candidate]]
        provider = 'acme'
        model = 'silent'
        base_url = '{url}'
        [[candidate]]
        provider = 'acme'
        model = 'spare'
        base_url = '{url}'
        timeouts.first_token = '60s'"
    ));
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("acme:silent", "failed"), ("acme:spare", "success")]);
    let error = report.attempts()[0].error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::FirstToken));
}

#[tokio::test]
async fn a_candidates_own_clocks_win() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("slow", Behaviour::default().delay(Duration::from_millis(400)));
    let url = simulator.base_url();
    let client = client(&format!(
        "timeouts.first_token = '50ms'
        [[candidate]]
        provider = 'acme'
        model = 'slow'
        base_url = '{url}'
        timeouts.first_token = '30s'"
    ));
    assert_eq!(client.failover("Hi").await.unwrap().ended(), Ended::Answered);
}

#[tokio::test]
async fn policies_differ() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::status(401));
    for (policy, ended) in
        [("default", Ended::Answered), ("keel", Ended::Answered), ("robust", Ended::Stopped)]
    {
        let client = pair(&simulator, &format!("[failover]\npolicy = '{policy}'"));
        assert_eq!(client.failover("Hi").await.unwrap().ended(), ended, "{policy}");
    }
}

#[tokio::test]
async fn the_breaker_opens_when_told() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::status(500));
    let client = pair(&simulator, "[breaker]\nfailure_threshold = 1\ncooldown = '30s'");
    client.failover("Hi").await.unwrap();
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic:claude-x", "preempted_open"), ("openai:gpt-x", "success")]);
    let Outcome::PreemptedOpen { retry_after: Some(rest), .. } = report.attempts()[0].outcome else {
        panic!()
    };
    assert!(rest > Duration::from_secs(20) && rest <= Duration::from_secs(30), "{rest:?}");
    assert_eq!(simulator.received("claude-x"), 1);
}

#[tokio::test]
async fn the_breaker_looks_at_shares_when_told() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::status(500));
    let client = pair(&simulator, "[breaker]\nfailure_rate = 50\nwindow_calls = 5\npreset = 'keel'");
    for _ in 0..5 {
        assert_eq!(outcomes(&client.failover("Hi").await.unwrap())[0].1, "failed");
    }
    assert_eq!(outcomes(&client.failover("Hi").await.unwrap())[0].1, "preempted_open");
    client.set_mode("anthropic:claude-x", Mode::Disabled).await.unwrap();
    assert_eq!(outcomes(&client.failover("Hi").await.unwrap())[0].1, "failed");
}

/// Why the attempt was not let out, if its limiter says when it would be.
fn limited(report: &Report, at: usize) -> LimitReason {
    let Outcome::PreemptedLimited { retry_after: Some(rest), reason, .. } = report.attempts()[at].outcome
    else {
        panic!("{report:?}")
    };
    assert!(!rest.is_zero() && rest <= Duration::from_secs(60), "{rest:?}");
    reason
}

#[tokio::test]
async fn whoever_may_be_asked_once_a_minute_is_passed_over_the_second_time() {
    let simulator = Simulator::start().await.unwrap();
    let client = pair(&simulator, "[limits.'anthropic:claude-x']\nrequests_per_minute = 1");
    assert_eq!(outcomes(&client.failover("Hi").await.unwrap()), [("anthropic:claude-x", "success")]);
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic:claude-x", "preempted_limited"), ("openai:gpt-x", "success")]);
    assert_eq!(limited(&report, 0), LimitReason::RequestRate);
    assert_eq!((simulator.received("claude-x"), simulator.received("gpt-x")), (1, 1));
}

#[tokio::test]
async fn limits_hold_for_each_key_unless_it_has_its_own() {
    let simulator = Simulator::start().await.unwrap();
    let client = pair(&simulator, "[limits]\nrequests_per_minute = 1");
    assert_eq!(client.fan_out("Hi").await.unwrap().responses().count(), 2);
    let report = client.failover("Hi").await.unwrap();
    assert_eq!((report.ended(), report.attempts().len()), (Ended::Unavailable, 2));
    assert_eq!(
        (limited(&report, 0), limited(&report, 1)),
        (LimitReason::RequestRate, LimitReason::RequestRate)
    );
    assert!(report.retry_after().is_some());

    let sections = "[limits]\nrequests_per_minute = 1\n[limits.'openai:gpt-x']";
    let client = pair(&simulator, sections);
    for _ in 0..3 {
        let report = client.failover("Hi").await.unwrap();
        assert!(report.succeeded(), "without bounds of its own: {report:?}");
    }
}

#[tokio::test]
async fn candidates_share_what_their_credential_allows() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::status(503));
    let host = |model: &str, settings: &str| {
        let url = simulator.base_url();
        format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\n{settings}\n")
    };
    let team = "quota_key = 'team'";
    let client = client(&format!(
        "[limits.team]\nrequests_per_minute = 1\n{}{}{}",
        host("a", team),
        host("b", team),
        host("c", "")
    ));
    let report = client.failover("Hi").await.unwrap();
    let expected = [("acme:a", "failed"), ("acme:b", "preempted_limited"), ("acme:c", "success")];
    assert_eq!(outcomes(&report), expected);
    assert_eq!(limited(&report, 1), LimitReason::RequestRate);
    assert_eq!(simulator.received("b"), 0);
}

#[tokio::test]
async fn what_came_from_a_cache_counts_where_the_vendor_counts_it() {
    let simulator = Simulator::start().await.unwrap();
    let usage = Usage { cache_read_tokens: 1000, ..Usage::new(10, 1) };
    for model in ["claude-x", "gpt-x"] {
        simulator.on(model, Behaviour::answer("Hello").usage(usage));
    }
    let client = pair(&simulator, "[limits]\ninput_tokens_per_minute = 100");
    assert_eq!(client.fan_out("Hi").await.unwrap().responses().count(), 2);
    let report = client.fan_out("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic:claude-x", "success"), ("openai:gpt-x", "preempted_limited")]);
    let Outcome::PreemptedLimited { reason, .. } = report.attempts()[1].outcome else { panic!() };
    assert_eq!(reason, LimitReason::InputTokenRate);
}

#[tokio::test]
async fn a_hint_is_remembered() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::status(429).header("retry-after", "20"));
    let client = pair(&simulator, "");
    let first = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&first)[0], ("anthropic:claude-x", "deferred_backpressure"));
    let second = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&second)[0], ("anthropic:claude-x", "preempted_limited"));
    assert_eq!(simulator.received("claude-x"), 1);
}

#[tokio::test]
async fn candidates_of_one_host_share_connections() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::status(529));
    let url = simulator.base_url();
    let same = |model| {
        format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\nstream = 'never'\n")
    };
    let client = client(&(same("a") + &same("b")));
    for _ in 0..3 {
        assert_eq!(client.failover("Hi").await.unwrap().ended(), Ended::Answered);
        simulator.wait_idle().await;
    }
    assert_eq!((simulator.received_total(), simulator.connections()), (6, 1));
}

#[tokio::test]
async fn connecting_has_a_limit() {
    // The kernel completes the TCP handshake, and nobody ever answers the one of TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(&format!(
        "timeouts.connect = '100ms'
        [[candidate]]
        provider = 'acme'
        model = 'm'
        base_url = 'https://{}'",
        listener.local_addr().unwrap()
    ));
    let report = client.failover("Hi").await.unwrap();
    let attempt = &report.attempts()[0];
    assert_eq!(attempt.phase, Some(Phase::Connect), "{attempt:?}");
    assert_eq!(attempt.error().unwrap().kind(), ErrorKind::Timeout(Clock::Connect));
    assert!(report.elapsed() < Duration::from_secs(5), "{:?}", report.elapsed());
}
