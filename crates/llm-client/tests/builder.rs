//! The builder over real sockets: several keys of one vendor, priorities, credentials that change.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use llm_client::llm_adapters::Credentials;
use llm_client::llm_protocol::testing::{ScriptedModel, Step};
use llm_client::llm_protocol::{Capability, Error, ErrorKind, ModelAdapter, Secret};
use llm_client::llm_reliability::{Candidate, Report, ResilientClient};
use llm_client::{
    Builder, CandidateSpec, ConfigError, Credential, FactoryError, Provider, ProviderContext,
    ProviderFactory, Registry, TokenLimitSetting,
};
use llm_simulator::{Behaviour, Script, Simulator};
use parking_lot::Mutex;

/// Whose credentials nobody looks up.
fn registry() -> Registry {
    Registry::new().credentials(|name| panic!("{name} was looked up"))
}

fn builder() -> Builder {
    Builder::with_registry(registry())
}

fn outcomes(report: &Report) -> Vec<(&str, &str)> {
    report.attempts().iter().map(|attempt| (&*attempt.model_key, attempt.outcome.as_str())).collect()
}

/// Claude at the simulator, with this key.
fn claude(simulator: &Simulator, key: &str) -> Provider {
    Provider::new("anthropic", "claude-x").base_url(simulator.base_url()).api_key(key)
}

fn gpt(simulator: &Simulator) -> Provider {
    Provider::new("openai", "gpt-x").base_url(format!("{}/v1", simulator.base_url()))
}

#[tokio::test]
async fn two_keys_of_one_vendor_side_by_side() {
    let simulator = Simulator::start().await.unwrap();
    let throttled = Behaviour::status(429).header("retry-after", "20");
    simulator.script("claude-x", Script::from(vec![throttled, Behaviour::default()]));
    let client = builder()
        .add(claude(&simulator, "first-key\n").id("anthropic-1"))
        .add(claude(&simulator, "second-key").id("anthropic-2"))
        .build()
        .unwrap();
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic-1", "deferred_backpressure"), ("anthropic-2", "success")]);
    let requests = simulator.requests("claude-x");
    let keys: Vec<_> = requests.iter().map(|request| request.header("x-api-key").unwrap()).collect();
    assert_eq!(keys, ["first-key", "second-key"]);

    // What the vendor said of one key holds for that key alone.
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(outcomes(&report), [("anthropic-1", "preempted_limited"), ("anthropic-2", "success")]);
}

#[tokio::test]
async fn keys_of_one_vendor_have_circuits_of_their_own() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("claude-x", Behaviour::default().key("good"));
    let client = builder()
        .add(claude(&simulator, "bad").id("anthropic-1"))
        .add(claude(&simulator, "good").id("anthropic-2"))
        .client_builder()
        .unwrap()
        .breaker_settings(circuit(1))
        .build()
        .unwrap();
    for expected in ["failed", "preempted_open"] {
        let report = client.failover("Hi").await.unwrap();
        assert_eq!(outcomes(&report), [("anthropic-1", expected), ("anthropic-2", "success")]);
    }
    let keys: Vec<_> = client.status().await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["anthropic-1", "anthropic-2"]);
}

fn circuit(failures: u32) -> llm_client::llm_reliability::circuit_breaker::Settings {
    let settings = llm_client::llm_reliability::circuit_breaker::Settings::default();
    settings.failure_threshold(failures.try_into().unwrap())
}

#[tokio::test]
async fn two_of_one_name_are_told_to_take_ids() {
    let simulator = Simulator::start().await.unwrap();
    let twins = builder().add(claude(&simulator, "a")).add(claude(&simulator, "b"));
    let message = "two candidates are called `anthropic:claude-x`: give each an id of its own";
    assert_eq!(twins.build().unwrap_err().to_string(), message);
    let with_a_ready_one = builder().add(ScriptedModel::new("a\nb")).add(ScriptedModel::new("a\nb"));
    assert!(matches!(with_a_ready_one.build(), Err(ConfigError::DuplicateId { id }) if id == "a b"));
}

