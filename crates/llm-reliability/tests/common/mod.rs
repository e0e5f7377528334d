//! What the tests share: clients over scripted models, an observer that keeps what it saw, and the trail in short.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

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
