//! The report as JSON: answers stand beside the trail, each in one place.

mod attempt;

use std::time::Duration;

use llm_protocol::{Response, Usage};
use serde::{Deserialize, Serialize};

use self::attempt::WireAttempt;
use super::{Ended, Quorum, Report, SCHEMA, Strategy, agreement};
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
    #[error("`ended`, `quorum` and the attempts do not agree")]
    Contradiction,
}

impl From<Report> for Wire {
    fn from(report: Report) -> Self {
        let (succeeded, degraded) = (report.succeeded(), report.degraded());
        let (usage, cost, retry_after) = (report.usage(), report.cost(), report.retry_after());
        let mut answers = Vec::new();
        let mut attempts = Vec::with_capacity(report.attempts.len());
        for attempt in report.attempts {
            let (attempt, answer) = WireAttempt::split(attempt);
            attempts.push(attempt);
            answers.extend(answer);
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
        let misplaced = match wire.strategy {
            Strategy::Failover => wire.responses.is_some(),
            Strategy::FanOut => wire.response.is_some(),
        };
        if misplaced {
            return Err(WireError::StrayAnswer);
        }
        let mut answers = wire.response.into_iter().chain(wire.responses.into_iter().flatten());
        let attempts: Result<Vec<_>, _> =
            wire.attempts.into_iter().map(|attempt| attempt.join(&mut answers)).collect();
        let attempts = attempts?;
        if answers.next().is_some() {
            return Err(WireError::StrayAnswer);
        }
        let report = Self {
            strategy: wire.strategy,
            ended: wire.ended,
            attempts,
            quorum: wire.quorum,
            elapsed: from_ms(wire.elapsed_ms)?,
        };
        if agreement::agrees(&report) { Ok(report) } else { Err(WireError::Contradiction) }
    }
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
