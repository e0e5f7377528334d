//! What an adapter is: one model of one provider, behind traits that strategies can hold as objects.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use crate::capability::Capabilities;
use crate::error::Error;
use crate::event::StreamEvent;
use crate::progress::Progress;
use crate::request::Request;
use crate::response::Response;

/// An answer while it streams in.
///
/// It ends after [`StreamEvent::Finish`] (usage may follow that), or with one error, after which nothing comes.
/// Ending without either means that it was cut. Dropping it ends the request at the provider.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<StreamEvent, Error>> + Send>>;

/// One model of one provider.
///
/// Every future may be dropped at any point; that ends the request at the provider and leaks nothing. Errors name
/// the model by [`key`](Self::key) and hold no credential, prompt or answer. Adapters do not retry and keep no
/// clocks: both belong to the strategies, which see every attempt.
#[async_trait]
pub trait ModelAdapter: Send + Sync {
    /// Names the model in reports and on breakers, `provider:model` unless the user chose another name.
    fn key(&self) -> &str;

    /// The provider's name.
    fn provider(&self) -> &str;

    /// The model's id, as it is asked for.
    fn model(&self) -> &str;

    /// What it honours.
    fn capabilities(&self) -> Capabilities<'_>;

    /// Asks for a whole answer.
    ///
    /// `progress` is told how far the call has come, at the least before the provider can have received anything.
    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error>;

    /// Asks the provider, at no cost, whether it would serve this model.
    async fn health_check(&self) -> HealthStatus;
}

/// A model that can stream its answers.
#[async_trait]
pub trait StreamingModelAdapter: ModelAdapter {
    /// Asks for an answer that streams in. Returns when the provider has accepted the request; `progress` as in
    /// [`generate`](ModelAdapter::generate).
    async fn stream(&self, request: &Request, progress: &Progress) -> Result<EventStream, Error>;
}

/// A model that can call tools: it takes [`Request::tools`] and conversations in which tools were called, and answers
/// with tool calls.
pub trait ToolCallingModelAdapter: ModelAdapter {
    /// Whether one answer may hold several calls.
    fn parallel_calls(&self) -> bool;
}

/// What a provider says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// It would serve this model.
    Healthy,
    /// It would not.
    Unhealthy,
    /// There is no way to ask.
    Unknown,
}

/// The result of a health check.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HealthStatus {
    /// The model that was asked about.
    pub model_key: Arc<str>,
    /// What came of it.
    pub state: HealthState,
    /// How long it took.
    pub latency: Duration,
    /// Why it is not healthy.
    pub error: Option<Error>,
}

impl HealthStatus {
    /// The provider answered (or not) to a health check that took this long.
    pub fn new(model_key: impl Into<Arc<str>>, latency: Duration, result: Result<(), Error>) -> Self {
        let state = if result.is_ok() { HealthState::Healthy } else { HealthState::Unhealthy };
        Self { model_key: model_key.into(), state, latency, error: result.err() }
    }

    /// There is no way to ask.
    pub fn unknown(model_key: impl Into<Arc<str>>) -> Self {
        Self {
            model_key: model_key.into(),
            state: HealthState::Unknown,
            latency: Duration::ZERO,
            error: None,
        }
    }
}
