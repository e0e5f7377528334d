//! `[breaker]` and `[limits]`: what is read, what becomes of it, and what is refused in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_protocol::ModelAdapter;
use llm_client::llm_protocol::testing::ScriptedModel;
use llm_client::llm_reliability::circuit_breaker::{Percent, Preset, Rates, Settings, Window};
use llm_client::{
    Config, ConfigError, FactoryError, KeyLimits, PresetName, ProviderContext, ProviderFactory, Registry,
};

fn n32(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn n64(number: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(number)
}

fn percent(share: u8) -> Percent {
    Percent::new(share).unwrap()
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A provider for whom it is enough to have a name.
struct Acme;

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
    }
}

/// Two candidates under these sections: `acme:a`, and `b` that shares a credential.
fn built(sections: &str) -> Result<(), ConfigError> {
    let config = Config::from_toml(&format!(
        "{sections}\n[[candidate]]\nprovider = 'acme'\nmodel = 'a'\n\
         [[candidate]]\nprovider = 'acme'\nmodel = 'b'\nid = 'b'\nquota_key = 'team'"
    ))?;
    config.build(&Registry::empty().provider("acme", Acme)).map(|_| ())
}

fn written_again(config: &Config) {
    let written = toml::to_string(config).unwrap();
    assert_eq!(Config::from_toml(&written).unwrap(), *config, "{written}");
}

#[test]
fn breakers_are_set_up_as_they_are_described() {
    let time = Window::Time(secs(30));
    let calls = Window::Calls(n32(100));
    let half = percent(50);
    for (text, expected) in [
        ("", Settings::default()),
        ("preset = 'standard'", Preset::Standard.into()),
        ("preset = 'keel'", Preset::Keel.into()),
        ("preset = 'keel'\nprobes = 2", Settings::from(Preset::Keel).probes(Some(n32(2)))),
        ("failure_threshold = 5", Settings::default().failure_threshold(n32(5))),
        ("failure_rate = 50\nwindow_calls = 100", Settings::default().trip(Rates::failures(half, calls))),
        ("failure_rate = '50%'\nwindow_calls = 100", Settings::default().trip(Rates::failures(half, calls))),
        (
            "failure_rate = 50\nwindow = '30s'\nminimum_calls = 20",
            Settings::default().trip(Rates::failures(half, time).minimum_calls(n32(20))),
        ),
        (
            "slow_call = '5s'\nslow_call_rate = 90\nwindow = '30s'",
            Settings::default().trip(Rates::slow(secs(5), percent(90), time)),
        ),
        (
            "failure_rate = 1\nslow_call = '5s'\nslow_call_rate = 100\nwindow_calls = 100\nminimum_calls = 100",
            Settings::default().trip(
                Rates::failures(percent(1), calls).slow_calls(secs(5), percent(100)).minimum_calls(n32(100)),
            ),
        ),
        (
            "cooldown = '10s'\nlongest_cooldown = '5m'\njitter = 20\nlongest_half_open = '1m'",
            Settings::default()
                .cooldown(secs(10))
                .growing_to(secs(300))
                .jitter(percent(20))
                .longest_half_open(secs(60)),
        ),
    ] {
        let config = Config::from_toml(&format!("[breaker]\n{text}")).unwrap();
        assert_eq!(Settings::try_from(&config.breaker).unwrap(), expected, "{text}");
        written_again(&config);
        built(&format!("[breaker]\n{text}")).unwrap();
    }
    let config = Config::from_toml("[breaker]\npreset = 'keel'").unwrap();
    assert_eq!(config.breaker.preset, PresetName::Keel);
}

