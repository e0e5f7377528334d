//! Several answers: all candidates at once, every success kept.

use futures::future::join_all;

use crate::attempt::{Attempt, Launch};
use crate::call::{Call, InputError};
use crate::client::ResilientClient;
use crate::failover::exhausted;
use crate::flight::{Landing, Until};
use crate::report::{Ended, Quorum, QuorumPolicy, Report, Strategy};
use crate::run::Run;

impl ResilientClient {
    /// Asks all candidates at once, each a single time, and waits for every one of them.
    ///
    /// Admission is concurrent too. A throttled candidate is deferred, an open circuit is passed over, a failure is
    /// visible; none of them takes anything from the others. [`Report::responses`] has the answers in the order of
    /// the candidates. It succeeded when there is any.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody was asked because the input was wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends all requests that are under way; the observer is told of each as
    /// [`Outcome::Cancelled`](crate::Outcome::Cancelled).
    pub async fn fan_out(&self, call: impl Into<Call>) -> Result<Report, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::FanOut)?;
        let seats = run.shared.seats.iter().enumerate().map(async |(ordinal, seat)| {
            match run.attempt(seat, ordinal, Launch::Panel, run.begin(Launch::Panel), Until::Complete).await {
                Landing::Landed(attempt) => attempt,
                // Nothing commits early that is collected to its end.
                Landing::Committed(flight) => flight.finish(),
            }
        });
        let attempts = join_all(seats).await;
        let quorum = Quorum::of(QuorumPolicy::All, &attempts);
        Ok(run.report(ended(&quorum, &attempts), attempts, Some(quorum), run.started.elapsed()))
    }
}

/// Where there is no answer at all: is everyone only unavailable for now?
pub(crate) fn ended(quorum: &Quorum, attempts: &[Attempt]) -> Ended {
    match exhausted(attempts) {
        _ if quorum.is_met() => Ended::QuorumMet,
        Ended::Exhausted => Ended::QuorumNotMet,
        unavailable => unavailable,
    }
}
