//! What the tests of fan-outs share: models that say their own names, and what holds of every call.

use std::time::Duration;

use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::llm_protocol::{self, ErrorKind};
use llm_reliability::{Call, ClientBuilder, FanOut, Report};

use super::{Seen, builder, failing, trail};

/// Answers with its own name after so long.
pub fn after(name: &str, delay: Duration) -> ScriptedModel {
    ScriptedModel::new(name).then(Step::answer(name).delayed(delay))
}

pub fn fails_after(name: &str, delay: Duration) -> ScriptedModel {
    ScriptedModel::new(name).then(failing(ErrorKind::Server).delayed(delay))
}

pub fn silent(name: &str) -> ScriptedModel {
    ScriptedModel::new(name).then(Step::stall())
}

/// Asks, and looks at what holds of every call: nothing is left open, the observer saw what the report tells, and the
/// report survives the way through JSON.
pub async fn ask(models: &[ScriptedModel], rules: FanOut) -> Report {
    ask_with(models, builder(models).fan_out(rules), "hi").await
}

pub async fn ask_with(models: &[ScriptedModel], builder: ClientBuilder, call: impl Into<Call>) -> Report {
    let seen = Seen::default();
    let report = builder.observer(seen.clone()).build().unwrap().fan_out(call).await.unwrap();
    assert!(models.iter().all(|model| model.open() == 0 && model.in_flight() == 0), "{:?}", trail(&report));
    let (mut told, mut kept) = (seen.take(), trail(&report));
    told.sort();
    kept.sort();
    assert_eq!(told, kept, "the observer sees every attempt once");
    let json = serde_json::to_value(&report).unwrap();
    let back: Report = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json);
    report
}

pub fn answers(report: &Report) -> Vec<&str> {
    report.responses().map(|(_, response)| response.text.as_str()).collect()
}
