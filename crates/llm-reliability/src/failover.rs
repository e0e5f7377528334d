//! One good answer: candidates in order, the first that answers wins.

use crate::call::{Call, InputError};
use crate::client::ResilientClient;
use crate::course::{Course, Reached};
use crate::flight::Until;
use crate::report::{Ended, Report, Strategy};
use crate::run::Run;
use crate::stream::FailoverStream;

impl ResilientClient {
    /// Asks the candidates one after the other until one has answered in full: by their
    /// [priority](crate::Candidate::priority), and as listed where that is the same, unless there is another
    /// [order](crate::ClientBuilder::order).
    ///
    /// A failed candidate is left behind by its error's [category](llm_protocol::Category) and the
    /// [policy](crate::Policy); open circuits and throttled candidates are passed over without a wait. Where the policy
    /// [hedges](crate::Policy::hedge), a slow one is not waited for alone. That nobody answered is a value too: the report
    /// says how it [ended](Report::ended) and lists every attempt.
    ///
    /// # Errors
    ///
    /// [`InputError`], when nobody was asked because the input was wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the requests that are under way, gives their permits back, and tells the observer of them
    /// as [`Outcome::Cancelled`](crate::Outcome::Cancelled).
    pub async fn failover(&self, call: impl Into<Call>) -> Result<Report, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::Failover)?;
        let ended = match Course::new(&run, Until::Complete).advance().await {
            Reached::End(ended) => ended,
            // Nothing commits early that is collected to its end.
            Reached::Token(flight, _) => {
                flight.collect_rest().await;
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
    /// Dropping the future or the stream ends the requests that are under way, as in [`failover`](Self::failover).
    pub async fn failover_stream(&self, call: impl Into<Call>) -> Result<FailoverStream, InputError> {
        let run = Run::new(self.shared(), call.into(), Strategy::Failover)?;
        let reached = Course::new(&run, Until::FirstToken).advance().await;
        Ok(FailoverStream::new(run, reached))
    }
}
