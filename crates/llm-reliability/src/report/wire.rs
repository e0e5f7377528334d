//! The report as JSON: responses stand beside the trail, each in one place.

use std::time::Duration;

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{Error, FinishReason, Response, Usage};
use serde::{Deserialize, Serialize};

use super::{Ended, Quorum, Report, SCHEMA, Strategy};
use crate::attempt::{Attempt, Launch, Outcome, Phase};
use crate::money::Cost;
use crate::timeouts::CENTURY;

#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    schema: u32,
    strategy: Strategy,
    ended: Ended,
    #[serde(default, skip_deserializing)]
    succeeded: bool,
    #[serde(default, skip_deserializing)]
    degraded: bool,
    quorum: Option<Quorum>,
    response: Option<Answer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    responses: Option<Vec<Answer>>,
    /// Only of an answer that was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partial: Option<Answer>,
    attempts: Vec<WireAttempt>,
    #[serde(default, skip_deserializing)]
    usage: Usage,
    #[serde(default, skip_deserializing)]
    cost: Vec<Cost>,
    elapsed_ms: f64,
    #[serde(default, skip_deserializing)]
    retry_after_ms: Option<f64>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    model_key: String,
    #[serde(flatten)]
    response: Response,
}

#[derive(Serialize, Deserialize)]
struct WireAttempt {
    model_key: String,
    provider: String,
    model_id: String,
    request_id: Option<String>,
    ordinal: u32,
    launch: Launch,
    outcome: String,
    phase: Option<Phase>,
    start_ms: f64,
    first_token_ms: Option<f64>,
    latency_ms: f64,
    error: Option<Error>,
    /// What the provider said of asking the same host again; no part of the error's own JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    should_retry: Option<bool>,
    /// Of a preempted attempt: when its candidate is available again, and why it is not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Only of an empty answer: others tell it with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    cost: Option<Cost>,
    fallback_eligible: bool,
    degraded: bool,
}

/// Why a report could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("schema {0} is not the one that this version reads, {SCHEMA}")]
    Schema(u32),
    #[error("unknown outcome `{0}`")]
    Outcome(String),
    #[error("a {0} attempt without its {1}")]
    Missing(&'static str, &'static str),
    #[error("more answers than successful attempts")]
    StrayAnswer,
    #[error("not a duration: {0} ms")]
    Duration(f64),
    #[error("the answer of `{0}` stands where that of `{1}` should")]
    Answer(String, String),
    #[error("`ended` or `quorum` do not agree with the attempts")]
    Contradiction,
}

impl From<Report> for Wire {
    fn from(report: Report) -> Self {
        let (succeeded, degraded) = (report.succeeded(), report.degraded());
        let (usage, cost, retry_after) = (report.usage(), report.cost(), report.retry_after());
        let mut answers = Vec::new();
        let mut partial = None;
        let mut attempts = Vec::with_capacity(report.attempts.len());
        for attempt in report.attempts {
            let (wire, kept) = WireAttempt::split(attempt);
            attempts.push(wire);
            match kept {
                Some(Kept::Whole(answer)) => answers.push(answer),
                Some(Kept::Partial(answer)) => partial = Some(answer),
                None => {}
            }
        }
        let (response, responses) = match report.strategy {
            Strategy::Failover => (answers.pop(), None),
            Strategy::FanOut => (None, Some(answers)),
        };
        Self {
            schema: SCHEMA,
            strategy: report.strategy,
            ended: report.ended,
            succeeded,
            degraded,
            quorum: report.quorum,
            response,
            responses,
            partial,
            attempts,
            usage,
            cost,
            elapsed_ms: to_ms(report.elapsed),
            retry_after_ms: retry_after.map(to_ms),
        }
    }
}

impl TryFrom<Wire> for Report {
    type Error = WireError;

    fn try_from(wire: Wire) -> Result<Self, WireError> {
        if wire.schema != SCHEMA {
            return Err(WireError::Schema(wire.schema));
        }
        let mut answers = wire.response.into_iter().chain(wire.responses.into_iter().flatten());
        let mut partial = wire.partial;
        let attempts: Result<Vec<_>, _> =
            wire.attempts.into_iter().map(|attempt| attempt.join(&mut answers, &mut partial)).collect();
        let attempts = attempts?;
        if answers.next().is_some() || partial.is_some() {
            return Err(WireError::StrayAnswer);
        }
        let report = Self {
            strategy: wire.strategy,
            ended: wire.ended,
            attempts,
            quorum: wire.quorum,
            elapsed: from_ms(wire.elapsed_ms)?,
        };
        if report.agrees() { Ok(report) } else { Err(WireError::Contradiction) }
    }
}

impl Report {
    /// Whether the end is what the attempts came to.
    fn agrees(&self) -> bool {
        let answered = self.responses().count();
        let counted = |quorum: &Quorum| quorum.answered == answered && quorum.seats == self.attempts.len();
        match self.strategy {
            Strategy::Failover => self.quorum.is_none() && answered == usize::from(self.succeeded()),
            Strategy::FanOut => self
                .quorum
                .as_ref()
                .is_some_and(|quorum| counted(quorum) && quorum.is_met() == self.succeeded()),
        }
    }
}

enum Kept {
    Whole(Answer),
    Partial(Answer),
}

