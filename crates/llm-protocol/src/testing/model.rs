//! The scripted model itself.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use super::log::{Call, Ending, Ledger, Ticket};
use super::plan::{Plan, finished};
use super::playback::Playback;
use super::step::Step;
use crate::adapter::{
    EventStream, HealthStatus, ModelAdapter, StreamingModelAdapter, ToolCallingModelAdapter,
};
use crate::capability::Capabilities;
use crate::error::{Error, ErrorKind};
use crate::event::ResponseBuilder;
use crate::progress::{Progress, Stage};
use crate::request::Request;
use crate::response::Response;

/// A model that does what its script says and writes down what it was asked.
///
/// Each call uses up one [`Step`]; the last one repeats. Without a script it answers "ok". It streams and honours
/// nothing else unless told so; what it does not honour, and an empty request, it refuses before anything is sent.
///
/// Clones are cheap and share the script and the log; what they honour is each one's own.
#[derive(Clone)]
pub struct ScriptedModel {
    ledger: Arc<Ledger>,
    streams: bool,
    honours: Honours,
    ill: Option<Error>,
}

#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct Honours {
    tools: bool,
    json_object: bool,
    json_schema: bool,
    images: bool,
    context_window: Option<u64>,
}

impl ScriptedModel {
    /// A model of this name, `provider:model`, which is its key too. A name without a colon is of the provider
    /// "scripted".
    pub fn new(name: &str) -> Self {
        Self::with_key(name, name)
    }

    /// A model of this name, `provider:model`, under a key of its own.
    pub fn with_key(key: &str, name: &str) -> Self {
        let (provider, model) = name.split_once(':').unwrap_or(("scripted", name));
        let ledger = Ledger::new(key.into(), provider.to_owned(), model.to_owned());
        ledger.edit_script(|script| script.set_default(Step::default().into_plan(&ledger.key, model)));
        Self { ledger: Arc::new(ledger), streams: true, honours: Honours::default(), ill: None }
    }

    /// Adds a step to the script.
    pub fn then(self, step: Step) -> Self {
        self.then_times(1, step)
    }

    /// Adds a step to the script, this many times.
    pub fn then_times(self, times: usize, step: Step) -> Self {
        let plan = Arc::new(step.into_plan(&self.ledger.key, &self.ledger.model));
        self.ledger.edit_script(|script| {
            for _ in 0..times {
                script.push(Arc::clone(&plan));
            }
        });
        self
    }

    /// Starts the script over at its end, in place of repeating the last step.
    pub fn repeat(self) -> Self {
        self.ledger.edit_script(super::plan::Script::start_over);
        self
    }

    /// Makes the step of each call out of its request, in place of a script.
    pub fn respond_with(self, responder: impl Fn(&Request) -> Step + Send + Sync + 'static) -> Self {
        self.ledger.edit_script(|script| script.respond(Arc::new(responder)));
        self
    }

    /// Gives whole answers only.
    pub fn without_streaming(mut self) -> Self {
        self.streams = false;
        self
    }

    /// Honours tools, several calls in one answer included.
    pub fn with_tools(mut self) -> Self {
        self.honours.tools = true;
        self
    }

    /// Honours answers that are JSON objects.
    pub fn with_json_object(mut self) -> Self {
        self.honours.json_object = true;
        self
    }

    /// Honours answers that follow a JSON Schema.
    pub fn with_json_schema(mut self) -> Self {
        self.honours.json_schema = true;
        self
    }

    /// Looks at images.
    pub fn with_images(mut self) -> Self {
        self.honours.images = true;
        self
    }

    /// Declares a context window of this many tokens.
    pub fn with_context_window(mut self, tokens: u64) -> Self {
        self.honours.context_window = Some(tokens);
        self
    }

    /// Answers health checks with this error.
    pub fn unhealthy(mut self, error: Error) -> Self {
        self.ill = Some(error.with_model_key(Arc::clone(&self.ledger.key)));
        self
    }

    /// Stops writing down requests, for benchmarks: [`calls`](Self::calls) stays empty, the numbers are kept.
    pub fn without_log(self) -> Self {
        self.ledger.stop_logging();
        self
    }

    /// Every call that reached the model, in order. Calls that failed to be prepared or connected did not.
    pub fn calls(&self) -> Vec<Call> {
        self.ledger.calls()
    }

    /// How many calls reached the model.
    pub fn started(&self) -> usize {
        self.ledger.counts().started
    }

    /// How many of them have not ended.
    pub fn open(&self) -> usize {
        self.ledger.counts().open
    }

