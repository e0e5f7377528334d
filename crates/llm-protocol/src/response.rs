//! What a model answered.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Started, StreamEvent};
use crate::redact::{self, Redacted};
use crate::tool::{ToolCall, ToolCallDelta};
use crate::usage::Usage;

/// Why the answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// It was complete, or a stop text was met.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model waits for tool results.
    ToolCalls,
    /// A filter, or the model itself, held it back.
    ContentFilter,
    /// The vendor says that its model failed.
    Error,
    /// The vendor gave a reason that this library does not know, or none.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One answer, whole.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// What the model says.
    pub text: String,
    /// What the model thought aloud, where the vendor shows it. Never part of `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Set when the model declined; its words for it, which may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The tool calls that the model asks for.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens, as far as the vendor told.
    pub usage: Usage,
    /// The model, as the provider names it in its answer.
    pub model_id: Option<String>,
    /// The provider's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether the asked-for response format went to the vendor as such; `None` when none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output_honored: Option<bool>,
}

impl Response {
    /// An answer of this text, complete.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), finish_reason: FinishReason::Stop, ..Self::default() }
    }

    /// Whether it holds neither visible text nor a tool call.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tool_calls.is_empty()
    }

    /// The events of a stream that would have given this answer.
    pub fn into_events(self) -> Vec<StreamEvent> {
        let started = Started {
            model_id: self.model_id,
            request_id: self.request_id,
            structured_output_honored: self.structured_output_honored,
        };
        let mut events = vec![StreamEvent::Started(started)];
        events.extend(self.reasoning.map(StreamEvent::Reasoning));
        events.extend(self.refusal.map(StreamEvent::Refusal));
        if !self.text.is_empty() {
            events.push(StreamEvent::Text(self.text));
        }
        events.extend((0..).zip(self.tool_calls).map(|(index, call)| {
            StreamEvent::ToolCall(ToolCallDelta {
                index,
                id: Some(call.id),
                name: Some(call.name),
                arguments: call.arguments,
            })
        }));
        events.push(StreamEvent::Usage(self.usage));
        events.push(StreamEvent::Finish(self.finish_reason));
        events
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("text", &Redacted(&self.text))
            .field("reasoning", &redact::optional(self.reasoning.as_ref()))
            .field("refusal", &redact::optional(self.refusal.as_ref()))
            .field("tool_calls", &self.tool_calls)
            .field("finish_reason", &self.finish_reason)
            .field("usage", &self.usage)
            .field("model_id", &self.model_id)
            .field("request_id", &self.request_id)
            .field("structured_output_honored", &self.structured_output_honored)
            .finish()
    }
}