impl WireAttempt {
    /// The attempt, and the answer that stands elsewhere.
    fn split(attempt: Attempt) -> (Self, Option<Kept>) {
        let model_key = attempt.model_key.to_string();
        let answer = |response| Answer { model_key: model_key.clone(), response };
        let outcome = attempt.outcome.as_str().to_owned();
        let (mut error, mut kept, mut retry_after, mut reason, mut finish_reason) =
            (None, None, None, None, None);
        match attempt.outcome {
            Outcome::Success(response) => kept = Some(Kept::Whole(answer(response))),
            Outcome::PreemptedOpen { retry_after: after, reason: why } => {
                (retry_after, reason) = (after, Some(why.as_str()));
            }
            Outcome::PreemptedLimited { retry_after: after, reason: why } => {
                (retry_after, reason) = (after, Some(why.as_str()));
            }
            Outcome::PreemptedUnsupported(cause)
            | Outcome::DeferredBackpressure(cause)
            | Outcome::Failed(cause) => {
                error = Some(cause);
            }
            Outcome::Empty { finish_reason: why } => finish_reason = Some(why),
            Outcome::Interrupted { error: cause, partial } => {
                error = Some(cause);
                kept = Some(Kept::Partial(answer(partial)));
            }
            Outcome::Cancelled => {}
        }
        let wire = Self {
            model_key,
            provider: attempt.provider.to_string(),
            model_id: attempt.model_id.to_string(),
            request_id: attempt.request_id,
            ordinal: attempt.ordinal,
            launch: attempt.launch,
            outcome,
            phase: attempt.phase,
            start_ms: to_ms(attempt.start),
            first_token_ms: attempt.first_token.map(to_ms),
            latency_ms: to_ms(attempt.latency),
            should_retry: error.as_ref().and_then(Error::should_retry),
            error,
            retry_after_ms: retry_after.map(to_ms),
            reason: reason.map(str::to_owned),
            finish_reason,
            usage: attempt.usage,
            cost: attempt.cost,
            fallback_eligible: attempt.fallback_eligible,
            degraded: attempt.degraded,
        };
        (wire, kept)
    }

    fn join(
        self,
        answers: &mut impl Iterator<Item = Answer>,
        partial: &mut Option<Answer>,
    ) -> Result<Attempt, WireError> {
        let retry_after = self.retry_after_ms.map(from_ms).transpose()?;
        let error = self.error.map(|error| {
            let error = error.with_model_key(self.model_key.as_str());
            let error = self.request_id.iter().fold(error, Error::with_request_id);
            self.should_retry.into_iter().fold(error, Error::with_should_retry)
        });
        let reason = self.reason.as_deref().unwrap_or_default();
        let need = |name, error: Option<Error>| error.ok_or(WireError::Missing(name, "error"));
        let whole = |name, answer: Option<Answer>| match answer {
            Some(answer) if answer.model_key == self.model_key => Ok(answer.response),
            Some(answer) => Err(WireError::Answer(answer.model_key, self.model_key.clone())),
            None => Err(WireError::Missing(name, "answer")),
        };
        let outcome = match self.outcome.as_str() {
            "success" => Outcome::Success(whole("successful", answers.next())?),
            "preempted_open" => Outcome::PreemptedOpen { retry_after, reason: reject_reason(reason) },
            "preempted_limited" => Outcome::PreemptedLimited { retry_after, reason: limit_reason(reason) },
            "preempted_unsupported" => Outcome::PreemptedUnsupported(need("preempted", error)?),
            "deferred_backpressure" => Outcome::DeferredBackpressure(need("deferred", error)?),
            "empty" => Outcome::Empty {
                finish_reason: self.finish_reason.ok_or(WireError::Missing("empty", "finish reason"))?,
            },
            "failed" => Outcome::Failed(need("failed", error)?),
            "interrupted" => Outcome::Interrupted {
                error: need("interrupted", error)?,
                partial: whole("interrupted", partial.take())?,
            },
            "cancelled" => Outcome::Cancelled,
            other => return Err(WireError::Outcome(other.to_owned())),
        };
        Ok(Attempt {
            model_key: self.model_key.into(),
            provider: self.provider.into(),
            model_id: self.model_id.into(),
            request_id: self.request_id,
            ordinal: self.ordinal,
            launch: self.launch,
            outcome,
            phase: self.phase,
            start: from_ms(self.start_ms)?,
            first_token: self.first_token_ms.map(from_ms).transpose()?,
            latency: from_ms(self.latency_ms)?,
            usage: self.usage,
            cost: self.cost,
            fallback_eligible: self.fallback_eligible,
            degraded: self.degraded,
        })
    }
}

/// A reason of a later version reads as the plainest one.
fn reject_reason(name: &str) -> RejectReason {
    let known = [RejectReason::ProbesTaken, RejectReason::ForcedOpen, RejectReason::StoreUnavailable];
    known.into_iter().find(|reason| reason.as_str() == name).unwrap_or(RejectReason::Open)
}

fn limit_reason(name: &str) -> LimitReason {
    let known =
        [LimitReason::Deferred, LimitReason::InFlight, LimitReason::NeverFits, LimitReason::StoreUnavailable];
    known.into_iter().find(|reason| reason.as_str() == name).unwrap_or(LimitReason::Rate)
}

/// Milliseconds with their fraction; a double holds nanoseconds exactly for three months. What is longer than a
/// century is written as one.
#[expect(clippy::cast_precision_loss, reason = "beyond three months a nanosecond more or less is no matter")]
fn to_ms(duration: Duration) -> f64 {
    duration.min(CENTURY).as_nanos() as f64 / 1e6
}

fn from_ms(ms: f64) -> Result<Duration, WireError> {
    Duration::try_from_secs_f64(ms / 1000.0).map_err(|_| WireError::Duration(ms))
}
