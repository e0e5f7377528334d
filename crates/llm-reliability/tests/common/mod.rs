//! What the tests share: clients over scripted models, an observer that keeps what it saw, and the trail in short.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod fan_out;

use std::sync::Arc;
use std::time::Duration;

use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::llm_protocol::{self, Error, ErrorKind};
use llm_reliability::{Attempt, ClientBuilder, Observer, Report, ResilientClient};
use parking_lot::Mutex;

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn failing(kind: ErrorKind) -> Step {
    Step::error(Error::new(kind, "scripted"))
}

pub fn client(models: &[ScriptedModel]) -> ResilientClient {
    builder(models).build().unwrap()
}

pub fn builder(models: &[ScriptedModel]) -> ClientBuilder {
    ResilientClient::builder().candidates(models.iter().cloned())
}

/// The trail in short: `key outcome`, with the kind of an error and the phase.
pub fn trail(report: &Report) -> Vec<String> {
    report.attempts().iter().map(short).collect()
}

pub fn short(attempt: &Attempt) -> String {
    attempt.to_string()
}

pub fn text(report: &Report) -> &str {
    report.response().map_or("", |response| &response.text)
}

/// Keeps every attempt that it is told of.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Attempt>>>);

impl Seen {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock()).iter().map(short).collect()
    }

    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.lock().clone()
    }
}

impl Observer for Seen {
    fn on_attempt(&self, attempt: &Attempt) {
        self.0.lock().push(attempt.clone());
    }
}

/// Whom these attempts asked, in short: `abc` for `p:a`, `p:b` and `p:c`.
pub fn letters(attempts: &[Attempt]) -> String {
    attempts.iter().map(|attempt| &*attempt.model_id).collect()
}

/// Nothing is under way any more, and each model has received as many requests as these attempts say.
#[track_caller]
pub fn assert_received(models: &[ScriptedModel], attempts: &[Attempt]) {
    for model in models {
        let key = llm_protocol::ModelAdapter::key(model);
        let sent = |attempt: &&Attempt| {
            let phase = attempt.phase.map(llm_reliability::Phase::as_str);
            &*attempt.model_key == key && matches!(phase, Some("first_token" | "stream" | "response"))
        };
        let trail: Vec<_> = attempts.iter().map(short).collect();
        assert_eq!(model.started(), attempts.iter().filter(sent).count(), "{key} in {trail:?}");
        assert_eq!((model.open(), model.in_flight()), (0, 0), "{key} is still asked: {trail:?}");
    }
}

/// Writes the report as JSON and reads it back: both have to say the same.
#[track_caller]
pub fn assert_goes_both_ways(report: &Report) {
    let json = serde_json::to_value(report).unwrap();
    let back: Report =
        serde_json::from_value(json.clone()).map_err(|error| format!("{error}: {json}")).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json);
    assert_eq!((back.ended(), back.retry_after()), (report.ended(), report.retry_after()));
}
