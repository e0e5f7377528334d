//! An attempt as JSON.

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{Error, FinishReason, Response, Usage};
use serde::{Deserialize, Serialize};

use super::{Answer, WireError, from_ms, to_ms};
use crate::attempt::{Attempt, Launch, Outcome, Phase};
use crate::money::Cost;

#[derive(Serialize, Deserialize)]
pub(super) struct WireAttempt {
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
    /// Only of an answer that was cut: what had been handed out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partial: Option<Response>,
    usage: Option<Usage>,
    cost: Option<Cost>,
    /// Only where it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    handed_out: bool,
    fallback_eligible: bool,
    degraded: bool,
}

impl WireAttempt {
    /// The attempt, and its answer, which stands beside the trail.
    pub(super) fn split(attempt: Attempt) -> (Self, Option<Answer>) {
        let model_key = attempt.model_key.to_string();
        let outcome = attempt.outcome.as_str().to_owned();
        let (mut error, mut answer, mut partial) = (None, None, None);
        let (mut retry_after, mut reason, mut finish_reason) = (None, None, None);
        match attempt.outcome {
            Outcome::Success(response) => answer = Some(Answer { model_key: model_key.clone(), response }),
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
            Outcome::Interrupted { error: cause, partial: part } => {
                (error, partial) = (Some(cause), Some(part));
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
            partial,
            usage: attempt.usage,
            cost: attempt.cost,
            handed_out: attempt.handed_out,
            fallback_eligible: attempt.fallback_eligible,
            degraded: attempt.degraded,
        };
        (wire, answer)
    }

    /// The attempt, which takes its answer from those that stand beside the trail.
    pub(super) fn join(self, answers: &mut impl Iterator<Item = Answer>) -> Result<Attempt, WireError> {
        let retry_after = self.retry_after_ms.map(from_ms).transpose()?;
        let error = self.error.map(|error| {
            let error = error.with_model_key(self.model_key.as_str());
            let error = self.request_id.iter().fold(error, Error::with_request_id);
            self.should_retry.into_iter().fold(error, Error::with_should_retry)
        });
        let reason = self.reason.as_deref().unwrap_or_default();
        let need = |name, error: Option<Error>| error.ok_or(WireError::Missing(name, "error"));
        let mut partial = self.partial;
        let outcome = match self.outcome.as_str() {
            "success" => match answers.next() {
                Some(answer) if answer.model_key == self.model_key => Outcome::Success(answer.response),
                Some(answer) => return Err(WireError::Answer(answer.model_key, self.model_key)),
                None => return Err(WireError::Missing("successful", "answer")),
            },
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
                partial: partial.take().ok_or(WireError::Missing("interrupted", "answer"))?,
            },
            "cancelled" => Outcome::Cancelled,
            other => return Err(WireError::Outcome(other.to_owned())),
        };
        if partial.is_some() {
            return Err(WireError::StrayAnswer);
        }
        // Who was interrupted had been handed out, whether or not that was written down.
        let handed_out = self.handed_out || matches!(outcome, Outcome::Interrupted { .. });
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
            handed_out,
            fallback_eligible: self.fallback_eligible,
            degraded: self.degraded,
        })
    }
}

/// A reason of a later version reads as the plainest one.
fn reject_reason(name: &str) -> RejectReason {
    let known = RejectReason::ALL.iter().find(|reason| reason.as_str() == name);
    known.copied().unwrap_or(RejectReason::Open)
}

fn limit_reason(name: &str) -> LimitReason {
    let known = LimitReason::ALL.iter().find(|reason| reason.as_str() == name);
    known.copied().unwrap_or(LimitReason::Rate)
}