#[tokio::test]
async fn priorities_decide_who_is_asked_first() {
    let simulator = Simulator::start().await.unwrap();
    for model in ["a", "b", "c"] {
        simulator.on(model, Behaviour::status(529));
    }
    let host = |model: &str| Provider::new("acme", model).base_url(simulator.base_url());
    let client = builder()
        .add(host("a").priority(1))
        .add(host("b"))
        .add(Candidate::from(ScriptedModel::new("ready").then(Step::answer("Hello"))).priority(2))
        .add(host("c").priority(-1))
        .build()
        .unwrap();
    let report = client.failover("Hi").await.unwrap();
    let order: Vec<_> = report.attempts().iter().map(|attempt| &*attempt.model_key).collect();
    assert_eq!(order, ["acme:c", "acme:b", "acme:a", "ready"]);
    let listed: Vec<_> = client.candidates().map(Candidate::key).collect();
    assert_eq!(listed, ["acme:a", "acme:b", "ready", "acme:c"]);
}

/// Lends one key after the other.
#[derive(Default)]
struct Vault {
    lent: AtomicUsize,
    refused: Mutex<Vec<String>>,
}

#[async_trait]
impl Credentials for Vault {
    async fn credential(&self) -> Result<Secret, Error> {
        self.lent.fetch_add(1, Ordering::Relaxed);
        Ok(format!("key-{}", self.refused.lock().len()).into())
    }

    fn refused(&self, credential: &Secret) {
        self.refused.lock().push(credential.expose().to_owned());
    }
}

#[tokio::test]
async fn credentials_that_change_are_asked_for_each_time() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("gpt-x", Behaviour::default().key("key-1"));
    let vault = Arc::new(Vault::default());
    let client = builder().add(gpt(&simulator).credentials(vault.clone())).build().unwrap();
    assert_eq!(vault.lent.load(Ordering::Relaxed), 0, "nothing is asked before the first call");

    let refused = client.failover("Hi").await.unwrap();
    assert_eq!(refused.attempts()[0].error().unwrap().kind(), ErrorKind::Authentication);
    assert_eq!(*vault.refused.lock(), ["key-0"]);
    assert_eq!(outcomes(&client.failover("Hi").await.unwrap()), [("openai:gpt-x", "success")]);
    assert_eq!(vault.lent.load(Ordering::Relaxed), 2);
    let requests = simulator.requests("gpt-x");
    let keys: Vec<_> = requests.iter().map(|request| request.header("authorization").unwrap()).collect();
    assert_eq!(keys, ["Bearer key-0", "Bearer key-1"]);
}