#[test]
fn limits_are_read_with_their_keys() {
    let config = Config::from_toml(
        r#"
        [limits]
        in_flight = 20
        requests_per_minute = 50

        [limits."acme:a"]
        requests_per_minute = 500
        requests_burst = 10
        input_tokens_per_minute = 30_000
        input_tokens_burst = 40_000
        output_tokens_per_minute = 8_000
        output_tokens_burst = 1_000
        in_flight = 3

        [limits.team]
        "#,
    )
    .unwrap();
    let each = &config.limits.each;
    assert_eq!((each.in_flight, each.requests_per_minute), (Some(n32(20)), n64(50)));
    assert!(config.limits.keys.keys().eq(["acme:a", "team"]));
    let of_a = &config.limits.keys["acme:a"];
    assert_eq!((of_a.requests_per_minute, of_a.requests_burst), (n64(500), n64(10)));
    assert_eq!((of_a.input_tokens_per_minute, of_a.input_tokens_burst), (n64(30_000), n64(40_000)));
    assert_eq!((of_a.output_tokens_per_minute, of_a.output_tokens_burst), (n64(8_000), n64(1_000)));
    assert_eq!(of_a.in_flight, Some(n32(3)));
    assert_eq!(config.limits.keys["team"], KeyLimits::default());
    written_again(&config);
    for text in
        ["limits.team.in_flight = 1", "[limits]\nin_flight = 1", "limits = { team = { in_flight = 1 } }"]
    {
        written_again(&Config::from_toml(text).unwrap());
        built(text).unwrap();
    }
    // As other formats have it.
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
}

#[test]
fn what_contradicts_itself_is_refused_by_its_name() {
    let window_missing = "is a share of the calls in a window: set `window` or `window_calls`";
    let nobody = "is the quota key of no candidate: there is `acme:a`, `team`";
    let rate_missing = "does nothing without `failure_rate` or `slow_call_rate`";
    for (text, path, reason) in [
        ("breaker.failure_rate = 50", "breaker.failure_rate", window_missing),
        ("breaker = { slow_call = '1s', slow_call_rate = 5 }", "breaker.slow_call_rate", window_missing),
        (
            "breaker = { failure_rate = 50, window = '1s', failure_threshold = 3 }",
            "breaker.failure_threshold",
            "contradicts `failure_rate`: failures in a row open a circuit, or a share of its calls does",
        ),
        (
            "breaker = { slow_call_rate = 50, slow_call = '1s', window = '1s', failure_threshold = 3 }",
            "breaker.failure_threshold",
            "contradicts `slow_call_rate`: failures in a row open a circuit, or a share of its calls does",
        ),
        (
            "breaker = { failure_rate = 50, window = '1s', window_calls = 10 }",
            "breaker.window_calls",
            "contradicts `window`: set one of the two",
        ),
        ("breaker.window = '1s'", "breaker.window", rate_missing),
        ("breaker.window_calls = 10", "breaker.window_calls", rate_missing),
        ("breaker.minimum_calls = 10", "breaker.minimum_calls", rate_missing),
        ("breaker = { failure_threshold = 3, window = '1s' }", "breaker.window", rate_missing),
        (
            "breaker = { failure_rate = 50, window_calls = 10, minimum_calls = 11 }",
            "breaker.minimum_calls",
            "is more than `window_calls`, which is all that the window holds",
        ),
        ("breaker.slow_call = '1s'", "breaker.slow_call", "does nothing without `slow_call_rate`"),
        ("breaker.slow_call_rate = 9", "breaker.slow_call_rate", "does nothing without `slow_call`"),
        (
            "breaker = { failure_rate = 50, window = '0s' }",
            "breaker.window",
            "is zero: no call would be in it",
        ),
        (
            "breaker = { slow_call = '0s', slow_call_rate = 9, window = '1s' }",
            "breaker.slow_call",
            "is zero: every call would be slow",
        ),
        (
            "breaker.longest_half_open = '0s'",
            "breaker.longest_half_open",
            "is zero: no probe could be in time",
        ),
        ("breaker.cooldown = '0s'", "breaker.cooldown", "is zero: no call would be kept away"),
        (
            "breaker = { cooldown = '10s', longest_cooldown = '9s' }",
            "breaker.longest_cooldown",
            "is shorter than the cooldown",
        ),
        (
            "breaker.longest_cooldown = '119s'",
            "breaker.longest_cooldown",
            "is shorter than the cooldown, which is 120 s unless set",
        ),
        (
            "limits.in_flight = 1\nlimits.requests_burst = 5",
            "limits.requests_burst",
            "does nothing without `requests_per_minute`",
        ),
        (
            "limits.team.output_tokens_burst = 5",
            "limits.team.output_tokens_burst",
            "does nothing without `output_tokens_per_minute`",
        ),
        (
            "limits.\"acme:a\".input_tokens_burst = 5",
            "limits.\"acme:a\".input_tokens_burst",
            "does nothing without `input_tokens_per_minute`",
        ),
        ("limits.teem.in_flight = 1", "limits.teem", nobody),
        // It has another.
        ("limits.b.in_flight = 1", "limits.b", nobody),
        (
            "limits.\"anthropic:claude-haiku-4-5-20251001\".in_flight = 1",
            "limits.\"anthropic:claude-haiku-4-5-20251001\"",
            nobody,
        ),
        (
            "limits = { team = {}, aBhunterfG7hJ9kL1mN3pQ5rS7t = {}, z = {} }",
            "limits.\"***\"",
            "(number 1 of 3 by the alphabet) is the quota key of no candidate: there is `acme:a`, `team`",
        ),
    ] {
        let error = built(text).unwrap_err();
        assert_eq!(error.to_string(), format!("`{path}` {reason}"), "{text}");
        assert!(matches!(error, ConfigError::Invalid { path: named, .. } if named == path));
    }
}

