//! From a configuration to a client: what is refused then, and where credentials come from.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use llm_client::llm_adapters::HttpClient;
use llm_client::llm_protocol::testing::{ScriptedModel, Step};
use llm_client::llm_protocol::{ModelAdapter, Secret, Usage};
use llm_client::llm_reliability::{Candidate, InputError, Price};
use llm_client::{
    CandidateSpec, Config, ConfigError, Credential, FactoryError, PriceConfig, ProviderContext,
    ProviderFactory, Registry,
};
use parking_lot::Mutex;

const KEY: &str = "sk-hunter2-hunter2";

/// Has a key for every vendor, and for `EMPTY` and `BLANK` what their names say.
fn registry() -> Registry {
    Registry::new().credentials(|name| match name {
        "EMPTY" => Some("".into()),
        "BLANK" => Some(" \n".into()),
        name if name.ends_with("_API_KEY") => Some(KEY.into()),
        _ => None,
    })
}

fn candidate(settings: &str) -> Config {
    format!("[[candidate]]\nmodel = 'm'\n{settings}").parse().unwrap()
}

fn refusal(settings: &str) -> ConfigError {
    candidate(settings).build(&registry()).unwrap_err()
}

#[test]
fn the_known_providers_need_nothing_but_a_model() {
    for provider in Registry::new().providers() {
        let client = candidate(&format!("provider = '{provider}'")).build(&registry()).unwrap();
        let keys: Vec<_> = client.candidates().map(Candidate::key).collect();
        assert_eq!(keys, [format!("{provider}:m")]);
    }
}

#[test]
fn what_has_no_sense_is_refused_by_its_path() {
    for (settings, message) in [
        ("provider = ''", "`candidate[0].provider` is empty"),
        ("provider = 'openai'\nid = ' '", "`candidate[0].id` is empty"),
        ("provider = 'openai'\nbase_url = ''", "`candidate[0].base_url` is empty"),
        ("provider = \"acme\\n\"", "`candidate[0].provider` has a control character in it"),
        ("provider = 'openai'\nid = \"a\\rb\"", "`candidate[0].id` has a control character in it"),
        ("provider = 'openai'\nid = \"a\\u2028b\"", "`candidate[0].id` has a control character in it"),
        ("provider = 'openai'\nid = \"a\\u202eb\"", "`candidate[0].id` has a control character in it"),
        (
            "provider = 'anthropic'\ndialect = 'openai'",
            "`candidate[0]` (anthropic): `dialect` is not a setting of this provider",
        ),
        (
            "provider = 'anthropic'\ncache_marks = true",
            "`candidate[0]` (anthropic): `cache_marks` is not a setting of this provider",
        ),
        (
            "provider = 'openai'\ntimeouts = { idle = '0s' }",
            "`candidate[0].timeouts.idle` is zero: nothing could be in time",
        ),
        (
            "provider = 'openai'\nprice = { currency = '', input_per_1m = '1', output_per_1m = '1' }",
            "`candidate[0].price.currency` is empty",
        ),
        (
            "provider = 'openai'\nprice = { currency = \"U\\u2028\", input_per_1m = '1', output_per_1m = '1' }",
            "`candidate[0].price.currency` has a control character in it",
        ),
        (
            "provider = 'openai'\nprice = { currency = 'USD', input_per_1m = '1', output_per_1m = '-1' }",
            "`candidate[0].price.output_per_1m` is negative",
        ),
        ("provider = 'gemini'", "`candidate[0].provider = \"gemini\"` is not built yet"),
        (
            "provider = 'bedrock'\nbase_url = 'https://h'",
            "`candidate[0].provider = \"bedrock\"` is not built yet",
        ),
        (
            "provider = 'openai'\napi_version = '1'",
            "`candidate[0]` (openai): `api_version` is not a setting of this provider",
        ),
        (
            "provider = 'anthropic'\ninclude_usage = false",
            "`candidate[0]` (anthropic): `include_usage` is not a setting of this provider",
        ),
        (
            "provider = 'anthropic'\ntoken_limit_field = 'max_tokens'",
            "`candidate[0]` (anthropic): `token_limit_field` is not a setting of this provider",
        ),
        (
            "provider = 'openai'\nmax_output_tokens = 0",
            "`candidate[0].max_output_tokens` is zero: no answer would fit",
        ),
        (
            "provider = 'openai'\ncontext_window = 0",
            "`candidate[0].context_window` is zero: no answer would fit",
        ),
        (
            "provider = 'openai'\nbase_url = 'http://h.example/v1'",
            "`candidate[0]` (openai): the base URL is plain http to a host that is not the loopback: use https, or \
             allow plain http",
        ),
    ] {
        assert_eq!(refusal(settings).to_string(), message);
    }
    let zero: Config = "[timeouts]\ntotal = '0s'".parse().unwrap();
    let message = "`timeouts.total` is zero: nothing could be in time";
    assert_eq!(zero.build(&registry()).unwrap_err().to_string(), message);
}

