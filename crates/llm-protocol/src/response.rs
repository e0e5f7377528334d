//! What a model answered.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Started, StreamEvent};
use crate::part::{Opaque, Placed};
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
    /// What the model says. Whoever wants to change it and to keep the answer as a turn of the conversation makes the
    /// [`Message`](crate::Message) first: opaque parts have their places in this text.
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
    /// What only the vendor itself can read, and wants back when the conversation goes on: signed thoughts, results of
    /// its own tools. [`Message`](crate::Message)'s `From<&Response>` puts each in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opaque: Vec<Placed>,
    /// What the provider sent, where [`Request::keep_raw`](crate::Request::keep_raw) asked for it: the body of a whole
    /// answer, or the data of every event of a stream. Not scrubbed: what a provider repeats of a prompt or
    /// a credential is in it, and in the JSON of reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<String>,
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

    /// Text, calls and opaque parts, each opaque part in its place.
    pub(crate) fn into_pieces(self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(1 + self.tool_calls.len() + 2 * self.opaque.len());
        let (mut text, mut calls) = (self.text, self.tool_calls.into_iter());
        let (mut said, mut called) = (0, 0);
        for placed in self.opaque {
            // A place that is no place in this answer is at its end.
            let ahead = placed.after_text.saturating_sub(said);
            let ahead = if text.is_char_boundary(ahead) { ahead } else { text.len() };
            let rest = text.split_off(ahead);
            said += ahead;
            pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
            text = rest;
            let ahead = placed.after_calls.saturating_sub(called);
            called += ahead;
            pieces.extend(calls.by_ref().take(ahead).map(Piece::Call));
            pieces.push(Piece::Opaque(placed.part));
        }
        pieces.extend((!text.is_empty()).then_some(Piece::Text(text)));
        pieces.extend(calls.map(Piece::Call));
        pieces
    }

    /// How many bytes it takes: what its [events](Self::into_events) bring, added up.
    pub fn content_len(&self) -> usize {
        let text = |part: &Option<String>| part.as_ref().map_or(0, String::len);
        let call = |call: &ToolCall| call.id.len() + call.name.len() + call.arguments.len();
        let calls: usize = self.tool_calls.iter().map(call).sum();
        // Small ones cost more than they say.
        let opaque: usize =
            self.opaque.iter().map(|placed| placed.part.json.len() + size_of::<Placed>()).sum();
        let raw: usize = self.raw.iter().map(|data| data.len() + size_of::<String>()).sum();
        self.text.len() + text(&self.reasoning) + text(&self.refusal) + calls + opaque + raw
    }

    /// What it says of itself, without its content.
    pub fn into_started(mut self) -> Started {
        self.take_started()
    }

    fn take_started(&mut self) -> Started {
        Started {
            model_id: self.model_id.take(),
            request_id: self.request_id.take(),
            structured_output_honored: self.structured_output_honored,
        }
    }

    /// The events of a stream that would have given this answer.
    pub fn into_events(mut self) -> Vec<StreamEvent> {
        let mut events = vec![StreamEvent::Started(self.take_started())];
        events.extend(self.raw.drain(..).map(StreamEvent::Raw));
        events.extend(self.reasoning.take().map(StreamEvent::Reasoning));
        events.extend(self.refusal.take().map(StreamEvent::Refusal));
        let mut index = 0;
        let (usage, finish_reason) = (self.usage, self.finish_reason);
        events.extend(self.into_pieces().into_iter().map(|piece| match piece {
            Piece::Text(text) => StreamEvent::Text(text),
            Piece::Call(ToolCall { id, name, arguments }) => {
                index += 1;
                StreamEvent::ToolCall(ToolCallDelta {
                    index: index - 1,
                    id: Some(id),
                    name: Some(name),
                    arguments,
                })
            }
            Piece::Opaque(part) => StreamEvent::Opaque(part),
        }));
        events.push(StreamEvent::Usage(usage));
        events.push(StreamEvent::Finish(finish_reason));
        events
    }
}

/// A piece of an answer, in its place.
pub(crate) enum Piece {
    Text(String),
    Call(ToolCall),
    Opaque(Opaque),
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
            .field("opaque", &self.opaque)
            .field("raw", &self.raw.len())
            .finish()
    }
}
