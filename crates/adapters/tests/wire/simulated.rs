//! Both vendors against a provider that behaves and misbehaves.

mod answers;
mod faults;

use std::sync::Arc;

use futures::StreamExt;
use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::{Anthropic, BuildError, HttpClient, OpenAi};
use llm_protocol::{Error, Progress, Request, Response, ResponseBuilder, StreamingModelAdapter};
use llm_simulator::{Behaviour, Simulator};

pub(crate) type Model = Arc<dyn StreamingModelAdapter>;

/// A provider, and both vendors' way to ask it for the same model.
pub(crate) struct Bench {
    pub(crate) provider: Simulator,
    pub(crate) models: [Model; 2],
}

pub(crate) const MODEL: &str = "model-x";
pub(crate) const KEY: &str = "a-key-that-nobody-shall-see";

pub(crate) async fn bench() -> Bench {
    let provider = Simulator::start().await.unwrap();
    let models = models(&provider).unwrap();
    Bench { provider, models }
}

pub(crate) fn models(provider: &Simulator) -> Result<[Model; 2], BuildError> {
    let http = HttpClient::configure(ClientBuilder::no_proxy)?;
    let openai = OpenAi::builder(MODEL).base_url(format!("{}/v1", provider.base_url()));
    let anthropic = Anthropic::builder(MODEL).base_url(provider.base_url());
    Ok([
        Arc::new(openai.api_key(KEY).http_client(http.clone()).build()?),
        Arc::new(anthropic.api_key(KEY).http_client(http).build()?),
    ])
}

impl Bench {
    pub(crate) fn on(&self, behaviour: Behaviour) {
        self.provider.on(MODEL, behaviour);
    }
}

pub(crate) async fn generate(model: &Model) -> Result<Response, Error> {
    model.generate(&Request::from("hello"), &Progress::new()).await
}

/// What a stream gave, and how it ended.
pub(crate) async fn stream(model: &Model) -> (ResponseBuilder, Result<(), Error>) {
    let mut answer = ResponseBuilder::default();
    let mut events = match model.stream(&Request::from("hello"), &Progress::new()).await {
        Ok(events) => events,
        Err(error) => return (answer, Err(error)),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => answer.absorb(&event),
            Err(error) => {
                assert!(events.next().await.is_none(), "nothing comes after an error");
                return (answer, Err(error));
            }
        }
    }
    assert!(events.next().await.is_none(), "a stream may be asked again at its end");
    (answer, Ok(()))
}

/// The error in which both ways to ask end.
pub(crate) async fn errors(model: &Model) -> [Error; 2] {
    [generate(model).await.unwrap_err(), stream(model).await.1.unwrap_err()]
}