#[test]
fn prices_that_no_cost_can_be_counted_with_are_refused() {
    let with = |price: &str, output: &str| {
        let more = if price == "output_per_1m" { String::new() } else { format!(", {price} = {output}") };
        let output = if price == "output_per_1m" { output } else { "1" };
        let price =
            format!("price = {{ currency = 'USD', input_per_1m = '1', output_per_1m = {output}{more} }}");
        candidate(&format!("provider = 'openai'\n{price}")).build(&registry())
    };
    for price in ["output_per_1m", "cache_read_per_1m", "cache_write_per_1m"] {
        for (value, problem) in [
            ("'79228162514264337593543950335'", "is more than 1000000000"),
            ("'1000000000.01'", "is more than 1000000000"),
            ("1e20", "is more than 1000000000"),
            ("-0.01", "is negative"),
        ] {
            let error = with(price, value).unwrap_err();
            assert_eq!(error.to_string(), format!("`candidate[0].price.{price}` {problem}"));
        }
        assert!(with(price, "'1000000000'").is_ok() && with(price, "'-0'").is_ok());
    }
    let mut usage = Usage::default();
    (usage.input_tokens, usage.output_tokens) = (Some(u64::MAX), Some(u64::MAX));
    let highest = PriceConfig::new("USD", 1_000_000_000.into(), 1_000_000_000.into());
    assert!(Price::from(&highest).cost(&usage).is_some());
}

#[test]
fn plain_http_is_possible_when_it_is_meant() {
    let settings = "provider = 'openai'\nbase_url = 'http://h.example/v1'\nallow_plain_http = true";
    assert!(candidate(settings).build(&registry()).is_ok());
}

#[test]
fn unknown_providers_need_a_base_url_and_a_plain_name() {
    for settings in [
        "provider = 'acme'",
        "provider = 'Anthropic'\nbase_url = 'https://h'",
        "provider = 'a b'\nbase_url = 'https://h'",
    ] {
        let error = refusal(settings);
        assert!(matches!(error, ConfigError::UnknownProvider { .. }), "{error:?}");
        assert!(error.to_string().contains("among anthropic, cerebras, deepseek, "), "{error}");
    }
    let client = candidate("provider = 'acme'\nbase_url = 'https://h/v1'").build(&registry()).unwrap();
    assert_eq!(client.candidates().next().unwrap().key(), "acme:m");
}

#[test]
fn nobody_to_ask_and_two_of_one_name_are_refused() {
    let none = Config::default().build(&registry()).unwrap_err();
    assert!(matches!(none, ConfigError::Input(InputError::NoCandidates)));

    let mut config = Config::default();
    config.candidates = vec![CandidateSpec::new("ollama", "a"), CandidateSpec::new("ollama", "a")];
    let error = config.build(&registry()).unwrap_err();
    assert!(matches!(&error, ConfigError::DuplicateId { id } if id == "ollama:a"));
    config.candidates[1].id = Some("ollama:b".into());
    assert!(config.build(&registry()).is_ok());
    config.candidates[0].id = Some("ollama:b".into());
    let message = "two candidates are called `ollama:b`: give each an id of its own";
    assert_eq!(config.build(&registry()).unwrap_err().to_string(), message);
}

#[test]
fn a_missing_credential_is_named_by_its_variable() {
    for variable in ["MISSING", "EMPTY", "BLANK", "X1", "LLM_CLIENT_TEST_THAT_NOBODY_SETS"] {
        let error = refusal(&format!("provider = 'openai'\napi_key_env = '{variable}'"));
        let message = format!(
            "the environment variable `{variable}`, for the credential of `candidate[0]`, is not set or empty"
        );
        assert_eq!(error.to_string(), message);
    }
    let real = candidate("provider = 'openai'\napi_key_env = 'LLM_CLIENT_TEST_THAT_NOBODY_SETS'");
    assert!(matches!(real.build(&Registry::new()), Err(ConfigError::MissingVariable { .. })));
}

