//! What hosts of the OpenAI format are asked for, each in its own manner.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use llm_client::llm_adapters::Dialect;
use llm_client::llm_protocol::{CacheTtl, Message, Request};
use llm_client::llm_reliability::ResilientClient;
use llm_client::{Builder, Config, DialectSetting, OpenAiProvider, Provider, Registry};
use llm_simulator::{Behaviour, Host, Simulator};

fn client(text: &str) -> ResilientClient {
    Config::from_toml(text).unwrap().build(&Registry::new().credentials(|_| None)).unwrap()
}

#[tokio::test]
async fn hosts_are_asked_in_their_own_dialect() {
    let simulator = Simulator::start().await.unwrap();
    for field in ["stream_options", "max_tokens"] {
        simulator.on(field, Behaviour::default().refuses(field));
    }
    let host = |model: &str, settings: &str| {
        let url = simulator.base_url();
        format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\n{settings}\n")
    };
    let odd = "max_output_tokens = 7\ninclude_usage = false\ntoken_limit_field = 'max_completion_tokens'";
    let text =
        host("stream_options", odd) + &host("max_tokens", odd) + &host("plain", "max_output_tokens = 8");
    assert_eq!(client(&text).fan_out("Hi").await.unwrap().responses().count(), 3);
    let body = |model: &str| simulator.requests(model)[0].body.clone();
    for model in ["stream_options", "max_tokens"] {
        assert_eq!(body(model)["max_completion_tokens"], 7);
        assert!(body(model).get("stream_options").is_none() && body(model).get("max_tokens").is_none());
    }
    assert_eq!(body("plain")["max_tokens"], 8);
    assert_eq!(body("plain")["stream_options"]["include_usage"], true);
}

/// A host under another name speaks as it is told to.
#[tokio::test]
async fn dialects_and_marks_are_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", Behaviour::default().host(Host::Mistral));
    let url = simulator.base_url();
    let host = |model: &str, settings: &str| {
        format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\n{settings}\n")
    };
    let text = host("m", "dialect = 'mistral'")
        + &host("r", "dialect = 'openrouter'")
        + &host("o", "dialect = 'openai'")
        + &host("both", "dialect = 'openrouter'\ncache_marks = false")
        + &host("marked", "cache_marks = true")
        + &host("plain", "dialect = 'compatible'");
    let text = text
        + &format!(
            "[[candidate]]\nprovider = 'mistral'\nmodel = 'own'\nbase_url = '{url}'\ndialect = 'compatible'"
        );
    let message = Message::user("Hi").cached(CacheTtl::default());
    let request = Request::new(vec![message]).seed(7).max_tokens(9);
    assert_eq!(client(&text).fan_out(request).await.unwrap().responses().count(), 7);
    let sent = |model: &str| {
        let body = simulator.requests(model)[0].body.clone();
        ["random_seed", "stream_options", "max_completion_tokens"]
            .into_iter()
            .filter(|field| body.get(field).is_some())
            .chain(body.to_string().contains("cache_control").then_some("marks"))
            .collect::<Vec<_>>()
    };
    assert_eq!(sent("m"), ["random_seed"]);
    assert_eq!(sent("r"), ["stream_options", "marks"]);
    assert_eq!(sent("o"), ["stream_options", "max_completion_tokens"]);
    assert_eq!(sent("both"), ["stream_options"]);
    assert_eq!(sent("marked"), ["stream_options", "marks"]);
    assert_eq!(sent("plain"), ["stream_options"]);
    assert_eq!(sent("own"), ["stream_options"]);
}

#[tokio::test]
async fn marks_for_the_prompt_cache_go_through_openrouter() {
    let simulator = Simulator::start().await.unwrap();
    let url = simulator.base_url();
    let host = |provider| {
        format!("[[candidate]]\nprovider = '{provider}'\nmodel = '{provider}'\nbase_url = '{url}'\n")
    };
    let client = client(&(host("openrouter") + &host("groq")));
    let marked = Message::user("Hi").cached(CacheTtl::default());
    client.fan_out(Request::new(vec![marked])).await.unwrap();
    let is_marked = |model: &str| simulator.requests(model)[0].body.to_string().contains("cache_control");
    assert!(is_marked("openrouter") && !is_marked("groq"));
}

/// What code says of a candidate holds before what it says of a provider.
#[tokio::test]
async fn providers_have_dialects_too() {
    let simulator = Simulator::start().await.unwrap();
    let router = OpenAiProvider::new().base_url(simulator.base_url()).dialect(Dialect::OpenRouter);
    let registry = Registry::new()
        .provider("router", router.clone())
        .provider("quiet", router.include_usage(false).cache_marks(false));
    let client = Builder::with_registry(registry)
        .add(Provider::new("router", "a"))
        .add(Provider::new("router", "b").dialect(DialectSetting::OpenAi))
        .add(Provider::new("quiet", "c"))
        .add(Provider::new("quiet", "d").cache_marks(true).include_usage(true))
        .build()
        .unwrap();
    let marked = Message::user("Hi").cached(CacheTtl::default());
    client.fan_out(Request::new(vec![marked])).await.unwrap();
    let sent = |model: &str| {
        let body = simulator.requests(model)[0].body.to_string();
        ["cache_control", "stream_options"].map(|field| body.contains(field))
    };
    assert_eq!(["a", "b", "c", "d"].map(sent), [[true, true], [false, true], [false, false], [true, true]]);
}
