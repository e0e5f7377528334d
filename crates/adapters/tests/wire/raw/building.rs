//! What an adapter is made of, and what it shows of it.

use llm_adapters::{BuildError, HttpClient, OpenAi, reqwest};
use llm_protocol::{Capability, ModelAdapter, ToolCallingModelAdapter};

use super::{ANSWER, Server, generate, http, reply};

/// A client that is not the crate's own, so that these hold in builds without TLS, too.
fn given() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[test]
fn adapters_show_themselves_without_their_secrets() {
    let builder = OpenAi::builder("gpt-x")
        .http_client(given())
        .provider("host")
        .key("mine")
        .base_url("https://example.com/v1?key=marmalade")
        .api_key("marmalade-key")
        .header("x-organization", "marmalade-org");
    assert!(!format!("{builder:?}").contains("marmalade"));
    let adapter = builder.build().unwrap();
    assert_eq!(
        format!("{adapter:?}"),
        r#"Adapter { key: "mine", provider: "host", model: "gpt-x", base_url: "https://example.com/v1", .. }"#
    );
    assert_eq!(format!("{:?}", HttpClient::new().unwrap()), "HttpClient { .. }");
}

#[test]
fn a_host_may_lack_what_its_format_has() {
    let builder = || OpenAi::builder("m").http_client(given()).context_window(128_000);
    let adapter = builder().build().unwrap();
    let declared = adapter.capabilities();
    assert!(
        declared.streaming().is_some()
            && declared.tools().is_some_and(ToolCallingModelAdapter::parallel_calls)
    );
    assert!(declared.json_object() && declared.json_schema() && declared.images());
    assert_eq!(declared.context_window(), Some(128_000));

    let every = [Capability::Tools, Capability::JsonObject, Capability::JsonSchema, Capability::Images];
    let adapter = every.into_iter().fold(builder(), llm_adapters::Builder::lacks).build().unwrap();
    let declared = adapter.capabilities();
    assert!(declared.streaming().is_some() && declared.tools().is_none());
    assert!(!declared.json_object() && !declared.json_schema() && !declared.images());
}

#[test]
fn what_cannot_be_built_is_said_at_once() {
    let build = |builder: llm_adapters::Builder<OpenAi>| builder.build().unwrap_err();
    let plain = || OpenAi::builder("m").http_client(http());
    assert!(matches!(build(OpenAi::builder(" ")), BuildError::NoModel));
    assert!(matches!(build(plain().api_key("")), BuildError::ApiKey));
    assert!(matches!(build(plain().api_key("marmalade\n")), BuildError::ApiKey));
    assert!(matches!(build(plain().base_url("nonsense")), BuildError::BaseUrl(_)));
    assert!(matches!(build(plain().base_url("http://example.com")), BuildError::PlainHttp));
    assert!(matches!(build(plain().base_url("https://a:b@example.com")), BuildError::UserInfo));
    let error = build(plain().header("a b", "marmalade"));
    assert_eq!(error.to_string(), r#"the header "a b" cannot be sent as it is"#);
    assert!(
        matches!(build(plain().header("a", "marmalade\r\nb: c")), BuildError::Header(name) if name == "a")
    );
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[test]
fn https_takes_tls() {
    assert!(matches!(OpenAi::builder("m").build(), Err(BuildError::NoTls)));
    assert!(
        matches!(OpenAi::builder("m").http_client(http()).build(), Err(BuildError::NoTls)),
        "a shared one"
    );
    assert!(OpenAi::builder("m").http_client(given()).build().is_ok(), "who knows what it can");
    assert!(OpenAi::builder("m").base_url("http://localhost").build().is_ok());
}

#[tokio::test]
async fn headers_of_the_users_own_win() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let base = format!("http://{}", server.address);
    let builder = OpenAi::builder("m")
        .base_url(base)
        .api_key("one")
        .header("Authorization", "Token two")
        .header("x-a", "b");
    let adapter = builder.http_client(http()).build().unwrap();
    generate(&adapter).await.unwrap();
    let request = server.received().remove(0);
    assert!(request.contains("authorization: Token two\r\n") && request.contains("x-a: b\r\n"), "{request}");
    assert!(!request.contains("one"), "{request}");
}