/// Writes down which credentials its candidates came with.
#[derive(Clone, Default)]
struct Acme(Arc<Mutex<Vec<Option<String>>>>);

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        let key = context.credential.map(Credential::value).transpose()?;
        self.0.lock().push(key.map(|key| key.expose().to_owned()));
        match context.spec.model.as_str() {
            "broken" => Err("no such thing".into()),
            "renamed" => Ok(Arc::new(ScriptedModel::new("acme:other"))),
            _ => Ok(Arc::new(ScriptedModel::new(&context.spec.key()).then(Step::answer("Hello")))),
        }
    }

    fn api_key_env(&self) -> Option<&str> {
        Some("ACME_API_KEY")
    }

    fn base_url(&self) -> Option<&str> {
        Some("https://acme.example/v1")
    }
}

#[test]
fn credentials_go_to_no_other_host_unasked() {
    let acme = Acme::default();
    let registry = Registry::empty()
        .provider("acme", acme.clone())
        .credentials(|name| Some(Secret::from(format!(" {name} of the vault\n"))));
    for settings in
        ["", "base_url = 'https://h'", "base_url = 'https://h'\napi_key_env = 'OTHER'", "api_key_env = 'X'"]
    {
        candidate(&format!("provider = 'acme'\n{settings}")).build(&registry).unwrap();
    }
    let expected =
        [Some("ACME_API_KEY of the vault"), None, Some("OTHER of the vault"), Some("X of the vault")];
    assert_eq!(*acme.0.lock(), expected.map(|key| key.map(str::to_owned)));
}

#[test]
fn a_providers_own_url_is_no_other_host() {
    let acme = Acme::default();
    let registry =
        Registry::new().provider("acme", acme.clone()).credentials(|name| Some(Secret::from(name)));
    for (url, is_home) in [
        ("https://acme.example/v1", true),
        (" https://ACME.example:443/v2/?x=1 ", true),
        ("http://acme.example/v1", false),
        ("https://acme.example:8443/v1", false),
        ("https://acme.example.org/v1", false),
        ("https://eu.acme.example/v1", false),
        ("https://acme.example@h/v1", false),
        ("acme.example/v1", false),
    ] {
        candidate(&format!("provider = 'acme'\nbase_url = '{url}'")).build(&registry).unwrap();
        let expected = is_home.then(|| "ACME_API_KEY".to_owned());
        assert_eq!(acme.0.lock().pop().unwrap(), expected, "{url}");
    }
    // With nothing in the environment the error tells which variable is looked for.
    let empty = Registry::new().credentials(|_| None);
    for (provider, url, variable) in [
        ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("anthropic", "https://api.anthropic.com/", "ANTHROPIC_API_KEY"),
        ("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    ] {
        let at = |url: &str| candidate(&format!("provider = '{provider}'\nbase_url = '{url}'")).build(&empty);
        assert!(at(url).unwrap_err().to_string().contains(variable), "{provider}");
        assert!(at("https://h.example/v1").is_ok(), "{provider}");
    }
}

#[tokio::test]
async fn a_provider_of_ones_own_is_one_like_the_others() {
    let registry = registry().provider("acme", Acme::default()).provider("gemini", Acme::default());
    for (provider, model) in [("acme", "large"), ("gemini", "flash")] {
        let mut config = Config::default();
        config.candidates.push(CandidateSpec::new(provider, model));
        let report = config.build(&registry).unwrap().failover("Hi").await.unwrap();
        assert_eq!(&*report.attempts()[0].model_key, format!("{provider}:{model}"));
        assert_eq!(report.response().unwrap().text, "Hello");
    }
    for (model, message) in [
        ("broken", "`candidate[0]` (acme): no such thing"),
        ("renamed", "`candidate[0]` (acme): its adapter calls itself `acme:other` and not `acme:renamed`"),
    ] {
        let mut config = Config::default();
        config.candidates.push(CandidateSpec::new("acme", model));
        assert_eq!(config.build(&registry).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_http_client_that_is_given_has_its_own_limit() {
    let registry = registry().http_client(HttpClient::new().unwrap());
    let mut config = candidate("provider = 'ollama'");
    assert!(config.build(&registry).is_ok());
    config.timeouts.connect = Some(std::time::Duration::from_secs(1));
    let error = config.build(&registry).unwrap_err();
    assert!(error.to_string().starts_with("`timeouts.connect` cannot be set"), "{error}");
}
