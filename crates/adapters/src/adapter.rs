//! An adapter: a vendor's codec over the HTTP core.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::StreamExt;
use llm_protocol::{
    Capabilities, Error, EventStream, HealthState, HealthStatus, ModelAdapter, Progress, Request, Response,
    Scrubber, Stage, StreamEvent, StreamingModelAdapter,
};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use crate::base_url;
use crate::failure::Failure;
use crate::hints;
use crate::http::{self, Announced, HttpClient, Reader};
use crate::stream::{self, Shape};
use crate::vendor::{Target, Vendor};

/// The most bytes that are read of the explanation of a failure.
const MAX_ERROR_BYTES: usize = 64 << 10;

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
    pub(crate) headers: HeaderMap,
    pub(crate) scrubber: Scrubber,
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
        Capabilities::new().with_streaming(self).with_context_window(self.shared.context_window)
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        let answer = async { self.shared.whole(self.shared.ask(request, false, progress).await?).await };
        answer.await.map_err(|error| error.without_quotations_of(request))
    }

    /// Asks for the list of models. Whether it names this one is not looked at: proxies and gateways serve models
    /// that they list by other names, or not at all.
    async fn health_check(&self) -> HealthStatus {
        let start = Instant::now();
        let result = self.shared.health().await;
        // Some hosts have no such list, and serve their models all the same.
        let no_list = result.as_ref().is_err_and(|error| matches!(error.status(), Some(404 | 405)));
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
            let head = self.shared.ask(request, true, progress).await?;
            let shape = Shape::of(head.headers()).map_err(|failure| self.shared.explain(failure, &head))?;
            Ok(stream::open(Arc::clone(&self.shared), head, shape))
        };
        let events = opened.await.map_err(|error: Error| error.without_quotations_of(request))?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::pin(events.map(move |event| event.map(|event| shared.presentable(event)))))
    }
}

impl<V: Vendor> Shared<V> {
    /// Sends a request; returns when the provider has accepted it.
    async fn ask(
        &self,
        request: &Request,
        stream: bool,
        progress: &Progress,
    ) -> Result<reqwest::Response, Error> {
        progress.enter(Stage::Prepare);
        let target = Target {
            provider: &self.provider,
            model: &self.model,
            max_output_tokens: self.max_output_tokens,
        };
        let named = |error: Error| error.with_model_key(Arc::clone(&self.key));
        let body = self.vendor.encode(&target, request, stream).map_err(named)?;
        // Streams may be refused in JSON.
        let accept = if stream { "text/event-stream, application/json" } else { "application/json" };
        let call = self
            .http
            .inner()
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(header::ACCEPT, HeaderValue::from_static(accept))
            .headers(self.headers.clone())
            .body(reqwest::Body::wrap(Announced::new(body.into(), progress.clone())));
        progress.enter(Stage::Connect);
        let head = call.send().await;
        let head = head.map_err(|fault| named(http::before_head(fault, progress.stage(), &self.scrubber)))?;
        self.accepted(head).await
    }

    /// The response, if it is a success.
    async fn accepted(&self, head: reqwest::Response) -> Result<reqwest::Response, Error> {
        if head.status().is_success() {
            return Ok(head);
        }
        let (status, headers) = (head.status(), head.headers().clone());
        let body = Reader::new(head, MAX_ERROR_BYTES).collect_some().await;
        let failure = self.vendor.failure(status.as_u16(), &body);
        Err(self.refused(failure, status, &headers))
    }

    /// The error of an answer without success. Its headers are hints; those of a success are not, even when it
    /// turns out to be none: providers send them with every answer.
    fn refused(&self, mut failure: Failure, status: StatusCode, headers: &HeaderMap) -> Error {
        failure.retry_after = hints::retry_after(headers, failure.retry_after, status, SystemTime::now());
        let error = self.name(failure, request_id(headers)).with_status(status.as_u16());
        match hints::should_retry(headers) {
            Some(allowed) => error.with_should_retry(allowed),
            None => error,
        }
    }

    /// The error of an answer that began as a success.
    fn explain(&self, failure: Failure, head: &reqwest::Response) -> Error {
        self.name(failure, request_id(head.headers()))
    }

    /// The error of this failure, naming the model and the request.
    pub(crate) fn name(&self, mut failure: Failure, request_id: Option<&str>) -> Error {
        if let Some(id) = request_id {
            failure.request_id = Some(id.to_owned());
        }
        failure.into_error(&self.scrubber).with_model_key(Arc::clone(&self.key))
    }

    async fn whole(&self, head: reqwest::Response) -> Result<Response, Error> {
        let id = request_id(head.headers()).map(str::to_owned);
        let body = Reader::new(head, self.max_response_bytes).collect(&self.scrubber).await;
        let body = body.map_err(|error| self.during(error, id.as_deref()))?;
        let mut response = self.vendor.decode(&body).map_err(|failure| self.name(failure, id.as_deref()))?;
        response.request_id = id.or(response.request_id).map(|id| self.scrubber.scrub(&id));
        response.model_id = response.model_id.map(|id| self.scrubber.scrub(&id));
        Ok(response)
    }

    /// The event as reports may keep it: a host can put anything of any length into names and ids.
    fn presentable(&self, event: StreamEvent) -> StreamEvent {
        match event {
            StreamEvent::Started(mut started) => {
                started.request_id = started.request_id.map(|id| self.scrubber.scrub(&id));
                started.model_id = started.model_id.map(|id| self.scrubber.scrub(&id));
                StreamEvent::Started(started)
            }
            content => content,
        }
    }

    /// The error of a connection that broke during an answer.
    pub(crate) fn during(&self, error: Error, request_id: Option<&str>) -> Error {
        let error = error.with_model_key(Arc::clone(&self.key));
        match request_id {
            Some(id) => error.with_request_id(self.scrubber.scrub(id)),
            None => error,
        }
    }

    async fn health(&self) -> Result<(), Error> {
        let call = self.http.inner().get(self.health_url.clone()).headers(self.headers.clone());
        let head = call.send().await.map_err(|fault| {
            let error = http::before_head(fault, Stage::Sent, &self.scrubber);
            error.with_model_key(Arc::clone(&self.key))
        })?;
        let head = self.accepted(head).await?;
        let id = request_id(head.headers()).map(str::to_owned);
        let body = Reader::new(head, self.max_response_bytes).collect(&self.scrubber).await;
        let body = body.map_err(|error| self.during(error, id.as_deref()))?;
        let failure = match serde_json::from_slice::<IgnoredAny>(&body) {
            // A page where JSON should be comes from something else than the provider: a portal, a proxy.
            Err(error) => Failure::not_json("the list of models", &error),
            Ok(_) if holds_error(&body) => match self.vendor.decode(&body) {
                Err(failure) => failure,
                Ok(_) => Failure::protocol("an error instead of the list of models"),
            },
            Ok(_) => return Ok(()),
        };
        Err(self.name(failure, id.as_deref()))
    }
}

/// Whether the JSON is an object with an error in it.
fn holds_error(json: &[u8]) -> bool {
    let members = serde_json::from_slice::<HashMap<String, Option<IgnoredAny>>>(json);
    members.is_ok_and(|members| matches!(members.get("error"), Some(Some(_))))
}

/// The provider's id of the request: `x-request-id` (OpenAI and most others) or `request-id` (Anthropic). As it came:
/// whatever leaves the adapter goes through the scrubber, which also cuts it.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    let ids = ["x-request-id", "request-id"].into_iter().filter_map(|name| http::header(headers, name));
    ids.into_iter().find(|id| !id.is_empty())
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
