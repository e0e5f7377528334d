//! The JSON of Anthropic's answers: events of a stream and whole messages. Flat, with every field that any type has:
//! that reads faster than one type each, and what has an unknown type is skipped either way.

use llm_protocol::{FinishReason, Usage};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::wire::{Count, Word};

/// An event of a stream.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Word<'a>>,
    /// Of `message_start`.
    #[serde(borrow)]
    pub(super) message: Option<Message<'a>>,
    /// Of what has to do with a content block.
    pub(super) index: u32,
    /// Of `content_block_start`.
    #[serde(borrow)]
    pub(super) content_block: Option<Piece<'a>>,
    /// Of `content_block_delta` and `message_delta`.
    #[serde(borrow)]
    pub(super) delta: Option<Piece<'a>>,
    /// Of `message_delta`.
    pub(super) usage: Option<Counts>,
}

/// An answer: whole, or without content in `message_start`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Word<'a>>,
    pub(super) error: Option<Value>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Piece<'a>>>,
    pub(super) model: Words,
    #[serde(borrow)]
    pub(super) stop_reason: Option<Word<'a>>,
    pub(super) usage: Option<Counts>,
}

/// A block of an answer, or what comes to one that has begun.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    text: Words,
    thinking: Words,
    partial_json: Words,
    id: Words,
    name: Words,
    input: Value,
    /// Of `message_delta`.
    #[serde(borrow)]
    pub(super) stop_reason: Option<Word<'a>>,
}

/// A text that is kept. What is no text is an empty one.
#[derive(Default)]
pub(super) struct Words(pub(super) String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Ok(Self::default()),
        }
    }
}

impl Words {
    /// The text, if there is any.
    pub(super) fn some(self) -> Option<String> {
        Some(self.0).filter(|text| !text.is_empty())
    }
}

/// What a piece says.
pub(super) enum Said {
    Text(String),
    Thinking(String),
    /// A call begins; its input may come with it or in pieces.
    Call {
        id: String,
        name: String,
        input: Value,
    },
    /// A piece of the input of a call.
    Input(String),
    /// Something that answers have no place for: signatures, citations, the vendor's own tools.
    Other,
}

impl Piece<'_> {
    pub(super) fn said(self) -> Said {
        match self.kind.as_ref().map_or("", |kind| &kind.0) {
            "text" | "text_delta" => Said::Text(self.text.0),
            "thinking" | "thinking_delta" => Said::Thinking(self.thinking.0),
            "tool_use" => Said::Call { id: self.id.0, name: self.name.0, input: self.input },
            "input_json_delta" => Said::Input(self.partial_json.0),
            _ => Said::Other,
        }
    }
}

/// Tokens as Anthropic counts them: input without what was read from or written to the cache.
#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names of the wire")]
pub(super) struct Counts {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
}

impl Counts {
    pub(super) fn to_usage(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens.0,
            output_tokens: self.output_tokens.0,
            cache_read_tokens: self.cache_read_input_tokens.0,
            cache_write_tokens: self.cache_creation_input_tokens.0,
            reasoning_tokens: None,
        }
    }
}

/// What a stop reason means. `pause_turn` (the vendor's own tools took too long; the conversation can be sent again
/// to go on) has no word of its own here.
pub(super) fn finish_reason(stop_reason: &str) -> FinishReason {
    match stop_reason {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        REFUSAL => FinishReason::ContentFilter,
        _ => FinishReason::Unknown,
    }
}

/// The stop reason of an answer that the model declined to give.
pub(super) const REFUSAL: &str = "refusal";
