//! No error and no `Debug` shows a credential, and every message is one line.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;

use async_trait::async_trait;
use llm_client::llm_adapters::{Credentials, HttpClient};
use llm_client::llm_protocol::{Error, ModelAdapter, Secret};
use llm_client::{
    Builder, CandidateSpec, Config, ConfigError, Credential, FactoryError, Provider, ProviderContext,
    ProviderFactory, Registry,
};

const KEY: &str = "sk-hunter2-hunter2";
/// A key that nothing gives away.
const BARE: &str = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY";
/// Where a configuration has a place for a value.
const SETTINGS: [&str; 40] = [
    "timeouts.first_token",
    "timeouts",
    "failover.order",
    "failover.policy",
    "failover.transient_retries",
    "failover.restart_on_cut",
    "fan_out.quorum",
    "breaker.failure_threshold",
    "breaker.failure_rate",
    "breaker.window_calls",
    "breaker.cooldown",
    "breaker.probes",
    "limits",
    "limits.in_flight",
    "limits.x",
    "limits.x.in_flight",
    "store",
    "store.redis",
    "store.redis_env",
    "store.memcached",
    "store.prefix",
    "store.timeout",
    "store.on_outage",
    "store.rotation_on_outage",
    "candidate",
    "candidate.priority",
    "candidate.allow_plain_http",
    "candidate.max_output_tokens",
    "candidate.context_window",
    "candidate.stream",
    "candidate.lacks",
    "candidate.dialect",
    "candidate.cache_marks",
    "candidate.include_usage",
    "candidate.token_limit_field",
    "candidate.timeouts",
    "candidate.timeouts.idle",
    "candidate.price",
    "candidate.price.input_per_1m",
    "candidate.provider",
];

/// Configurations with this key wherever it does not belong: as a value, in a list, and as a name.
fn misplaced(key: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for setting in SETTINGS {
        for value in
            [format!("'{key}'"), format!("['{key}']"), format!("\"\"\"{key}\n\"\"\""), format!("'{key} x'")]
        {
            texts.push(match setting.strip_prefix("candidate.") {
                Some("provider") => format!("[[candidate]]\nmodel = 'm'\nprovider = {value}"),
                Some(own) => format!("[[candidate]]\nprovider = 'ollama'\nmodel = 'm'\n{own} = {value}"),
                None => format!("{setting} = {value}"),
            });
        }
    }
    let all = ["", "timeouts.", "failover.", "fan_out.", "breaker.", "limits.", "store.", "limits.x."];
    texts.push(format!("limits.{key}.in_flight = 1"));
    texts.push(format!("limits.x = {{}}\n[[candidate]]\nprovider = '{key}'\nmodel = 'm'"));
    texts
        .push(format!("limits.x = {{}}\n[[candidate]]\nprovider = 'acme'\nmodel = 'm'\nquota_key = '{key}'"));
    texts.extend(all.iter().map(|section| format!("{section}{key} = 1")));
    texts.extend(
        ["", "price.", "timeouts."]
            .map(|section| format!("[[candidate]]\nprovider = 'ollama'\nmodel = 'm'\n{section}{key} = 1")),
    );
    let at = |url: &str| format!("[[candidate]]\nprovider = '{key}'\nmodel = 'm'\nbase_url = '{url}'");
    texts.extend([at("http://h.example"), at("nonsense"), key.to_owned(), format!("x = {key}")]);
    texts
}

/// Every variable holds the key.
fn registry() -> Registry {
    Registry::new().credentials(|_| Some(KEY.into())).provider("acme", Acme)
}

fn config(candidates: &str) -> ConfigError {
    Config::from_toml(candidates).and_then(|config| config.build(&registry())).unwrap_err()
}

fn built(providers: impl IntoIterator<Item = Provider>) -> ConfigError {
    providers.into_iter().fold(Builder::with_registry(registry()), Builder::add).build().unwrap_err()
}

/// Complains at length of whatever it shall make, and shows what it was given.
struct Acme;

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Err(format!("no\nsuch\r\nthing: {context:?}").into())
    }
}

struct Vault;

#[async_trait]
impl Credentials for Vault {
    async fn credential(&self) -> Result<Secret, Error> {
        Ok(KEY.into())
    }
}

/// With the key wherever there is a place for one.
fn provider(name: &str) -> Provider {
    Provider::new(name, "m")
        .api_key(KEY)
        .header("x-key", KEY)
        .base_url(format!("https://h.example/?key={KEY}"))
}