    /// How many calls were made, whether or not they reached the model.
    pub fn invoked(&self) -> usize {
        self.ledger.counts().invoked
    }

    /// How many of them have not ended: the open ones, and those that still prepare or connect.
    pub fn in_flight(&self) -> usize {
        self.ledger.counts().in_flight
    }

    /// Refuses what cannot be carried, before anything is sent.
    fn admit(&self, request: &Request, progress: &Progress) -> Result<(), Error> {
        let error = if request.is_empty() {
            Error::new(ErrorKind::BadRequest, "the request says nothing")
        } else if let Some(missing) = self.capabilities().missing(request) {
            Error::unsupported(missing.as_str())
        } else {
            return Ok(());
        };
        progress.enter(Stage::Prepare);
        Err(error.with_model_key(Arc::clone(&self.ledger.key)))
    }

    /// The way to the answer, of a step that has something happen on it.
    async fn reach(&self, plan: &Plan, streamed: bool, asked: Asked<'_>) -> Result<Ticket, Error> {
        let mut ticket = Ticket::new(Arc::clone(&self.ledger));
        let way = async {
            asked.progress.enter(Stage::Prepare);
            plan.prepare.pass().await?;
            asked.progress.enter(Stage::Connect);
            plan.connect.pass().await?;
            asked.progress.enter(Stage::Sent);
            ticket.receive(asked.request, streamed);
            plan.opening.pass().await
        };
        let passed = way.await;
        if passed.is_err() {
            ticket.ends(Ending::Failed);
        }
        passed.map(|()| ticket)
    }

    /// A whole answer that takes its time.
    async fn collect(&self, plan: Arc<Plan>, asked: Asked<'_>) -> Result<Response, Error> {
        let ticket = self.reach(&plan, false, asked).await?;
        let mut playback = Playback::new(plan, ticket);
        let mut builder = ResponseBuilder::default();
        while let Some(event) = poll_fn(|cx| Pin::new(&mut playback).poll_next(cx)).await {
            builder.absorb(&event?);
        }
        finished(builder, &self.ledger.key)
    }
}

/// What a call brings with it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    request: &'a Request,
    progress: &'a Progress,
}

#[async_trait]
impl ModelAdapter for ScriptedModel {
    fn key(&self) -> &str {
        &self.ledger.key
    }

    fn provider(&self) -> &str {
        &self.ledger.provider
    }

    fn model(&self) -> &str {
        &self.ledger.model
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let mut capabilities = Capabilities::new().with_context_window(self.honours.context_window);
        if self.streams {
            capabilities = capabilities.with_streaming(self);
        }
        if self.honours.tools {
            capabilities = capabilities.with_tools(self);
        }
        if self.honours.json_object {
            capabilities = capabilities.with_json_object();
        }
        if self.honours.json_schema {
            capabilities = capabilities.with_json_schema();
        }
        if self.honours.images {
            capabilities = capabilities.with_images();
        }
        capabilities
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        self.admit(request, progress)?;
        let plan = self.ledger.next(request);
        if let (true, Some(whole)) = (plan.at_once, &plan.whole) {
            progress.enter(Stage::Sent);
            self.ledger.pass(request, false, if whole.is_ok() { Ending::Completed } else { Ending::Failed });
            return whole.clone();
        }
        // Boxed, so that timers weigh nothing on the calls that need none.
        Box::pin(self.collect(plan, Asked { request, progress })).await
    }

    async fn health_check(&self) -> HealthStatus {
        HealthStatus::new(Arc::clone(&self.ledger.key), Duration::ZERO, self.ill.clone().map_or(Ok(()), Err))
    }
}

#[async_trait]
impl StreamingModelAdapter for ScriptedModel {
    async fn stream(&self, request: &Request, progress: &Progress) -> Result<EventStream, Error> {
        if !self.streams {
            progress.enter(Stage::Prepare);
            return Err(Error::unsupported("streaming").with_model_key(Arc::clone(&self.ledger.key)));
        }
        self.admit(request, progress)?;
        let plan = self.ledger.next(request);
        let ticket = if plan.at_once {
            progress.enter(Stage::Sent);
            Ticket::new_received(Arc::clone(&self.ledger), request, true)
        } else {
            Box::pin(self.reach(&plan, true, Asked { request, progress })).await?
        };
        Ok(Box::pin(Playback::new(plan, ticket)))
    }
}

impl ToolCallingModelAdapter for ScriptedModel {
    fn parallel_calls(&self) -> bool {
        true
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedModel")
            .field("key", &self.ledger.key)
            .field("counts", &self.ledger.counts())
            .finish_non_exhaustive()
    }
}
