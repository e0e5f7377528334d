//! What the vendors refuse, row by row, and that what they do not refuse is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::needless_pass_by_value, reason = "a `json!` reads well as an argument")]

#[path = "../common/mod.rs"]
mod common;

mod anthropic;
mod anthropic_more;
mod anthropic_talk;
mod hosts;
mod openai;
mod openai_talk;

use common::Asker;
use llm_simulator::{Simulator, Wire};
use serde_json::{Value, json};

/// A body with these fields in place of its own.
pub(crate) fn with(body: &Value, fields: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub(crate) async fn asker() -> (Simulator, Asker) {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    (simulator, asker)
}

pub(crate) async fn refused(asker: &Asker, wire: Wire, body: &Value, says: &str) {
    let seen = asker.ask_with(wire, body).await;
    let error = &seen.json()["error"];
    assert_eq!((seen.status, &error["type"]), (400, &json!("invalid_request_error")), "{body}");
    assert!(error["message"].as_str().unwrap().contains(says), "{error} does not say {says}");
}

pub(crate) async fn accepted(asker: &Asker, wire: Wire, body: &Value) {
    let seen = asker.ask_with(wire, body).await;
    assert_eq!(seen.status, 200, "{body}: {}", seen.text());
}
