//! What a strategy returns: every attempt, and what came of them.

mod agreement;
mod no_answer;
mod quorum;
mod wire;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_protocol::{Error, Response, Usage};
use serde::{Deserialize, Serialize};

pub use self::no_answer::NoAnswer;
pub(crate) use self::quorum::{Judgement, Tally};
pub use self::quorum::{Quorum, QuorumPolicy};
use crate::attempt::{Attempt, Launch, Outcome};
use crate::money::Cost;

/// The version of the report's JSON. It changes when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Which strategy was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// One good answer.
    Failover,
    /// Several answers.
    FanOut,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// One candidate answered.
    Answered,
    /// Every candidate was tried, and none answered.
    Exhausted,
    /// An error that the policy does not move on from.
    Stopped,
    /// The time of the whole call was up.
    TotalTimeout,
    /// Nobody was asked: every candidate's circuit is open or its limit reached.
    Unavailable,
    /// Nobody was asked: the shared store was not available, and was told to refuse then.
    StoreUnavailable,
    /// The answer was cut after a part of it had reached the caller, and no other took its place.
    Interrupted,
    /// Enough candidates answered.
    QuorumMet,
    /// Not enough candidates answered.
    QuorumNotMet,
}

/// For people; the name in reports is what serde writes.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered | Self::QuorumMet => "answered",
            Self::Exhausted => "no candidate answered",
            Self::Stopped => "stopped at an error that the policy does not move on from",
            Self::TotalTimeout => "the time of the whole call was up",
            Self::Unavailable => "every candidate is unavailable for now",
            Self::StoreUnavailable => "the shared store is not available",
            Self::Interrupted => "the answer was cut",
            Self::QuorumNotMet => "too few candidates answered",
        })
    }
}

/// What a strategy returns, on success and on failure alike. As JSON it has a schema version and goes both ways; it
/// holds neither a prompt nor a credential, unless the request asked to
/// [keep](llm_protocol::Request::keep_raw) what the provider sent and the provider sent them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub struct Report {
    strategy: Strategy,
    ended: Ended,
    attempts: Vec<Attempt>,
    quorum: Option<Quorum>,
    elapsed: Duration,
}

impl Report {
    pub(crate) fn new(
        strategy: Strategy,
        ended: Ended,
        attempts: Vec<Attempt>,
        quorum: Option<Quorum>,
        elapsed: Duration,
    ) -> Self {
        Self { strategy, ended, attempts, quorum, elapsed }
    }

    /// Which strategy was called.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// How it ended.
    pub fn ended(&self) -> Ended {
        self.ended
    }

    /// Whether there is an answer, or were enough of them.
    pub fn succeeded(&self) -> bool {
        matches!(self.ended, Ended::Answered | Ended::QuorumMet)
    }

    /// Whether something did not go as it should, although there may be an answer: some attempt failed, was preempted
    /// or deferred.
    pub fn degraded(&self) -> bool {
        let fine = |attempt: &Attempt| matches!(attempt.outcome, Outcome::Success(_) | Outcome::Cancelled);
        !self.attempts.iter().all(fine)
    }

    /// Every attempt, in the order in which they began; of a `fan_out` in the order of its seats, and then the substitutes.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The answer of a `failover`.
    pub fn response(&self) -> Option<&Response> {
        match self.strategy {
            Strategy::Failover => self.responses().next().map(|(_, response)| response),
            Strategy::FanOut => None,
        }
    }

    /// Every answer with the candidate that gave it, in the order of the attempts.
    pub fn responses(&self) -> impl Iterator<Item = (&Arc<str>, &Response)> {
        self.attempts.iter().filter_map(|attempt| Some((&attempt.model_key, attempt.response()?)))
    }

    /// What the caller was left with of an answer that was cut, when the call ended with it. `None` when there is an
    /// answer, and when another candidate had begun to give one in place of what was cut: the caller had discarded it.
    /// Each attempt that was cut keeps [its own](Attempt::partial).
    pub fn partial(&self) -> Option<&Response> {
        if self.ended != Ended::Interrupted {
            return None;
        }
        last_handed_out(&self.attempts).and_then(Attempt::partial)
    }

    /// How many answers were wanted and how many came, of a `fan_out`.
    pub fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref()
    }

    /// Tokens of all attempts together, as far as their providers told.
    pub fn usage(&self) -> Usage {
        sum_usage(&self.attempts)
    }

    /// What all attempts cost together, one sum for each currency. Empty without prices.
    pub fn cost(&self) -> Vec<Cost> {
        Cost::sum(self.attempts.iter().filter_map(|attempt| attempt.cost.as_ref()))
    }

    /// How long the call took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// When asking again makes sense: the earliest that any candidate is available again, when all of them were
    /// unavailable or throttled. Only of those that know: one that waits for calls in flight to end, or for its probes,
    /// may be free before, one that is held open may stay so, and a request that never fits does not come to fit.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.attempts)
    }

    /// The answer of a `failover`, or of a `fan_out` the first in the order of its seats.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`], which carries this report.
    pub fn into_result(mut self) -> Result<Response, NoAnswer> {
        let answer = self.attempts.iter().position(Attempt::succeeded).filter(|_| self.succeeded());
        match answer.map(|at| self.attempts.swap_remove(at).outcome) {
            Some(Outcome::Success(response)) => Ok(response),
            _ => Err(NoAnswer::new(self)),
        }
    }
}

/// The earliest that any of them is available again, if all were unavailable. Of a candidate that was asked again only the
/// last word counts.
pub(crate) fn retry_after(attempts: &[Attempt]) -> Option<Duration> {
    let unavailable = |attempt: &Attempt| {
        matches!(
            attempt.outcome,
            Outcome::PreemptedOpen { .. }
                | Outcome::PreemptedLimited { .. }
                | Outcome::PreemptedUnsupported(_)
                | Outcome::DeferredBackpressure(_)
        )
    };
    if !attempts.iter().all(unavailable) {
        return None;
    }
    let mut asked_again = HashSet::new();
    let last_words = attempts.iter().rev().filter(|attempt| {
        let last = !asked_again.contains(&attempt.model_key);
        if matches!(attempt.launch, Launch::Retry | Launch::Hedge) {
            asked_again.insert(&attempt.model_key);
        }
        last
    });
    last_words.filter_map(Attempt::retry_after).min()
}

/// Whose answer the caller had last: every earlier one was discarded for it.
fn last_handed_out(attempts: &[Attempt]) -> Option<&Attempt> {
    attempts.iter().rev().find(|attempt| attempt.handed_out)
}

/// The error to tell of a call without an answer: what cut the one that the caller had last, if anything did, else the
/// last.
pub(crate) fn decisive_error(attempts: &[Attempt]) -> Option<&Error> {
    let any = || attempts.iter().rev().find_map(Attempt::error);
    last_handed_out(attempts).map_or_else(any, Attempt::error)
}

pub(crate) fn sum_usage(attempts: &[Attempt]) -> Usage {
    let mut sum = Usage::default();
    attempts.iter().filter_map(|attempt| attempt.usage.as_ref()).for_each(|usage| sum.add(usage));
    sum
}

#[cfg(test)]
mod tests;