#[tokio::test]
async fn providers_have_their_settings_on_the_wire() {
    let simulator = Simulator::start().await.unwrap();
    let url = simulator.base_url();
    let client = builder()
        .add(
            gpt(&simulator)
                .header("x-tenant", "blue")
                .max_output_tokens(77)
                .include_usage(false)
                .token_limit_field(TokenLimitSetting::MaxTokens),
        )
        .add(claude(&simulator, "key").header("x-tenant", "red").api_version("2099-01-01"))
        .add(Provider::new("acme", "plain").base_url(&url).max_output_tokens(78))
        .add(
            Provider::new("mistral", "asked")
                .base_url(&url)
                .include_usage(true)
                .token_limit_field(TokenLimitSetting::MaxCompletionTokens)
                .max_output_tokens(79),
        )
        .build()
        .unwrap();
    assert_eq!(client.fan_out("Hi").await.unwrap().responses().count(), 4);

    let request = |model: &str| simulator.requests(model).remove(0);
    let (gpt, claude) = (request("gpt-x"), request("claude-x"));
    assert_eq!((gpt.header("x-tenant"), gpt.header("authorization")), (Some("blue"), None));
    assert_eq!((&gpt.body["max_tokens"], gpt.body.get("stream_options")), (&77.into(), None));
    assert_eq!((claude.header("x-tenant"), claude.header("x-api-key")), (Some("red"), Some("key")));
    assert_eq!(claude.header("anthropic-version"), Some("2099-01-01"));
    let plain = request("plain").body;
    assert_eq!((&plain["max_tokens"], &plain["stream_options"]["include_usage"]), (&78.into(), &true.into()));
    let asked = request("asked").body;
    assert_eq!(asked["max_completion_tokens"], 79);
    assert_eq!(asked["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn a_provider_without_a_credential_is_refused() {
    let at = |provider: Provider| builder().add(Provider::new("ollama", "m")).add(provider).build();
    let mut named = CandidateSpec::new("acme", "m");
    named.base_url = Some("https://h.example/v1".into());
    named.api_key_env = Some("ACME_KEY".into());
    for (provider, id) in [
        (Provider::new("openai", "m"), "openai:m"),
        (Provider::new("openai", "m").api_key(" \n").id("spare"), "spare"),
        (Provider::new("anthropic", "m").base_url("https://api.anthropic.com/"), "anthropic:m"),
        (named.into(), "acme:m"),
        (Provider::new("vllm", "m").api_key(""), "vllm:m"),
    ] {
        let error = at(provider).unwrap_err();
        let message =
            format!("`{id}` has no credential, or an empty one: give it one with `api_key` or `credentials`");
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, ConfigError::MissingCredential { .. }));
    }
    for provider in ["anthropic", "openai", "groq", "acme"] {
        assert!(at(Provider::new(provider, "m").base_url("https://h.example/v1")).is_ok(), "{provider}");
    }
    let error = at(Provider::new("anthropic", "m").api_key("k").include_usage(true)).unwrap_err();
    let message = "`anthropic:m` (anthropic): `include_usage` is not a setting of this provider";
    assert_eq!(error.to_string(), message);
    assert!(matches!(builder().build(), Err(ConfigError::Input(_))));
}

/// Writes down what it was given, and knows no credentials that change.
#[derive(Clone, Default)]
struct Acme(Arc<Mutex<Vec<String>>>);

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        let key = context.credential.map(Credential::value).transpose()?;
        let headers = context.headers.iter().map(|(name, value)| format!(" {name}={}", value.expose()));
        let key = key.as_ref().map_or("none", Secret::expose);
        self.0.lock().push(key.to_owned() + &headers.collect::<String>());
        Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
    }
}

#[test]
fn a_provider_of_ones_own_hears_what_the_builder_says() {
    let acme = Acme::default();
    let build =
        |provider| Builder::with_registry(registry().provider("acme", acme.clone())).add(provider).build();
    build(Provider::new("acme", "m").api_key(" key ").header("a", "1").header("b", "2")).unwrap();
    build(Provider::new("acme", "m")).unwrap();
    assert_eq!(*acme.0.lock(), ["key a=1 b=2", "none"]);
    let error = build(Provider::new("acme", "m").credentials(Arc::new(Vault::default()))).unwrap_err();
    assert_eq!(error.to_string(), "`acme:m` (acme): it takes no credentials that change");
}

#[tokio::test]
async fn what_is_lacking_is_not_asked_for() {
    use llm_client::llm_protocol::{Message, Request, ResponseFormat};
    let simulator = Simulator::start().await.unwrap();
    let host = |name: &str| Provider::new(name, "m").base_url(simulator.base_url());
    let client: ResilientClient = builder()
        .add(host("acme").lacks(Capability::JsonSchema).lacks(Capability::Images))
        .add(host("deepseek"))
        .add(host("groq"))
        .build()
        .unwrap();
    let schema = serde_json::json!({
        "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"],
        "additionalProperties": false,
    });
    let request = Request::new(vec![Message::user("Hi")])
        .response_format(ResponseFormat::json_schema("answer", schema));
    let report = client.failover(request).await.unwrap();
    let expected =
        [("acme:m", "preempted_unsupported"), ("deepseek:m", "preempted_unsupported"), ("groq:m", "success")];
    assert_eq!(outcomes(&report), expected);
    assert_eq!(simulator.received("m"), 1);
    assert_eq!(outcomes(&client.failover("Hi").await.unwrap()), [("acme:m", "success")]);
}