#[test]
fn no_error_shows_a_credential() {
    let skipped = Builder::with_registry(registry()).add_from_env([("gemini", "m"), ("a\nb", "m")]);
    let http = registry().http_client(HttpClient::new().unwrap());
    let connecting = Config::from_toml("timeouts.connect = '1s'").unwrap();
    let misplaced =
        misplaced(BARE).into_iter().chain(misplaced(&BARE.to_lowercase())).map(|text| config(&text));
    let errors = [
        config("[[candidate]]\nprovider = 'openai'\nmodel = 'm'\napi_key = 'sk-hunter2-hunter2'"),
        config("[[candidate]]\nprovider = 'openai'\nmodel = 'm'\nmax_output_tokens = 'sk-hunter2-hunter2'"),
        config("[[candidate]]\nprovider = 'openai'\nmodel = 'm'\nregion = 'sk-hunter2-hunter2'"),
        config("[[candidate]]\nprovider = 'openai'\nmodel = 'm'\napi_key_env = 'sk-hunter2-hunter2'"),
        config("[[candidate]]\nprovider = \"a\\nb\"\nmodel = 'm'"),
        connecting.build(&http).unwrap_err(),
        built([Provider::new("Acme", "m").api_key(KEY).header("x-key", KEY)]),
        built([provider("azure")]),
        built([provider("acme")]),
        built([provider("acme").credentials(Arc::new(Vault))]),
        built([provider("openai").api_key(format!("{KEY}\n{KEY}"))]),
        built([provider("openai").header("x-key", format!("{KEY}\n{KEY}"))]),
        built([provider("openai").header("x key", KEY)]),
        built([provider("openai").base_url(format!("http://h.example/?key={KEY}"))]),
        built([provider("openai").base_url(format!("https://me:{KEY}@h.example/"))]),
        built([provider("openai").base_url(format!("\n{KEY}"))]),
        built([provider("openai").api_key("")]),
        built([provider("openai"), provider("openai")]),
        Builder::with_registry(registry())
            .add_from_env([("openai", "m"), ("openai", "m")])
            .build()
            .unwrap_err(),
        built([Provider::new("Acme\u{2028}\u{202e}", "m")]),
        built([]),
        skipped.build().unwrap_err(),
        ConfigError::MissingVariable { path: "candidate[0]".into(), variable: None },
        ConfigError::NotCompiled { setting: "store.redis".into(), feature: "redis" },
        ConfigError::HttpClient(llm_client::llm_adapters::BuildError::NoTls),
        ConfigError::ProviderNotCompiled {
            path: "candidate[0]".into(),
            provider: "openai".into(),
            feature: "openai",
        },
    ];
    let mut variants = BTreeSet::new();
    for error in errors.into_iter().chain(misplaced) {
        let source = error.source().map(|source| format!("{source} {source:?}"));
        let shown = format!("{error} {error:?} {error:#?} {source:?}");
        assert!(!shown.contains("hunter2") && !shown.to_lowercase().contains("ab3de5"), "{shown}");
        let message = error.to_string();
        assert!(!message.contains(breaks_lines) && !message.is_empty(), "{message:?}");
        variants.insert(name(&error));
    }
    let all = include_str!("../src/error.rs").matches("#[error(").count();
    assert_eq!(variants.len(), all, "each has its turn: {variants:?}");
}

fn breaks_lines(c: char) -> bool {
    c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)
}

fn name(error: &ConfigError) -> String {
    format!("{error:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn no_debug_shows_a_credential() {
    let mut spec = CandidateSpec::new("openai", "m");
    spec.api_key_env = Some(KEY.into());
    let builder =
        Builder::with_registry(registry()).add(provider("openai")).add(Provider::from(spec.clone()));
    let builder = builder.add_from_env([("groq", "m"), ("gemini", "m")]);
    let client = Builder::with_registry(registry()).add(provider("openai")).client_builder().unwrap();
    let credentials = [Credential::Value(KEY.into()), Credential::Rotating(Arc::new(Vault))];
    let shown = format!("{builder:#?} {client:#?} {spec:?} {credentials:?} {:?}", registry());
    let shown = format!("{shown} {:?} {:?}", provider("openai"), client.build().unwrap());
    assert!(shown.contains("openai") && !shown.contains("hunter2"), "{shown}");
}

/// With this in the place of the variable's name.
fn openai(variable: &str) -> Config {
    let mut spec = CandidateSpec::new("openai", "m");
    spec.api_key_env = Some(variable.into());
    let mut config = Config::default();
    config.candidates.push(spec);
    config
}

#[test]
fn a_key_in_the_place_of_a_variable_is_not_shown() {
    for key in [KEY, "gsk_hunter2hunter2", "AIzahunter2hunter2hunter2", "hunter2 hunter2", "1hunter2", ""] {
        let error = openai(key).build(&registry()).unwrap_err();
        assert!(error.to_string().starts_with("`candidate[0].api_key_env` is not the name of"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn a_name_that_could_be_a_key_is_not_shown() {
    for name in [
        "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
        "d41d8cd98f00b204e9800998ecf8427e",
        "9e107d9d372bb6826bd81d3542a419d6",
        "tgp_v1_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIA_IOSFODNN7EXAMPLE_x",
        "HF_0123456789ABCDEF",
        "_0123456789ABCDEF",
        "ABCDEFGHIJKLM",
        "openai_key",
    ] {
        let config = openai(name);
        let error = config.build(&Registry::new().credentials(|_| None)).unwrap_err();
        let shown = format!("{error} {error:?} {config:?} {:?}", config.candidates[0]);
        assert!(!shown.contains(name) && shown.contains("candidate[0]"), "{shown}");
        assert!(shown.contains("api_key_env: Some(\"***\")"), "{shown}");
    }
    // Whatever its name, a variable that is set is used.
    let registry = Registry::new().credentials(|name| (name == "openai_key").then(|| KEY.into()));
    assert!(openai("openai_key").build(&registry).is_ok());
    let shown = format!("{:?}", openai("OPENAI_API_KEY"));
    assert!(shown.contains("api_key_env: Some(\"OPENAI_API_KEY\")"), "{shown}");
}
