//! One request and what comes of it: sent, named, scrubbed, read to its end.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use llm_protocol::{Error, Progress, Response, Scrubber, Stage, Started, StreamEvent};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::IgnoredAny;

use crate::access::Pass;
use crate::adapter::Shared;
use crate::failure::Failure;
use crate::hints;
use crate::http::{self, Announced, Reader};
use crate::vendor::Vendor;

/// The most bytes that are read of the explanation of a failure.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// One request of an adapter's, and one only.
pub(crate) struct Call<V> {
    pub(crate) shared: Arc<Shared<V>>,
    pass: Pass,
    pub(crate) keep_raw: bool,
    pub(crate) structured_output_honored: Option<bool>,
}

impl<V: Vendor> Call<V> {
    /// A call with the credential for it.
    pub(crate) async fn new(shared: &Arc<Shared<V>>) -> Result<Self, Error> {
        let pass = shared.access.pass(&shared.vendor).await;
        let pass = pass.map_err(|error| error.with_model_key(Arc::clone(&shared.key)))?;
        Ok(Self { shared: Arc::clone(shared), pass, keep_raw: false, structured_output_honored: None })
    }

    pub(crate) fn scrubber(&self) -> &Scrubber {
        &self.pass.scrubber
    }

    /// Sends a request; returns when the provider has accepted it.
    pub(crate) async fn send(
        &mut self,
        body: Vec<u8>,
        stream: bool,
        progress: &Progress,
    ) -> Result<reqwest::Response, Error> {
        // Streams may be refused in JSON.
        let accept = if stream { "text/event-stream, application/json" } else { "application/json" };
        let request = self.shared.http.inner().post(self.shared.url.clone());
        let request = request
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(header::ACCEPT, HeaderValue::from_static(accept))
            .body(reqwest::Body::wrap(Announced::new(body.into(), progress.clone())));
        progress.enter(Stage::Connect);
        self.accepted(request, || progress.stage()).await
    }

    /// The response, if it is a success.
    async fn accepted(
        &mut self,
        request: RequestBuilder,
        stage: impl Fn() -> Stage + Send,
    ) -> Result<reqwest::Response, Error> {
        let head = request.headers(mem::take(&mut self.pass.headers)).send().await;
        let head = head.map_err(|fault| {
            let error = http::before_head(fault, stage(), self.scrubber());
            error.with_model_key(Arc::clone(&self.shared.key))
        })?;
        if head.status().is_success() {
            return Ok(head);
        }
        let (status, headers) = (head.status(), head.headers().clone());
        let body = Reader::new(head, MAX_ERROR_BYTES).collect_some().await;
        let failure = self.shared.vendor.failure(status.as_u16(), &headers, &body);
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

    /// The error of this failure, naming the model and the request.
    pub(crate) fn name(&self, mut failure: Failure, request_id: Option<&str>) -> Error {
        if let Some(id) = request_id {
            failure.request_id = Some(id.to_owned());
        }
        let error = failure.into_error(self.scrubber()).with_model_key(Arc::clone(&self.shared.key));
        self.pass.settle(&error);
        error
    }

    /// The error of a connection that broke during an answer.
    pub(crate) fn during(&self, error: Error, request_id: Option<&str>) -> Error {
        let error = error.with_model_key(Arc::clone(&self.shared.key));
        match request_id {
            Some(id) => error.with_request_id(self.scrubber().scrub(id)),
            None => error,
        }
    }

    /// The answer, read to its end.
    pub(crate) async fn whole(&self, head: reqwest::Response) -> Result<Response, Error> {
        let id = request_id(head.headers()).map(str::to_owned);
        let body = Reader::new(head, self.shared.max_response_bytes).collect(self.scrubber()).await;
        let body = body.map_err(|error| self.during(error, id.as_deref()))?;
        self.read(&body, id)
    }

    /// The answer in this body.
    pub(crate) fn read(&self, body: &[u8], id: Option<String>) -> Result<Response, Error> {
        let response = self.shared.vendor.decode(&self.shared.provider, body);
        let mut response = response.map_err(|failure| self.name(failure, id.as_deref()))?;
        response.request_id = self.presentable(id.or(response.request_id));
        response.model_id = self.presentable(response.model_id);
        response.structured_output_honored = self.structured_output_honored;
        if self.keep_raw {
            response.raw.push(String::from_utf8_lossy(body).into_owned());
        }
        Ok(response)
    }

    /// What is known of an answer before its body.
    pub(crate) fn started(&self, request_id: Option<&str>) -> Started {
        Started {
            request_id: request_id.map(|id| self.scrubber().scrub(id)),
            structured_output_honored: self.structured_output_honored,
            ..Started::default()
        }
    }

    /// The event as reports may keep it.
    pub(crate) fn shown(&self, event: StreamEvent) -> StreamEvent {
        match event {
            StreamEvent::Started(mut started) => {
                started.request_id = self.presentable(started.request_id);
                started.model_id = self.presentable(started.model_id);
                StreamEvent::Started(started)
            }
            content => content,
        }
    }

    /// A name or an id as reports may keep it: a host can put anything of any length into them.
    fn presentable(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.scrubber().scrub(&text))
    }

    /// Asks for the list of models.
    pub(crate) async fn health(mut self) -> Result<(), Error> {
        let request = self.shared.http.inner().get(self.shared.health_url.clone());
        let head = self.accepted(request, || Stage::Sent).await?;
        let id = request_id(head.headers()).map(str::to_owned);
        let body = Reader::new(head, self.shared.max_response_bytes).collect(self.scrubber()).await;
        let body = body.map_err(|error| self.during(error, id.as_deref()))?;
        let failure = match serde_json::from_slice::<IgnoredAny>(&body) {
            // A page where JSON should be comes from something else than the provider: a portal, a proxy.
            Err(error) => Failure::not_json("the list of models", &error),
            Ok(_) if holds_error(&body) => match self.shared.vendor.decode(&self.shared.provider, &body) {
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
    static NAMES: [HeaderName; 2] =
        [HeaderName::from_static("x-request-id"), HeaderName::from_static("request-id")];
    NAMES.iter().filter_map(|name| http::header(headers, name)).find(|id| !id.is_empty())
}
