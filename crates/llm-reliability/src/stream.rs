//! An answer that is handed out while it streams in.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use llm_protocol::{Error, StreamEvent, Usage};

use crate::attempt::Attempt;
use crate::flight::{Cause, Flight};
use crate::money::Cost;
use crate::report::{Ended, Report, sum_usage};
use crate::run::Run;

/// An answer while it streams in, with the trail of how it came about. Made by
/// [`failover_stream`](crate::ResilientClient::failover_stream).
///
/// It ends cleanly only after a whole answer. In every other case its last item is a [`StreamError`]: nobody
/// answered, or the answer was cut, in which case what came before the error is all there is. Dropping it ends the
/// request at the provider.
pub struct FailoverStream {
    run: Arc<Run>,
    ended: Ended,
    attempts: Vec<Attempt>,
    state: Handout,
    /// How long the call took, once it is over.
    elapsed: Option<Duration>,
}

enum Handout {
    /// One attempt has committed.
    Open(Box<Flight>),
    /// Nobody answered, and the caller has not been told yet.
    Failed,
    /// Everything has been said.
    Done,
}

impl FailoverStream {
    pub(crate) fn new(
        run: Arc<Run>,
        ended: Ended,
        attempts: Vec<Attempt>,
        flight: Option<Box<Flight>>,
    ) -> Self {
        let elapsed = flight.is_none().then(|| run.started.elapsed());
        let state = flight.map_or(Handout::Failed, Handout::Open);
        Self { run, ended, attempts, state, elapsed }
    }

    /// The attempts that have ended, in order. The one that is streaming joins them at its end.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Tokens of all attempts so far, the one that is streaming included, as far as their providers told.
    pub fn usage(&self) -> Usage {
        let mut usage = sum_usage(&self.attempts);
        if let Handout::Open(flight) = &self.state {
            usage.add(&flight.answer().response().usage);
        }
        usage
    }

    /// What they cost, one sum for each currency.
    pub fn cost(&self) -> Vec<Cost> {
        let open = match &self.state {
            Handout::Open(flight) => flight.cost(),
            Handout::Failed | Handout::Done => None,
        };
        Cost::sum(self.attempts.iter().filter_map(|attempt| attempt.cost.as_ref()).chain(&open))
    }

    /// How long the call has taken so far; once it is over, how long it took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed.unwrap_or_else(|| self.run.started.elapsed())
    }

    /// The report. An answer that is still streaming is given up: its attempt is cancelled, and the call was
    /// interrupted. One whose terminal marker has been read is whole.
    pub fn into_report(mut self) -> Report {
        if let Handout::Open(flight) = std::mem::replace(&mut self.state, Handout::Done) {
            let attempt = flight.cancel();
            self.end(if attempt.succeeded() { Ended::Answered } else { Ended::Interrupted }, attempt);
        }
        let elapsed = self.elapsed();
        self.run.report(self.ended, self.attempts, None, elapsed)
    }

    fn end(&mut self, ended: Ended, attempt: Attempt) {
        self.ended = ended;
        self.attempts.push(attempt);
        self.elapsed = Some(self.run.started.elapsed());
    }
}

impl Stream for FailoverStream {
    type Item = Result<StreamEvent, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = match &mut this.state {
            Handout::Open(flight) => ready!(flight.poll_handout(cx)),
            Handout::Failed => {
                this.state = Handout::Done;
                let error = this.attempts.iter().rev().find_map(Attempt::error).cloned();
                return Poll::Ready(Some(Err(StreamError { ended: this.ended, error })));
            }
            Handout::Done => return Poll::Ready(None),
        };
        if let Some(Ok(event)) = next {
            return Poll::Ready(Some(Ok(event)));
        }
        if let Handout::Open(flight) = std::mem::replace(&mut this.state, Handout::Done) {
            match next {
                Some(Err(error)) => {
                    this.end(Ended::Interrupted, flight.fail(Cause::Error(error.clone())));
                    let error = this.attempts.last().and_then(Attempt::error).cloned();
                    return Poll::Ready(Some(Err(StreamError { ended: Ended::Interrupted, error })));
                }
                _ => this.end(Ended::Answered, flight.finish()),
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for FailoverStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverStream").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// Why a stream has no more to give, though its answer is not whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamError {
    /// How the call ended: [`Ended::Interrupted`] when a part of the answer had been handed out.
    pub ended: Ended,
    /// The last error of an attempt, where there was one.
    pub error: Option<Error>,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ended)?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.as_ref().map(|error| error as &(dyn std::error::Error + 'static))
    }
}
