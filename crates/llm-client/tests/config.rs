//! What TOML is accepted, and what is refused in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::NonZeroU32;
use std::time::Duration;

use llm_client::llm_protocol::Capability;
use llm_client::llm_reliability::QuorumPolicy;
use llm_client::{
    CandidateSpec, Config, ConfigError, DialectSetting, OrderName, PolicyName, Probes, StreamSetting,
    TokenLimitSetting,
};

/// A candidate with one more setting, on line 4.
fn candidate(setting: &str) -> String {
    format!("[[candidate]]\nprovider = 'openai'\nmodel = 'gpt-x'\n{setting}\n")
}

#[test]
fn every_setting_is_read() {
    let config = Config::from_toml(
        r#"
        [timeouts]
        connect = "3s"
        first_token = "15s"
        idle = "500ms"
        attempt = "1m 30s"
        total = "5min"
        cleanup = "0s"

        [failover]
        order = "weighted"
        transient_retries = 2
        policy = "robust"
        restart_on_cut = true
        hedge_after = "p95"
        hedge_budget = "10%"
        wait_when_unavailable = "30s"

        [fan_out]
        quorum = "majority"
        grace = "500ms"
        cutoff = "20s"
        concurrency = 4
        seats = ["anthropic-direct", "openai:gpt-x"]
        bench = ["openai:gpt-x"]

        [breaker]
        failure_threshold = 5
        cooldown = "30s"
        probes = 2

        [[candidate]]
        id = "anthropic-direct"
        provider = "anthropic"
        model = "claude-haiku-4-5"
        base_url = "http://127.0.0.1:8080"
        allow_plain_http = true
        api_key_env = "ANTHROPIC_API_KEY"
        max_output_tokens = 1024
        context_window = 200_000
        stream = "never"
        api_version = "2023-06-01"
        priority = -1
        weight = 3
        lacks = ["tools", "json_object", "json_schema", "images"]
        dialect = "openrouter"
        cache_marks = false
        include_usage = false
        token_limit_field = "max_completion_tokens"
        timeouts = { first_token = "2s", idle = "3s", attempt = "4s" }

        [candidate.price]
        currency = "USD"
        input_per_1m = "0.80"
        output_per_1m = 4
        cache_read_per_1m = 0.08
        cache_write_per_1m = "1.00"

        [[candidate]]
        provider = "openai"
        model = "gpt-x"
        "#,
    )
    .unwrap();
    let secs = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((config.timeouts.connect, config.timeouts.attempt), (secs(3), secs(90)));
    assert_eq!(config.timeouts.idle, Some(Duration::from_millis(500)));
    assert_eq!((config.timeouts.total, config.timeouts.cleanup), (secs(300), secs(0)));
    assert_eq!((config.failover.policy, config.failover.transient_retries), (PolicyName::Robust, 2));
    assert!(config.failover.restart_on_cut);
    assert_eq!((config.failover.order, config.fan_out.quorum), (OrderName::Weighted, QuorumPolicy::Majority));
    assert_eq!((config.failover.wait_when_unavailable, config.fan_out.cutoff), (secs(30), secs(20)));
    assert_eq!(config.breaker.failure_threshold, NonZeroU32::new(5));
    assert_eq!(config.breaker.cooldown, secs(30));
    assert_eq!(config.breaker.probes, NonZeroU32::new(2).map(Probes::AtMost));
    let [first, second] = &config.candidates[..] else { panic!("two candidates") };
    assert_eq!((first.key().as_str(), first.stream), ("anthropic-direct", StreamSetting::Never));
    assert_eq!(first.timeouts.attempt, secs(4));
    assert_eq!((first.max_output_tokens, first.priority, first.weight), (Some(1024), -1, Some(3)));
    let all = [Capability::Tools, Capability::JsonObject, Capability::JsonSchema, Capability::Images];
    assert_eq!((&first.lacks[..], first.include_usage), (&all[..], Some(false)));
    assert_eq!((first.dialect, first.cache_marks), (Some(DialectSetting::OpenRouter), Some(false)));
    assert_eq!(first.token_limit_field, Some(TokenLimitSetting::MaxCompletionTokens));
    let price = first.price.as_ref().unwrap();
    let shown = [price.input_per_1m, price.output_per_1m, price.cache_read_per_1m.unwrap()];
    assert_eq!(shown.map(|price| price.to_string()), ["0.80", "4", "0.08"]);
    assert_eq!(*second, CandidateSpec::new("openai", "gpt-x"));

    let written = toml::to_string(&config).unwrap();
    assert_eq!(Config::from_toml(&written).unwrap(), config, "{written}");
}

#[test]
fn nothing_has_to_be_set() {
    for text in ["", "[timeouts]\n[failover]\n[fan_out]\n[breaker]\n[limits]\n", "\u{feff}# a comment\r\n"] {
        assert_eq!(Config::from_toml(text).unwrap(), Config::default());
    }
    let bare = Config::from_toml(&candidate("")).unwrap();
    assert_eq!(toml::to_string(&bare).unwrap().trim(), candidate("").replace('\'', "\"").trim());
    let keel = Config::from_toml("[breaker]\nprobes = 'unlimited'").unwrap();
    assert_eq!(keel.breaker.probes, Some(Probes::Unlimited));
    assert_eq!(toml::to_string(&keel).unwrap(), "candidate = []\n\n[breaker]\nprobes = \"unlimited\"\n");
}

