//! Credentials that change while an adapter lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::{Anthropic, Credentials, HttpClient, OpenAi};
use llm_protocol::{Error, ErrorKind, HealthState, Progress, Request, Secret, Stage, StreamingModelAdapter};
use llm_simulator::{Behaviour, Simulator};

use crate::simulated::{MODEL, Model, generate, stream};

/// A vault that hands out one key after the other: another once one was refused.
#[derive(Default)]
struct Vault {
    asked: AtomicUsize,
    turn: AtomicUsize,
}

const KEYS: [&str; 3] = ["marmalade-1", "marmalade-2", "marmalade-3"];

#[async_trait::async_trait]
impl Credentials for Vault {
    async fn credential(&self) -> Result<Secret, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let key = KEYS.get(self.turn.load(Ordering::Relaxed)).copied();
        key.map(Secret::from).ok_or_else(|| Error::new(ErrorKind::Authentication, "the vault is empty"))
    }

    fn refused(&self, credential: &Secret) {
        assert_eq!(credential.expose(), KEYS[self.turn.fetch_add(1, Ordering::Relaxed)]);
    }
}

fn models(provider: &Simulator, credentials: &Arc<Vault>) -> [Model; 2] {
    let http = HttpClient::configure(ClientBuilder::no_proxy).unwrap();
    let openai = OpenAi::builder(MODEL).base_url(format!("{}/v1", provider.base_url()));
    let anthropic = Anthropic::builder(MODEL).base_url(provider.base_url());
    let credentials = || Arc::clone(credentials) as Arc<dyn Credentials>;
    [
        Arc::new(openai.credentials(credentials()).http_client(http.clone()).build().unwrap()),
        Arc::new(anthropic.credentials(credentials()).http_client(http).build().unwrap()),
    ]
}

#[tokio::test]
async fn every_request_has_the_credential_of_its_time() {
    let provider = Simulator::start().await.unwrap();
    for at in 0..2 {
        let vault = Arc::new(Vault::default());
        let model = &models(&provider, &vault)[at];
        provider.require_key(KEYS[0]);
        generate(model).await.unwrap();
        // The vendor takes another key from now on, and repeats the one that it refuses.
        provider.require_key(KEYS[1]);
        provider.on(MODEL, Behaviour::default());
        let error = generate(model).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        stream(model).await.1.unwrap();
        assert_eq!(model.health_check().await.state, HealthState::Healthy);
        assert_eq!(vault.asked.load(Ordering::Relaxed), 4);
        assert_eq!(vault.turn.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_refusal_in_a_success_is_one_too() {
    let provider = Simulator::start().await.unwrap();
    provider.otherwise(Behaviour::error_body(401));
    for at in 0..2 {
        let vault = Arc::new(Vault::default());
        let model = &models(&provider, &vault)[at];
        assert_eq!(generate(model).await.unwrap_err().kind(), ErrorKind::Authentication);
        assert_eq!(vault.turn.load(Ordering::Relaxed), 1);
        assert_eq!(stream(model).await.1.unwrap_err().kind(), ErrorKind::Authentication);
        assert_eq!(vault.turn.load(Ordering::Relaxed), 2);
    }
    provider.otherwise(Behaviour::answer("Half").error_after(1, 401));
    for at in 0..2 {
        let vault = Arc::new(Vault::default());
        assert!(stream(&models(&provider, &vault)[at]).await.1.is_err());
        assert_eq!(vault.turn.load(Ordering::Relaxed), 1, "in the midst of a stream");
    }
    provider.otherwise(Behaviour::status(403));
    let vault = Arc::new(Vault::default());
    assert!(generate(&models(&provider, &vault)[1]).await.is_err());
    assert_eq!(vault.turn.load(Ordering::Relaxed), 0, "what is not allowed is no matter of the key");
}

#[tokio::test]
async fn errors_hold_no_credential_that_was_lent() {
    let provider = Simulator::start().await.unwrap();
    let told = format!("what are {}?", KEYS.join(", "));
    provider.otherwise(Behaviour::status(401).error_message(told));
    for at in 0..2 {
        let vault = Arc::new(Vault::default());
        let model = &models(&provider, &vault)[at];
        for key in KEYS {
            let error = stream(model).await.1.unwrap_err();
            assert!(!format!("{error}{error:?}").contains(key), "{error:?}");
        }
    }
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    let provider = Simulator::start().await.unwrap();
    for at in 0..2 {
        let vault = Arc::new(Vault { turn: KEYS.len().into(), ..Vault::default() });
        let model = &models(&provider, &vault)[at];
        let progress = Progress::new();
        let error = model.generate(&Request::from("hello"), &progress).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Authentication, "the vault is empty"));
        assert_eq!((error.model_key(), progress.stage()), (Some(model.key()), Stage::Prepare));
        assert_eq!(model.health_check().await.state, HealthState::Unhealthy);
    }
    assert_eq!(provider.received_total(), 0);
}

/// A credential that no header can carry.
struct Broken;

#[async_trait::async_trait]
impl Credentials for Broken {
    async fn credential(&self) -> Result<Secret, Error> {
        Ok("marmalade\r\nx-evil: 1".into())
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_sent_is_refused_unseen() {
    let http = HttpClient::configure(ClientBuilder::no_proxy).unwrap();
    let adapter = OpenAi::builder(MODEL).http_client(http).base_url("http://127.0.0.1:9");
    let adapter = adapter.credentials(Arc::new(Broken)).build().unwrap();
    let error = adapter.stream(&Request::from("hello"), &Progress::new()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!error.to_string().contains("marmalade"), "{error}");
}
