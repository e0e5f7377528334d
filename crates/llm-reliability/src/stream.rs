//! An answer that is handed out while it streams in.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use llm_protocol::{Error, StreamEvent, Usage};

use crate::attempt::Attempt;
use crate::course::{Course, Reached};
use crate::flight::Flight;
use crate::money::Cost;
use crate::report::{Ended, Report, decisive_error, sum_usage};
use crate::run::Run;

/// An answer while it streams in, with the trail of how it came about. Made by
/// [`failover_stream`](crate::ResilientClient::failover_stream).
///
/// It ends cleanly only after a whole answer. In every other case its last item is a [`StreamError`]: nobody
/// answered, or the answer was cut, in which case what came before the error is all there is. Dropping it ends the
/// request at the provider.
///
/// Where the policy [restarts on a cut](crate::Policy::restart_on_cut), a cut is followed by the next candidate's first
/// token or by that error. Ahead of the token comes [`StreamEvent::Discard`]: what was handed out so far is void, and
/// the new answer follows from its beginning. Without that policy there is none.
pub struct FailoverStream {
    run: Arc<Run>,
    attempts: Vec<Attempt>,
    state: Handout,
    /// How the call ended and how long it took, once it is over.
    over: Option<(Ended, Duration)>,
}

enum Handout {
    /// One attempt has committed; with the way from there.
    Open(Box<Flight>, Course),
    /// The answer was cut, and those who come after are being asked.
    Restart(Pin<Box<dyn Future<Output = Reached> + Send>>),
    /// There is no whole answer, and the caller has not been told yet.
    Failed,
    /// Everything has been said.
    Done,
}

impl FailoverStream {
    pub(crate) fn new(run: Arc<Run>, reached: Reached) -> Self {
        let mut stream = Self { attempts: run.take_trail(), run, state: Handout::Failed, over: None };
        match reached {
            Reached::Token(flight, way) => stream.state = Handout::Open(flight, way),
            Reached::End(ended) => stream.end(ended),
        }
        stream
    }

    /// The attempts that have ended, in the order in which they began. The one that is under way joins them at its end.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Tokens of all attempts so far, the one that is streaming included, as far as their providers told. While the
    /// answer starts anew, those of the attempt that is being asked are left out until its first token, or its end.
    pub fn usage(&self) -> Usage {
        let mut usage = sum_usage(&self.attempts);
        if let Handout::Open(flight, _) = &self.state {
            usage.add(&flight.answer().response().usage);
        }
        usage
    }

    /// What they cost, one sum for each currency; of the same attempts as [`usage`](Self::usage).
    pub fn cost(&self) -> Vec<Cost> {
        let open = match &self.state {
            Handout::Open(flight, _) => flight.cost(),
            Handout::Restart(_) | Handout::Failed | Handout::Done => None,
        };
        Cost::sum(self.attempts.iter().filter_map(|attempt| attempt.cost.as_ref()).chain(&open))
    }

    /// How long the call has taken so far; once it is over, how long it took.
    pub fn elapsed(&self) -> Duration {
        self.over.map_or_else(|| self.run.started.elapsed(), |(_, elapsed)| elapsed)
    }

    /// The report. What is still under way is given up: its attempt is cancelled, and the call was interrupted. An
    /// answer whose terminal marker has been read is whole.
    pub fn into_report(mut self) -> Report {
        // A flight lands by being dropped.
        self.state = Handout::Done;
        self.gather();
        let (ended, elapsed) = self.over.unwrap_or_else(|| {
            let whole = self.attempts.iter().any(Attempt::succeeded);
            (if whole { Ended::Answered } else { Ended::Interrupted }, self.run.started.elapsed())
        });
        self.run.report(ended, self.attempts, None, elapsed)
    }

    /// Takes over the attempts that have landed on the way.
    fn gather(&mut self) {
        self.attempts.append(&mut self.run.trail.lock());
        self.attempts.sort_by_key(|attempt| attempt.ordinal);
    }

    fn end(&mut self, ended: Ended) {
        self.over = Some((ended, self.run.started.elapsed()));
    }

    /// The answer that is handed out is over: it is whole, or this has cut it.
    fn land(&mut self, cut: Option<Error>) {
        let Handout::Open(flight, mut way) = std::mem::replace(&mut self.state, Handout::Done) else {
            return;
        };
        let seat = Arc::clone(flight.seat());
        let landed = flight.end(cut.map_or(Ok(()), |error| Err(error.into())));
        if landed.succeeded {
            self.end(Ended::Answered);
        } else if landed.fallback_eligible {
            way.heed(&seat, landed);
            self.state = Handout::Restart(Box::pin(way.advance()));
        } else {
            self.give_up();
        }
        self.gather();
    }

    /// Nobody gives what is missing.
    fn give_up(&mut self) {
        self.end(Ended::Interrupted);
        self.state = Handout::Failed;
    }
}

impl Stream for FailoverStream {
    type Item = Result<StreamEvent, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                Handout::Open(flight, _) => match ready!(flight.poll_handout(cx)) {
                    Some(Ok(event)) => return Poll::Ready(Some(Ok(event))),
                    Some(Err(error)) => this.land(Some(error)),
                    None => this.land(None),
                },
                Handout::Restart(way) => {
                    let reached = way.as_mut().poll(cx);
                    this.gather();
                    match ready!(reached) {
                        Reached::Token(flight, way) => {
                            this.state = Handout::Open(flight, way);
                            return Poll::Ready(Some(Ok(StreamEvent::Discard)));
                        }
                        Reached::End(_) => this.give_up(),
                    }
                }
                Handout::Failed => {
                    this.state = Handout::Done;
                    let ended = this.over.map_or(Ended::Interrupted, |(ended, _)| ended);
                    let error = decisive_error(&this.attempts).cloned();
                    return Poll::Ready(Some(Err(StreamError { ended, error })));
                }
                Handout::Done => return Poll::Ready(None),
            }
        }
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
    /// What cut the answer; where none had been handed out, the last error of an attempt, if there was one.
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