#[test]
fn what_is_not_built_is_refused_by_its_path() {
    for (text, setting) in [
        (&candidate("region = 'eu-west-1'"), "candidate[0].region"),
        (
            &format!("{}{}", candidate(""), candidate("session_token_env = 'X'")),
            "candidate[1].session_token_env",
        ),
    ] {
        let error = Config::from_toml(text).unwrap_err();
        assert_eq!(error.to_string(), format!("`{setting}` is not built yet"));
        assert!(matches!(error, ConfigError::NotBuilt { setting: named } if named == setting));
    }
}

#[test]
fn what_does_not_exist_is_refused_by_name_and_place() {
    for (text, place, parts) in [
        ("x = 1", (1, 1), ["unknown field `x`", "`candidate`"]),
        ("[failover]\n\nhedge = 1", (3, 1), ["unknown field `hedge`", "in `failover`"]),
        ("[failover]\npolicy = 'seal'", (2, 10), ["unknown variant `seal`", "in `failover.policy`"]),
        ("[failover]\ntransient_retries = -1", (2, 21), ["`-1`", "in `failover.transient_retries`"]),
        (
            "[failover]\npolicy = true",
            (2, 10),
            ["`true`, expected `\"default\"`, `\"keel\"`", "in `failover."],
        ),
        (
            &candidate("stream = false"),
            (4, 10),
            ["expected `\"auto\"` or `\"never\"`", "in `candidate.stream`"],
        ),
        ("\"a\\rb\" = 1", (1, 1), ["unknown field `a b`", ""]),
        (&candidate("api_key_env = aBhunterfG7hJ9kL1mN3pQ5rS7t"), (4, 15), ["", ""]),
        ("[timeouts]\nidle = 15", (2, 8), ["a duration such as \"15s\"", "in `timeouts.idle`"]),
        ("[timeouts]\nidle = '15'", (2, 8), ["\"15\" is no duration such as", "in `timeouts.idle`"]),
        ("[timeouts]\nidle = '-1s'", (2, 8), ["\"-1s\" is no duration", "in `timeouts.idle`"]),
        ("[breaker]\nprobes = 0", (2, 10), ["a whole number from 1", "in `breaker.probes`"]),
        (
            "[breaker]\nfailure_threshold = 0",
            (2, 21),
            ["`0`, expected a whole number from 1", "in `breaker.failure_threshold`"],
        ),
        (&candidate("api_key = 'sk-hunter22'"), (4, 1), ["unknown field `api_key`", "`api_key_env`"]),
        (&candidate("stream = 'always'"), (4, 10), ["`auto` or `never`", "in `candidate.stream`"]),
        (&candidate("timeouts = { total = '1s' }"), (4, 14), ["`total`", "in `candidate.timeouts`"]),
        (&candidate("max_output_tokens = -1"), (4, 21), ["`-1`", "in `candidate.max_output_tokens`"]),
        (&candidate("lacks = 'tools'"), (4, 9), ["expected a sequence", "in `candidate.lacks`"]),
        (&candidate("lacks = ['streams']"), (4, 10), ["unknown variant `streams`", "in `candidate.lacks"]),
        (&candidate("lacks = [true]"), (4, 10), ["`true`, expected `\"tools\"`", "in `candidate.lacks"]),
        (&candidate("token_limit_field = 'n'"), (4, 21), ["`max_tokens` or", "in `candidate.token_"]),
        (&candidate("token_limit_field = 7"), (4, 21), ["expected `\"max_tokens\"`", "in `candidate.token_"]),
        (&candidate("dialect = 'mixtral'"), (4, 11), ["`mixtral`", "in `candidate.dialect`"]),
        (&candidate("dialect = 1"), (4, 11), ["`\"deepseek\"`, `\"openrouter\"` or `\"compatible\"`", ""]),
        (&candidate("cache_marks = 'on'"), (4, 15), ["expected a boolean", "in `candidate.cache_marks`"]),
        // What could be a key is not quoted, whatever it is.
        (
            &candidate("lacks = ['aBhunterfG7hJ9kL1mN3pQ5rS7t']"),
            (4, 10),
            ["unknown variant `***`", "in `cand"],
        ),
        (&candidate("stream = 'a\u{2028}b\u{202e}c'"), (4, 10), ["unknown variant `a b c`", "in `cand"]),
        (&candidate("priority = 'low'"), (4, 12), ["expected i32", "in `candidate.priority`"]),
        (&candidate("max_output_tokens = 'sk-hunter22'"), (4, 21), ["***", "in `candidate."]),
        (&candidate("price = { currency = 'USD' }"), (4, 9), ["`input_per_1m`", "in `candidate.price`"]),
        ("[[candidate]]\nmodel = 'x'", (1, 1), ["missing field `provider`", "in `candidate`"]),
        ("[failover]\n'ü' = = 1", (2, 7), ["extra `=`", ""]),
        ("a = 1\na = 2", (2, 1), ["duplicate key", ""]),
    ] {
        let error = Config::from_toml(text).unwrap_err();
        let ConfigError::Toml { line, column, message } = &error else { panic!("{error:?}") };
        assert_eq!((*line, *column), place, "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        let shown = error.to_string();
        assert_eq!(shown, format!("line {line}, column {column}: {message}"));
        assert!(
            !shown.contains(|c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c))
                && !format!("{shown}{error:?}").contains("hunter"),
            "{shown}"
        );
    }
}

#[test]
fn debug_leaves_the_base_url_out() {
    let spec = Config::from_toml(&candidate("base_url = 'https://h/?key=hunter2'")).unwrap();
    assert!(!format!("{spec:?}").contains("hunter2"));
}
