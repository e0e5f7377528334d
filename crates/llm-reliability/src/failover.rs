//! One good answer: candidates in order, the first that answers wins.

use std::sync::Arc;

use circuit_breaker::{LimitReason, RejectReason};

use crate::attempt::{Attempt, Launch, Outcome};
use crate::call::{Call, InputError};
use crate::client::ResilientClient;
use crate::flight::{Flight, Landing, Until};
use crate::policy::Step;
use crate::report::{Ended, Report, Strategy};
use crate::run::Run;
use crate::stream::FailoverStream;

impl ResilientClient {
    /// Asks the candidates one after the other until one has answered in full: by their
    /// [priority](crate::Candidate::priority), and as listed where that is the same.
    ///
    /// A failed candidate is left behind by its error's [category](llm_protocol::Category) and the
    /// [policy](crate::Policy); open circuits and throttled candidates are passed over without a wait. That nobody
    /// answered is a value too: the report says how it [ended](Report::ended) and lists every attempt.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody was asked because the input was wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request that is under way, gives its permit back, and tells the observer of it as
    /// [`Outcome::Cancelled`].
    pub async fn failover(&self, call: impl Into<Call>) -> Result<Report, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::Failover)?;
        let ended = match Course::new(&run, Until::Complete).advance().await {
            Reached::End(ended) => ended,
            // Nothing commits early that is collected to its end.
            Reached::Token(flight, _) => {
                run.keep(flight.finish());
                Ended::Answered
            }
        };
        Ok(run.report(ended, run.take_trail(), None, run.started.elapsed()))
    }

    /// Like [`failover`](Self::failover), and hands the answer out while it streams in.
    ///
    /// Returns with the first token, or when there is none to be had; until then failures move on silently. After it
    /// the answer is committed to its candidate: if it is cut, the stream ends with an error, what came stays with
    /// the caller, and nothing is replayed. A policy that [restarts on a cut](crate::Policy::restart_on_cut) asks the
    /// remaining candidates first.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody was asked because the input was wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future or the stream ends the request that is under way, as in [`failover`](Self::failover).
    pub async fn failover_stream(&self, call: impl Into<Call>) -> Result<FailoverStream, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::Failover)?;
        let reached = Course::new(&run, Until::FirstToken).advance().await;
        Ok(FailoverStream::new(run, reached))
    }
}

/// The way of one call along its candidates. It can be taken up where it was left: after an answer that was cut.
pub(crate) struct Course {
    run: Arc<Run>,
    until: Until,
    /// How many candidates have had their turn.
    asked: usize,
    /// How many attempts have begun.
    begun: usize,
}

/// Where a course has come to.
pub(crate) enum Reached {
    /// The end of the call.
    End(Ended),
    /// The first token of an attempt that goes on, and the way from there.
    Token(Box<Flight>, Course),
}

impl Course {
    fn new(run: &Arc<Run>, until: Until) -> Self {
        Self { run: Arc::clone(run), until, asked: 0, begun: 0 }
    }

    /// Until one attempt reaches its commit point: every candidate that has not had its turn, and every try of it.
    pub(crate) async fn advance(mut self) -> Reached {
        let run = Arc::clone(&self.run);
        for seat in run.shared.ranked.iter().skip(self.asked) {
            self.asked += 1;
            let mut launch = if self.begun == 0 { Launch::Primary } else { Launch::Failover };
            for retried in 0.. {
                let now = run.begin(launch);
                if run.is_over(now) {
                    return Reached::End(Ended::TotalTimeout);
                }
                let ordinal = self.begun;
                self.begun += 1;
                let attempt = match run.attempt(seat, ordinal, launch, now, self.until).await {
                    Landing::Committed(flight) => {
                        self.until = Until::Takeover;
                        return Reached::Token(flight, self);
                    }
                    Landing::Landed(attempt) => attempt,
                };
                let step = run.after(&attempt, retried);
                let charged = !matches!(attempt.outcome, Outcome::DeferredBackpressure(_));
                run.keep(attempt);
                match step {
                    Step::Finish => return Reached::End(Ended::Answered),
                    Step::Stop => return Reached::End(Ended::Stopped),
                    Step::OutOfTime => return Reached::End(Ended::TotalTimeout),
                    Step::Retry(pause) if run.may_retry(seat, pause, charged).await => {
                        run.pause(pause).await;
                    }
                    Step::Retry(_) | Step::Advance => break,
                }
                launch = Launch::Retry;
            }
        }
        Reached::End(exhausted(&run.trail.lock()))
    }
}

/// Nobody is left: was everyone only unavailable for now, or the store that knows?
pub(crate) fn exhausted(trail: &[Attempt]) -> Ended {
    let (mut unavailable, mut no_store) = (false, false);
    for attempt in trail {
        match attempt.outcome {
            Outcome::PreemptedOpen { reason: RejectReason::StoreUnavailable, .. }
            | Outcome::PreemptedLimited { reason: LimitReason::StoreUnavailable, .. } => no_store = true,
            // Waiting would not help.
            Outcome::PreemptedUnsupported(_)
            | Outcome::PreemptedLimited { reason: LimitReason::NeverFits, .. } => {}
            Outcome::PreemptedOpen { .. } | Outcome::PreemptedLimited { .. } => unavailable = true,
            _ => return Ended::Exhausted,
        }
    }
    match (unavailable, no_store) {
        (true, _) => Ended::Unavailable,
        (false, true) => Ended::StoreUnavailable,
        (false, false) => Ended::Exhausted,
    }
}
