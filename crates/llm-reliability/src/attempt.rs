//! One attempt, and how it ended.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{Error, ErrorKind, FinishReason, Response, Usage};
use serde::{Deserialize, Serialize};

use crate::money::Cost;

/// One interaction with one candidate. Strategies return every one, on success and on failure alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The candidate.
    pub model_key: Arc<str>,
    /// Its provider.
    pub provider: Arc<str>,
    /// The model's id, as it was asked for.
    pub model_id: Arc<str>,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    /// Which attempt of this call it was, from 0. In a `fan_out`, which seat; substitutes come after these.
    pub ordinal: u32,
    /// Why it was made.
    pub launch: Launch,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was waiting for when it ended; `None` when it never went out.
    pub phase: Option<Phase>,
    /// When it began, from the beginning of the call.
    pub start: Duration,
    /// From dispatch to the first visible text or tool call; `None` without one, or when the answer was not streamed.
    pub first_token: Option<Duration>,
    /// From dispatch to its end.
    pub latency: Duration,
    /// Tokens, as far as the provider told; also of attempts that failed.
    pub usage: Option<Usage>,
    /// What they cost, where the candidate has a price.
    pub cost: Option<Cost>,
    /// Whether its answer had begun to be handed out: a `failover_stream` had come to its first token.
    pub handed_out: bool,
    /// Whether the policy lets a `failover` go on to another candidate after this.
    pub fallback_eligible: bool,
    /// Whether the breaker's or the limiter's store was not available meanwhile.
    pub degraded: bool,
}

impl Attempt {
    /// The answer, of a success.
    pub fn response(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Success(response) => Some(response),
            _ => None,
        }
    }

    /// What there was of an answer that was cut while it was handed out.
    pub fn partial(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Interrupted { partial, .. } => Some(partial),
            _ => None,
        }
    }

    /// The error, where one ended it.
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::PreemptedUnsupported(error)
            | Outcome::DeferredBackpressure(error)
            | Outcome::Failed(error)
            | Outcome::Interrupted { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether it gave an answer.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Success(_))
    }

    /// When the candidate may be worth asking again, where that is known: from a retry hint, its breaker or its limiter.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.outcome {
            Outcome::PreemptedOpen { retry_after, .. } | Outcome::PreemptedLimited { retry_after, .. } => {
                *retry_after
            }
            _ => self.error().and_then(Error::retry_after),
        }
    }
}

/// One line for a log: `provider:model failed timeout/first_token @first_token`.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.model_key, self.outcome.as_str())?;
        match self.error().map(Error::kind) {
            Some(kind @ ErrorKind::Timeout(clock)) => write!(f, " {}/{}", kind.as_str(), clock.as_str())?,
            Some(kind) => write!(f, " {}", kind.as_str())?,
            None => {}
        }
        self.phase.map_or(Ok(()), |phase| write!(f, " @{}", phase.as_str()))
    }
}

/// How an attempt ended. What kind of error it was is told apart from it.
///
/// An answer that a filter or the token limit cut short is a [`Success`](Self::Success) as long as it says something:
/// its finish reason tells. One in which the model declines is none, whatever it says beside that.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// An answer with text or tool calls, complete.
    Success(Response),
    /// Not sent: the candidate's breaker let nothing through.
    #[non_exhaustive]
    PreemptedOpen {
        /// When it lets a call through again; `None` when that cannot be known, as while a person holds it open.
        retry_after: Option<Duration>,
        /// Why it did not.
        reason: RejectReason,
    },
    /// Not sent: the candidate's limiter let nothing through.
    #[non_exhaustive]
    PreemptedLimited {
        /// When the call would fit; `None` when that cannot be known, or when it never will.
        retry_after: Option<Duration>,
        /// Why it did not.
        reason: LimitReason,
    },
    /// Not sent: the candidate cannot carry what the request asks for.
    PreemptedUnsupported(Error),
    /// The provider is throttling. It is healthy, so this is no failure.
    DeferredBackpressure(Error),
    /// A complete answer with neither text nor tool calls.
    #[non_exhaustive]
    Empty {
        /// Why it ended; with [`FinishReason::Length`] reasoning used up the budget.
        finish_reason: FinishReason,
    },
    /// It failed, and nothing of it had reached the caller.
    Failed(Error),
    /// It was cut after a part of it had reached the caller.
    #[non_exhaustive]
    Interrupted {
        /// What cut it.
        error: Error,
        /// What there was of it.
        partial: Response,
    },
    /// Nobody wanted it any more: the caller went away, or another attempt was faster.
    Cancelled,
}

impl Outcome {
    /// The name in reports, `snake_case`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Success(_) => "success",
            Self::PreemptedOpen { .. } => "preempted_open",
            Self::PreemptedLimited { .. } => "preempted_limited",
            Self::PreemptedUnsupported(_) => "preempted_unsupported",
            Self::DeferredBackpressure(_) => "deferred_backpressure",
            Self::Empty { .. } => "empty",
            Self::Failed(_) => "failed",
            Self::Interrupted { .. } => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Launch {
    /// The first candidate of a `failover`.
    Primary,
    /// An earlier candidate gave no answer.
    Failover,
    /// The same candidate again.
    Retry,
    /// An earlier candidate was slow.
    Hedge,
    /// A seat of a `fan_out`.
    Panel,
}

/// What an attempt was waiting for when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Encoding the request, or the credential.
    Prepare,
    /// A connection: the provider has received nothing.
    Connect,
    /// The first token of a stream; HTTP errors come here too.
    FirstToken,
    /// The rest of a stream.
    Stream,
    /// An answer that is not streamed.
    Response,
}

impl Phase {
    /// The name in reports, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Stream => "stream",
            Self::Response => "response",
        }
    }
}
