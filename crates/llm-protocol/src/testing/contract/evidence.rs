//! Everything that was seen of the adapter in calls that come to an end by themselves.

use std::time::Duration;

use super::harness::{Harness, Scenario};
use super::observe::{Mode, Observation, observe};
use super::summary::Finding;
use crate::adapter::ModelAdapter;
use crate::capability::Capabilities;
use crate::request::Request;
use crate::tool::{Tool, ToolCall};
use crate::usage::Usage;

/// Words of the prompt that no error may repeat.
pub(super) const PROMPT_WORDS: &str = "kumquat-orchard";

/// What only another vendor can read.
pub(super) const FOREIGN_WORDS: &str = "damson-signature";

/// Words of the answer that no error may repeat.
pub(super) const ANSWER_WORDS: &str = "quince-harbour";

/// Not ASCII alone: bytes may be split anywhere on their way.
pub(super) const TEXT: &str = "Grüße vom quince-harbour, 世界! 🙂 Bis bald.";

/// What the provider asks for when it throttles.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(7);

/// The cached part must not be counted twice, nor the reasoning added to the output.
pub(super) const USAGE: Usage = Usage {
    input_tokens: Some(12),
    output_tokens: Some(27),
    cache_read_tokens: Some(100),
    cache_write_tokens: None,
    reasoning_tokens: Some(7),
};

pub(super) struct Evidence {
    pub(super) key: String,
    pub(super) streams: bool,
    pub(super) calls_tools: bool,
    observations: Vec<Observation>,
}

impl Evidence {
    /// Makes every call that the harness can bring about. `None` when it cannot even bring about an answer.
    pub(super) async fn gather<H: Harness>(harness: &H) -> Option<Self> {
        let wired = harness.wire(&answers()).await?;
        let capabilities = wired.adapter.capabilities();
        let mut evidence = Self {
            key: wired.adapter.key().to_owned(),
            streams: capabilities.streaming().is_some(),
            calls_tools: capabilities.tools().is_some(),
            observations: Vec::new(),
        };
        for scenario in scenarios(capabilities) {
            let request = if matches!(scenario, Scenario::CallsTools { .. }) { with_tool() } else { plain() };
            for mode in evidence.modes(&scenario) {
                evidence.observations.extend(observe(harness, &scenario, *mode, &request).await);
            }
        }
        Some(evidence)
    }

    /// How this is to be tried with this adapter.
    fn modes(&self, scenario: &Scenario) -> &'static [Mode] {
        match (matches!(scenario, Scenario::FailsMidway { .. }), self.streams) {
            (false, true) => &[Mode::Whole, Mode::Streamed],
            (false, false) => &[Mode::Whole],
            (true, true) => &[Mode::Streamed],
            (true, false) => &[],
        }
    }

    /// The modes of an ordinary call.
    pub(super) fn all_modes(&self) -> &'static [Mode] {
        self.modes(&Scenario::Empty)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Observation> {
        self.observations.iter()
    }

    /// What was seen of this scenario; if nothing, the rule is skipped.
    pub(super) fn of(&self, name: &str) -> Result<Vec<&Observation>, Finding> {
        let seen: Vec<_> = self.all().filter(|seen| seen.scenario.name() == name).collect();
        let judged: Vec<_> = seen.iter().copied().filter(|seen| !seen.is_lost()).collect();
        let reason = match name {
            _ if !judged.is_empty() => return Ok(judged),
            _ if !seen.is_empty() => "no call came to an end".to_owned(),
            "CallsTools" if !self.calls_tools => "the adapter does not call tools".to_owned(),
            "FailsMidway" if !self.streams => "the adapter does not stream".to_owned(),
            _ => format!("the harness declines {name}"),
        };
        Err(Finding::Skipped(reason))
    }
}

pub(super) fn answers() -> Scenario {
    Scenario::Answers { text: TEXT.to_owned(), usage: USAGE }
}

fn scenarios(capabilities: Capabilities<'_>) -> Vec<Scenario> {
    let text = || TEXT.to_owned();
    let mut scenarios = vec![
        answers(),
        Scenario::ReachesTokenLimit { text: text() },
        Scenario::Empty,
        Scenario::Cut { text: text() },
        Scenario::FailsMidway { text: text() },
        Scenario::Garbage,
        Scenario::Throttled { retry_after: RETRY_AFTER },
        Scenario::Overloaded,
        Scenario::Fails,
        Scenario::Unauthorized,
        Scenario::ModelUnknown,
        Scenario::ContextExceeded,
        Scenario::Unreachable,
    ];
    if let Some(tools) = capabilities.tools() {
        let calls = [("call_1", r#"{"city":"Zürich"}"#), ("call_2", r#"{"city":"Ulm"}"#)];
        let calls = calls.into_iter().take(if tools.parallel_calls() { 2 } else { 1 });
        let calls = calls.map(|(id, arguments)| ToolCall {
            id: id.to_owned(),
            name: "weather".to_owned(),
            arguments: arguments.to_owned(),
        });
        scenarios.push(Scenario::CallsTools { calls: calls.collect() });
    }
    scenarios
}

/// A request that every model can carry.
pub(super) fn plain() -> Request {
    Request::from(format!("Describe the {PROMPT_WORDS}."))
}

/// A request that offers a tool.
pub(super) fn with_tool() -> Request {
    let parameters = serde_json::json!({
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    });
    plain().tool(Tool::new("weather", parameters).description("Tells the weather in a city."))
}
