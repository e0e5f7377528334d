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
    /// Asks the candidates one after the other until one has answered in full.
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
        let (ended, attempts, _) = first_good(&run, Until::Complete).await;
        Ok(run.report(ended, attempts, None, run.started.elapsed()))
    }

    /// Like [`failover`](Self::failover), and hands the answer out while it streams in.
    ///
    /// Returns with the first token, or when there is none to be had; until then failures move on silently. After it
    /// the answer is committed to its candidate: if it is cut, the stream ends with an error, what came stays with
    /// the caller, and nothing is replayed.
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
        let (ended, attempts, flight) = first_good(&run, Until::FirstToken).await;
        Ok(FailoverStream::new(run, ended, attempts, flight))
    }
}

type Trail = (Ended, Vec<Attempt>, Option<Box<Flight>>);

/// Until one attempt reaches its commit point: every candidate, and every try of it.
async fn first_good(run: &Arc<Run>, until: Until) -> Trail {
    let mut trail = Vec::with_capacity(1);
    let mut launch = Launch::Primary;
    for seat in &run.shared.seats {
        for retried in 0.. {
            let begun = run.begin(launch);
            if run.is_over(begun) {
                return (Ended::TotalTimeout, trail, None);
            }
            let attempt = match run.attempt(seat, trail.len(), launch, begun, until).await {
                Landing::Committed(flight) => return (Ended::Answered, trail, Some(flight)),
                Landing::Landed(attempt) => attempt,
            };
            let step = run.after(&attempt, retried);
            trail.push(attempt);
            match step {
                Step::Finish => return (Ended::Answered, trail, None),
                Step::Stop => return (Ended::Stopped, trail, None),
                Step::OutOfTime => return (Ended::TotalTimeout, trail, None),
                Step::Retry(pause) if run.pause(pause).await => launch = Launch::Retry,
                Step::Retry(_) | Step::Advance => break,
            }
        }
        launch = Launch::Failover;
    }
    (exhausted(&trail), trail, None)
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
