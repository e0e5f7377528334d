//! Adapters with one flaw each, around a model that has none.

use std::fmt;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use llm_protocol::testing::ScriptedModel;
use llm_protocol::testing::contract::SECRET;
use llm_protocol::{
    Capabilities, Error, ErrorKind, EventStream, HealthStatus, ModelAdapter, Part, Progress, Request,
    Response, Role, StreamEvent, StreamingModelAdapter, ToolCallingModelAdapter,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    NoProvider,
    SecretInDebug,
    HealthOfAnother,
    SendsEmptyRequests,
    IgnoresFormats,
    RefusesForeignCalls,
    RefusesForeignThoughts,
    NoUsageInStreams,
    GoesOnAfterFinish,
    Buffers,
    GoesOnAfterErrors,
    NamelessErrors,
    SecretInMessage,
    SecretInSource,
    PromptInMessage,
    Retries,
    NoProgress,
    KeepsStreams,
    LeavesOpen,
    Detaches,
    PanicsOnFailure,
    GivesUp,
}

pub(crate) struct Flawed {
    model: ScriptedModel,
    flaw: Flaw,
}

impl Flawed {
    pub(crate) fn new(model: ScriptedModel, flaw: Flaw) -> Self {
        Self { model, flaw }
    }

    /// The request as the flaw has it sent.
    fn outgoing(&self, request: &Request) -> Request {
        let mut request = request.clone();
        match self.flaw {
            Flaw::SendsEmptyRequests if request.is_empty() => request.messages = vec!["(nothing)".into()],
            Flaw::IgnoresFormats => request.response_format = None,
            _ => {}
        }
        request
    }

    /// What the flaw does before anything is sent.
    fn before(&self, request: &Request) -> Result<(), Error> {
        let foreign = request.messages.iter().any(|message| message.role == Role::Tool);
        let thought = |part: &Part| matches!(part, Part::Opaque(_));
        let thoughts = request.messages.iter().flat_map(|message| &message.content).any(thought);
        if self.flaw == Flaw::RefusesForeignThoughts && thoughts {
            return Err(Error::new(ErrorKind::BadRequest, "not signed").with_model_key(self.model.key()));
        }
        if self.flaw == Flaw::RefusesForeignCalls && foreign {
            return Err(Error::new(ErrorKind::BadRequest, "no such call").with_model_key(self.model.key()));
        }
        Ok(())
    }

    /// What the flaw makes of an error.
    fn spoil(&self, error: Error, request: &Request) -> Error {
        let key = self.model.key();
        match self.flaw {
            Flaw::NamelessErrors => Error::new(error.kind(), error.message())
                .with_retry_after(error.retry_after().unwrap_or_default()),
            Flaw::SecretInMessage if error.kind() == ErrorKind::Authentication => {
                Error::new(error.kind(), format!("who is {SECRET}?")).with_model_key(key)
            }
            Flaw::SecretInSource if error.kind() == ErrorKind::Connection => {
                error.with_source(std::io::Error::other(format!("no route to host with {SECRET}")))
            }
            Flaw::PromptInMessage if error.kind() == ErrorKind::ContextLength => {
                Error::new(error.kind(), request.messages[0].text()).with_model_key(key)
            }
            Flaw::PanicsOnFailure if error.kind() == ErrorKind::Server => panic!("index out of bounds"),
            _ => error,
        }
    }
}

#[async_trait]
impl ModelAdapter for Flawed {
    fn key(&self) -> &str {
        self.model.key()
    }

    fn provider(&self) -> &str {
        if self.flaw == Flaw::NoProvider { "" } else { self.model.provider() }
    }

    fn model(&self) -> &str {
        self.model.model()
    }

    fn capabilities(&self) -> Capabilities<'_> {
        self.model.capabilities().with_streaming(self).with_tools(self)
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        self.before(request)?;
        let outgoing = self.outgoing(request);
        let unheard = Progress::new();
        let progress = if self.flaw == Flaw::NoProgress { &unheard } else { progress };
        let mut result = match self.flaw {
            Flaw::Detaches => {
                let (model, progress) = (self.model.clone(), progress.clone());
                let call = tokio::spawn(async move { model.generate(&outgoing, &progress).await });
                call.await.unwrap()
            }
            Flaw::GivesUp => {
                let limit = std::time::Duration::from_millis(5);
                let late = |_| Err(Error::new(ErrorKind::Server, "no answer").with_model_key(self.key()));
                tokio::time::timeout(limit, self.model.generate(&outgoing, progress))
                    .await
                    .unwrap_or_else(late)
            }
            _ => self.model.generate(&outgoing, progress).await,
        };
        if self.flaw == Flaw::Retries && result.as_ref().is_err_and(Error::retryable) {
            result = self.model.generate(request, progress).await;
        }
        result.map_err(|error| self.spoil(error, request))
    }

    async fn health_check(&self) -> HealthStatus {
        if self.flaw == Flaw::HealthOfAnother {
            return HealthStatus::unknown("acme:another");
        }
        self.model.health_check().await
    }
}

#[async_trait]
impl StreamingModelAdapter for Flawed {
    async fn stream(&self, request: &Request, progress: &Progress) -> Result<EventStream, Error> {
        self.before(request)?;
        let unheard = Progress::new();
        let progress = if self.flaw == Flaw::NoProgress { &unheard } else { progress };
        let opened = self.model.stream(&self.outgoing(request), progress).await;
        let events = opened.map_err(|error| self.spoil(error, request))?;
        Ok(match self.flaw {
            Flaw::NoUsageInStreams => {
                events.filter(|item| std::future::ready(!matches!(item, Ok(StreamEvent::Usage(_))))).boxed()
            }
            Flaw::GoesOnAfterFinish => events
                .flat_map(|item| {
                    let late = matches!(item, Ok(StreamEvent::Finish(_)))
                        .then(|| Ok(StreamEvent::Text(String::new())));
                    stream::iter([Some(item), late].into_iter().flatten())
                })
                .boxed(),
            Flaw::GoesOnAfterErrors => events
                .flat_map(|item| {
                    let late = item.is_err().then(|| Ok(StreamEvent::Text("again".into())));
                    stream::iter([Some(item), late].into_iter().flatten())
                })
                .boxed(),
            Flaw::Buffers => {
                let all = async move { stream::iter(events.collect::<Vec<_>>().await) };
                stream::once(all).flatten().boxed()
            }
            Flaw::NamelessErrors => {
                events.map(|item| item.map_err(|error| Error::new(error.kind(), error.message()))).boxed()
            }
            // The connection outlives whoever reads from it.
            Flaw::KeepsStreams => {
                let (forward, reader) = tokio::sync::mpsc::channel(100);
                tokio::spawn(async move {
                    let mut events = events;
                    while let Some(item) = events.next().await {
                        let _ = forward.send(item).await;
                    }
                });
                stream::unfold(reader, |mut reader| async { reader.recv().await.map(|item| (item, reader)) })
                    .boxed()
            }
            _ => events,
        })
    }
}

impl ToolCallingModelAdapter for Flawed {
    fn parallel_calls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Flawed");
        if self.flaw == Flaw::SecretInDebug {
            shown.field("headers", &format!("x-key: {SECRET}"));
        }
        shown.field("model", &self.model).finish()
    }
}
