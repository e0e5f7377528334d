//! Models that answer at once, with as little as an answer can be.

use std::iter;

use async_trait::async_trait;
use futures::stream;
use llm_protocol::{
    Capabilities, Error, ErrorKind, EventStream, FinishReason, HealthStatus, ModelAdapter, Progress, Request,
    Response, Started, StreamEvent, StreamingModelAdapter, Usage,
};

/// What a model does.
#[derive(Clone, Copy)]
pub(crate) enum Gives {
    /// A whole answer; it does not stream.
    Answer,
    /// A stream with so many pieces of text.
    Stream(usize),
    /// Word that it is overloaded; it does not stream.
    Overload,
}

/// A model that does the same with every call, and writes nothing down.
pub(crate) struct Model {
    key: String,
    gives: Gives,
    /// Ready to be cloned: what its making costs is an adapter's matter.
    error: Error,
}

impl Model {
    pub(crate) fn new(number: usize, gives: Gives) -> Self {
        let error = Error::new(ErrorKind::Overloaded, "try again later");
        Self { key: format!("provider:model-{number}"), gives, error }
    }
}

fn usage() -> Usage {
    Usage { input_tokens: Some(12), output_tokens: Some(3), ..Usage::default() }
}

#[async_trait]
impl ModelAdapter for Model {
    fn key(&self) -> &str {
        &self.key
    }

    fn provider(&self) -> &'static str {
        "provider"
    }

    fn model(&self) -> &'static str {
        "model"
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let capabilities = Capabilities::new();
        if matches!(self.gives, Gives::Stream(_)) { capabilities.with_streaming(self) } else { capabilities }
    }

    async fn generate(&self, _: &Request, _: &Progress) -> Result<Response, Error> {
        if matches!(self.gives, Gives::Overload) {
            return Err(self.error.clone());
        }
        let mut response = Response::new("Rayleigh.");
        response.usage = usage();
        Ok(response)
    }

    async fn health_check(&self) -> HealthStatus {
        HealthStatus::unknown(&*self.key)
    }
}

#[async_trait]
impl StreamingModelAdapter for Model {
    async fn stream(&self, _: &Request, _: &Progress) -> Result<EventStream, Error> {
        let pieces = if let Gives::Stream(pieces) = self.gives { pieces } else { 0 };
        let first = StreamEvent::Started(Started::default());
        let texts = iter::repeat_with(|| StreamEvent::Text("Rayleigh.".to_owned())).take(pieces);
        let last = [StreamEvent::Usage(usage()), StreamEvent::Finish(FinishReason::Stop)];
        Ok(Box::pin(stream::iter(iter::once(first).chain(texts).chain(last).map(Ok))))
    }
}