#[test]
fn what_they_cannot_be_is_refused_by_place_and_name() {
    for (text, place, parts) in [
        (
            "[breaker]\nfailure_rate = 0",
            (2, 16),
            ["`0`, expected whole per cent from 1 to 100", "breaker.failure_rate"],
        ),
        (
            "[breaker]\nfailure_rate = 101",
            (2, 16),
            ["`101`, expected whole per cent", "breaker.failure_rate"],
        ),
        (
            "[breaker]\nfailure_rate = 0.5",
            (2, 16),
            ["`0.5`, expected whole per cent", "breaker.failure_rate"],
        ),
        (
            "[breaker]\nslow_call_rate = '5'",
            (2, 18),
            ["\"5\", expected whole per cent", "breaker.slow_call_rate"],
        ),
        ("[breaker]\njitter = -1", (2, 10), ["`-1`, expected whole per cent", "breaker.jitter"]),
        ("[breaker]\nwindow = 100", (2, 10), ["a duration such as \"15s\"", "breaker.window"]),
        ("[breaker]\nwindow_calls = 0", (2, 16), ["expected a whole number from 1", "breaker.window_calls"]),
        (
            "[breaker]\nwindow_calls = '30s'",
            (2, 16),
            ["expected a whole number from 1", "breaker.window_calls"],
        ),
        (
            "[breaker]\nminimum_calls = 0",
            (2, 17),
            ["expected a whole number from 1", "breaker.minimum_calls"],
        ),
        ("[breaker]\npreset = 'kiel'", (2, 10), ["`kiel`, expected `standard` or `keel`", "breaker.preset"]),
        ("[breaker]\npreset = 1", (2, 10), ["expected `\"standard\"` or `\"keel\"`", "breaker.preset"]),
        ("[breaker]\nfailure_ratio = 50", (2, 1), ["unknown field `failure_ratio`", "breaker"]),
        ("[limits]\nin_flight = 0", (2, 13), ["expected a whole number from 1", "limits.in_flight"]),
        ("[limits]\nrequests_per_minute = -1", (2, 23), ["-1", "limits.requests_per_minute"]),
        ("[limits]\nrequests_per_minute = 1.5", (2, 23), ["1.5", "limits.requests_per_minute"]),
        (
            "[limits]\nrequest_per_minute = 5",
            (2, 22),
            ["unknown field `request_per_minute`", "`requests_per_minute`"],
        ),
        ("[limits]\nteam = 'none'", (2, 8), ["unknown field `team`", "limits.team"]),
        ("[limits]\nteam = [1]", (2, 8), ["expected a section of limits", "limits.team"]),
        ("[limits]\nsince = 2024-01-01", (2, 9), ["invalid type: date, expected one of", "limits.since"]),
        ("breaker = 2024-01-01", (1, 11), ["invalid type: date, expected one of", "in `breaker`"]),
        (
            "[breaker]\nwindow_calls = 5_000_000_000",
            (2, 16),
            ["`5000000000`, expected a smaller number", "breaker.window_calls"],
        ),
        ("limits = 5", (1, 10), ["expected limits, and sections of limits by key", "in `limits`"]),
        ("[limits.in_flight]\nin_flight = 5", (1, 1), ["expected a whole number from 1", "limits.in_flight"]),
        ("[limits.team]\nin_flights = 5", (2, 1), ["unknown field `in_flights`", "limits.team"]),
        (
            "[limits.team]\nin_flight = 0",
            (2, 13),
            ["expected a whole number from 1", "limits.team.in_flight"],
        ),
        ("[limits.team.more]\nin_flight = 1", (1, 14), ["unknown field `more`", "limits.team"]),
    ] {
        let error = Config::from_toml(text).unwrap_err();
        let ConfigError::Toml { line, column, message } = &error else { panic!("{error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!((*line, *column), place, "{message}");
    }
}

/// The message of a section of limits for nobody, among candidates with these settings.
fn for_nobody(section: &str, candidates: &[&str]) -> String {
    let candidates = candidates.iter().map(|own| format!("[[candidate]]\nprovider = 'acme'\n{own}\n"));
    let text = format!("[limits.'{section}']\n{}", candidates.collect::<String>());
    let config = Config::from_toml(&text).unwrap();
    config.build(&Registry::empty().provider("acme", Acme)).unwrap_err().to_string()
}

#[test]
fn who_mistypes_a_key_is_told_which_there_are() {
    let llama = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
    let first = "`limits.\"***\"` (number 1 of 1 by the alphabet) is the quota key of no candidate";
    for (candidates, expected) in [
        (&[format!("model = '{llama}'")][..], format!("{first}: there is `acme:{llama}`")),
        (&["model = 'a'\nid = 'x'".to_owned()], format!("{first}: there is `x`")),
        (&[], first.to_owned()),
        // What may be a credential that was put in its place is left out.
        (&["model = 'a'\nquota_key = 'aBhunterfG7hJ9kL1mN3pQ5rS7t'".to_owned()], first.to_owned()),
        (&["model = 'a'\nid = 'aBhunterfG7hJ9kL1mN3pQ5rS7t'".to_owned()], first.to_owned()),
    ] {
        let candidates: Vec<_> = candidates.iter().map(String::as_str).collect();
        assert_eq!(for_nobody(&format!("together:{llama}"), &candidates), expected);
    }
}

#[test]
fn what_json_calls_null_is_not_set() {
    for text in [
        r#"{"breaker": {"failure_threshold": null, "failure_rate": null, "slow_call": null, "probes": null}}"#,
        r#"{"limits": {"in_flight": null, "requests_per_minute": null}}"#,
        r#"{"limits": null, "timeouts": {"idle": null}}"#,
    ] {
        assert_eq!(serde_json::from_str::<Config>(text).unwrap(), Config::default(), "{text}");
    }
    let spec = r#"{"provider": "acme", "model": "a", "dialect": null, "timeouts": {"idle": null}}"#;
    let spec: llm_client::CandidateSpec = serde_json::from_str(spec).unwrap();
    assert_eq!(spec, llm_client::CandidateSpec::new("acme", "a"));
}

#[test]
fn a_key_of_a_quota_is_a_name() {
    for (key, problem) in [("''", "is empty"), ("\"a\\nb\"", "has a control character in it")] {
        let config: Config =
            format!("[[candidate]]\nprovider = 'acme'\nmodel = 'a'\nquota_key = {key}").parse().unwrap();
        let error = config.build(&Registry::empty().provider("acme", Acme)).unwrap_err();
        assert_eq!(error.to_string(), format!("`candidate[0].quota_key` {problem}"));
    }
    // What may be a credential that was put in its place is not shown.
    let config: Config =
        "[limits.aBhunterfG7hJ9kL1mN3pQ5rS7t]\nin_flight = 1\n[[candidate]]\nprovider = 'acme'\n\
         model = 'a'\nquota_key = 'aBhunterfG7hJ9kL1mN3pQ5rS7t'"
            .parse()
            .unwrap();
    let client = config.build(&Registry::empty().provider("acme", Acme)).unwrap();
    assert!(!format!("{config:?}{client:?}").contains("hunter"));
}
