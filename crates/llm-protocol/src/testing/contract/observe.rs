//! Makes one call and writes down all there was to see of it, for the rules to judge.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt};
use tokio::time::timeout;

use super::harness::{Harness, Provider, Scenario, Wired};
use crate::adapter::ModelAdapter;
use crate::error::Error;
use crate::event::{ResponseBuilder, StreamEvent};
use crate::progress::{Progress, Stage};
use crate::request::Request;
use crate::response::Response;

/// How often the provider is looked at before something counts as not happening.
const LOOKS: usize = 1000;

/// More events than any scenario gives rise to.
const MANY: usize = 10_000;

/// How the answer was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Whole,
    Streamed,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Whole(Box<Result<Response, Error>>),
    /// Everything that came, until the end.
    Streamed(Vec<Result<StreamEvent, Error>>),
    /// It did not come to an end in time.
    Hung,
    Panicked,
}

/// One call, when it is over.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) scenario: Scenario,
    pub(super) mode: Mode,
    pub(super) outcome: Outcome,
    /// What the adapter had said last of its progress.
    pub(super) stage: Stage,
    /// How many requests the provider received for it.
    pub(super) received: usize,
    /// What the latest of them said, where the provider keeps it.
    pub(super) told: Option<String>,
    /// Whether the provider has nothing open any more.
    pub(super) closed: bool,
}

impl Observation {
    /// Where it was seen, for messages.
    pub(super) fn place(&self) -> String {
        let how = match self.mode {
            Mode::Whole => "generate",
            Mode::Streamed => "stream",
        };
        format!("{how}, provider {}", self.scenario.name())
    }

    /// The error that it ended with.
    pub(super) fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Whole(result) => result.as_ref().as_ref().err(),
            Outcome::Streamed(items) => items.iter().find_map(|item| item.as_ref().err()),
            Outcome::Hung | Outcome::Panicked => None,
        }
    }

    /// The events before the first error.
    pub(super) fn events(&self) -> impl Iterator<Item = &StreamEvent> {
        let items = match &self.outcome {
            Outcome::Streamed(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map_while(|item| item.as_ref().ok())
    }

    /// The answer, if there is a whole one.
    pub(super) fn response(&self) -> Option<Response> {
        match &self.outcome {
            Outcome::Whole(result) => result.as_ref().as_ref().ok().cloned(),
            Outcome::Streamed(_) if self.error().is_none() => {
                let mut builder = ResponseBuilder::default();
                for event in self.events() {
                    builder.absorb(event);
                }
                builder.is_finished().then(|| builder.into_response())
            }
            _ => None,
        }
    }

    /// Whether it came to no end that could be judged; that breaks a rule of its own.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.outcome, Outcome::Hung | Outcome::Panicked)
    }
}

/// Makes one call against a provider that behaves like this. `None` when the harness cannot do that.
pub(super) async fn observe<H: Harness>(
    harness: &H,
    scenario: &Scenario,
    mode: Mode,
    request: &Request,
) -> Option<Observation> {
    let wired = harness.wire(scenario).await?;
    Some(call(harness, scenario, &wired, mode, request).await)
}

async fn call<H: Harness>(
    harness: &H,
    scenario: &Scenario,
    wired: &Wired<H::Adapter>,
    mode: Mode,
    request: &Request,
) -> Observation {
    let progress = Progress::new();
    let talk = AssertUnwindSafe(talk(&wired.adapter, mode, request, &progress)).catch_unwind();
    let outcome = match timeout(harness.patience(), talk).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome::Panicked,
        Err(_) => Outcome::Hung,
    };
    Observation {
        scenario: scenario.clone(),
        mode,
        outcome,
        stage: progress.stage(),
        received: wired.provider.received(),
        told: wired.provider.last_request(),
        closed: until(&*wired.provider, |provider| provider.open() == 0).await,
    }
}

pub(super) async fn talk<A: ModelAdapter>(
    adapter: &A,
    mode: Mode,
    request: &Request,
    progress: &Progress,
) -> Outcome {
    let (Mode::Streamed, Some(streaming)) = (mode, adapter.capabilities().streaming()) else {
        return Outcome::Whole(Box::new(adapter.generate(request, progress).await));
    };
    match streaming.stream(request, progress).await {
        Ok(events) => Outcome::Streamed(events.take(MANY).collect().await),
        Err(error) => Outcome::Streamed(vec![Err(error)]),
    }
}

/// Looks at the provider until this is so, or until it is not going to be.
pub(super) async fn until(provider: &dyn Provider, so: impl Fn(&dyn Provider) -> bool) -> bool {
    for _ in 0..LOOKS {
        if so(provider) {
            return true;
        }
        provider.breathe().await;
    }
    so(provider)
}
