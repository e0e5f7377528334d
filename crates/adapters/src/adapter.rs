//! An adapter: a vendor's codec over the HTTP core.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use llm_protocol::{
    Capabilities, Error, EventStream, HealthState, HealthStatus, ModelAdapter, Progress, Request, Response,
    Stage, StreamingModelAdapter, ToolCallingModelAdapter,
};
use reqwest::Url;
use tokio::time::Instant;

use crate::access::Access;
use crate::base_url;
use crate::call::Call;
use crate::http::HttpClient;
use crate::stream;
use crate::vendor::{Abilities, Target, Vendor};

/// One model of one vendor over HTTP. Cloning is cheap.
///
/// Made by `OpenAi::builder` or `Anthropic::builder`. Needs a tokio runtime. It keeps no clock for calls but the one
/// for connecting; dropping a call ends its request, closes the connection (on HTTP/2 resets the stream), and leaks
/// nothing.
pub struct Adapter<V> {
    shared: Arc<Shared<V>>,
}

/// What the calls of an adapter share.
pub(crate) struct Shared<V> {
    pub(crate) vendor: V,
    pub(crate) key: Arc<str>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) base: Url,
    pub(crate) url: Url,
    pub(crate) health_url: Url,
    pub(crate) access: Access,
    pub(crate) abilities: Abilities,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) context_window: Option<u64>,
    pub(crate) max_response_bytes: usize,
    pub(crate) max_event_bytes: usize,
    pub(crate) http: HttpClient,
}

impl<V: Vendor> Adapter<V> {
    pub(crate) fn new(shared: Shared<V>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// The request as it goes out, if this adapter can carry it.
    async fn call(
        &self,
        request: &Request,
        stream: bool,
        progress: &Progress,
    ) -> Result<(Call<V>, reqwest::Response), Error> {
        progress.enter(Stage::Prepare);
        let shared = &self.shared;
        let named = |error: Error| error.with_model_key(Arc::clone(&shared.key));
        if let Some(missing) = self.capabilities().missing(request) {
            return Err(named(Error::unsupported(missing.as_str())));
        }
        let target = Target {
            provider: &shared.provider,
            model: &shared.model,
            max_output_tokens: shared.max_output_tokens,
        };
        let encoded = shared.vendor.encode(&target, request, stream).map_err(named)?;
        let mut call = Call::new(shared).await?;
        call.keep_raw = request.keep_raw;
        call.structured_output_honored = encoded.structured_output_honored;
        let head = call.send(encoded.body, stream, progress).await?;
        Ok((call, head))
    }
}

#[async_trait]
impl<V: Vendor> ModelAdapter for Adapter<V> {
    fn key(&self) -> &str {
        &self.shared.key
    }

    fn provider(&self) -> &str {
        &self.shared.provider
    }

    fn model(&self) -> &str {
        &self.shared.model
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let abilities = self.shared.abilities;
        let mut capabilities =
            Capabilities::new().with_streaming(self).with_context_window(self.shared.context_window);
        if abilities.tools {
            capabilities = capabilities.with_tools(self);
        }
        if abilities.json_object {
            capabilities = capabilities.with_json_object();
        }
        if abilities.json_schema {
            capabilities = capabilities.with_json_schema();
        }
        if abilities.images {
            capabilities = capabilities.with_images();
        }
        capabilities
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        let answer = async {
            let (call, head) = self.call(request, false, progress).await?;
            call.whole(head).await
        };
        answer.await.map_err(|error: Error| error.without_quotations_of(request))
    }

    /// Asks for the list of models (OpenRouter: for the key's own page). Whether it names this one is not looked at:
    /// proxies and gateways serve models that they list by other names, or not at all. It waits as long as credentials
    /// and provider take.
    async fn health_check(&self) -> HealthStatus {
        let start = Instant::now();
        let (result, asked) = match Call::new(&self.shared).await {
            Ok(call) => (call.health().await, true),
            Err(error) => (Err(error), false),
        };
        // Some hosts have no such list, and serve their models all the same.
        let no_list = asked && result.as_ref().is_err_and(|error| matches!(error.status(), Some(404 | 405)));
        let mut status = HealthStatus::new(Arc::clone(&self.shared.key), start.elapsed(), result);
        if no_list {
            status.state = HealthState::Unknown;
        }
        status
    }
}

#[async_trait]
impl<V: Vendor> StreamingModelAdapter for Adapter<V> {
    async fn stream(&self, request: &Request, progress: &Progress) -> Result<EventStream, Error> {
        let opened = async {
            let (call, head) = self.call(request, true, progress).await?;
            stream::open(call, head)
        };
        opened.await.map_err(|error: Error| error.without_quotations_of(request))
    }
}

impl<V: Vendor> ToolCallingModelAdapter for Adapter<V> {
    fn parallel_calls(&self) -> bool {
        true
    }
}

impl<V> Clone for Adapter<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Without credentials, headers, and the query of the base URL.
impl<V: fmt::Debug> fmt::Debug for Adapter<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("key", &self.shared.key)
            .field("provider", &self.shared.provider)
            .field("model", &self.shared.model)
            .field("base_url", &base_url::shown(&self.shared.base).as_str())
            .finish_non_exhaustive()
    }
}
