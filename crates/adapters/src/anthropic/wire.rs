//! The JSON of Anthropic's answers: events of a stream and whole messages. Flat, with every field that any type has:
//! that reads faster than one type each, and what has an unknown type is skipped either way. Only text has to be what
//! it should be.

use std::borrow::Cow;

use llm_protocol::{FinishReason, ToolCall, Usage};
use serde::de::{Error, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::wire::{Count, MAX_CALLS, Patient, Word, fill, read_into, skip, take_error};

/// An event of a stream.
#[derive(Default)]
pub(super) struct Event<'a> {
    pub(super) is_object: bool,
    kind: Word<'a>,
    /// Of `message_start`.
    pub(super) message: Message<'a>,
    /// Of what has to do with a content block.
    pub(super) index: Count,
    /// Of `content_block_start`.
    pub(super) content_block: Piece<'a>,
    /// Of `content_block_delta` and `message_delta`.
    pub(super) delta: Piece<'a>,
    /// Of `message_delta`.
    pub(super) usage: Counts,
    pub(super) error: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Patient<'de> for Event<'a> {
    fn object(&mut self) {
        self.is_object = true;
    }

    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => fill(&mut self.kind, object)?,
            "message" => fill(&mut self.message, object)?,
            "index" => fill(&mut self.index, object)?,
            "content_block" => self.content_block = Piece::of(object.next_value()?)?,
            "delta" => self.delta = Piece::of(object.next_value()?)?,
            "usage" => fill(&mut self.usage, object)?,
            "error" => take_error(&mut self.error, object.next_value()?),
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Event<'_> {
    pub(super) fn kind(&self) -> &str {
        &self.kind.text
    }
}

/// An answer: whole, or without content in `message_start`.
#[derive(Default)]
pub(super) struct Message<'a> {
    pub(super) kind: Word<'a>,
    pub(super) error: Option<&'a RawValue>,
    pub(super) content: Blocks<'a>,
    pub(super) model: String,
    pub(super) stop_reason: Word<'a>,
    pub(super) usage: Counts,
}

impl<'de: 'a, 'a> Patient<'de> for Message<'a> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => fill(&mut self.kind, object)?,
            "error" => take_error(&mut self.error, object.next_value()?),
            "content" => fill(&mut self.content, object)?,
            "model" => fill(&mut self.model, object)?,
            "stop_reason" => fill(&mut self.stop_reason, object)?,
            "usage" => fill(&mut self.usage, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

/// What the blocks of a whole answer say together.
#[derive(Default)]
pub(super) struct Blocks<'a> {
    pub(super) is_list: bool,
    /// One of its texts is none.
    pub(super) odd: bool,
    pub(super) text: String,
    pub(super) reasoning: Option<String>,
    pub(super) calls: Vec<ToolCall>,
    /// The JSON of the vendor's own blocks, each with how much text and how many calls come before it.
    pub(super) own: Vec<(usize, usize, &'a str)>,
}

impl<'de: 'a, 'a> Patient<'de> for Blocks<'a> {
    fn list(&mut self) {
        self.is_list = true;
    }

    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let Some(json) = list.next_element::<&RawValue>()? else { return Ok(false) };
        let piece = Piece::of(json)?;
        let own = piece.is_own() && piece.is_wanted_back();
        if own && self.own.len() >= MAX_CALLS {
            return Err(A::Error::custom("too many blocks"));
        }
        match piece.said() {
            Said::Text(text) => self.text.push_str(&text),
            // A signed thought may come without its words.
            Said::Thinking(text) if text.is_empty() => {}
            Said::Thinking(text) => self.reasoning.get_or_insert_default().push_str(&text),
            Said::Call { .. } if self.calls.len() >= MAX_CALLS => {
                return Err(A::Error::custom("too many tool calls"));
            }
            Said::Call { id, name, input } => self.calls.push(ToolCall { id, name, arguments: input }),
            Said::Nonsense => self.odd = true,
            Said::Input(_) | Said::Other => {}
        }
        if own {
            self.own.push((self.text.len(), self.calls.len(), json.get()));
        }
        Ok(true)
    }
}

/// A block of an answer, or what comes to one that has begun.
#[derive(Default)]
pub(super) struct Piece<'a> {
    /// All of it.
    pub(super) json: &'a str,
    is_object: bool,
    kind: Word<'a>,
    text: Text,
    thinking: String,
    partial_json: String,
    signature: Word<'a>,
    id: String,
    name: String,
    input: Option<&'a RawValue>,
    /// Of `message_delta`.
    pub(super) stop_reason: Word<'a>,
}

impl<'de: 'a, 'a> Patient<'de> for Piece<'a> {
    fn object(&mut self) {
        self.is_object = true;
    }

    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "type" => fill(&mut self.kind, object)?,
            "text" => fill(&mut self.text, object)?,
            "thinking" => fill(&mut self.thinking, object)?,
            "partial_json" => fill(&mut self.partial_json, object)?,
            "signature" => fill(&mut self.signature, object)?,
            "id" => fill(&mut self.id, object)?,
            "name" => fill(&mut self.name, object)?,
            "input" => self.input = Some(object.next_value()?),
            "stop_reason" => fill(&mut self.stop_reason, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

/// What the model says, which matters too much to be guessed.
#[derive(Default)]
struct Text {
    said: String,
    odd: bool,
}

impl<'de> Patient<'de> for Text {
    fn odd(&mut self) {
        self.odd = true;
    }

    fn text(&mut self, text: Cow<'de, str>) {
        self.said = text.into_owned();
    }
}

/// What a piece says.
pub(super) enum Said {
    Text(String),
    Thinking(String),
    /// A call begins; its input may come with it, as JSON, or in pieces.
    Call {
        id: String,
        name: String,
        input: String,
    },
    /// A piece of the input of a call.
    Input(String),
    /// A text that is none.
    Nonsense,
    /// Something that answers have no place for: signatures, citations, the vendor's own tools.
    Other,
}

impl<'a> Piece<'a> {
    /// Reads it, and keeps its JSON.
    fn of<E: Error>(json: &'a RawValue) -> Result<Self, E> {
        let mut piece = Self { json: json.get(), ..Self::default() };
        read_into(&mut piece, json.get()).map_err(E::custom)?;
        Ok(piece)
    }

    /// Whether it is a block that only the vendor can read, and may want back.
    pub(super) fn is_own(&self) -> bool {
        self.is_object && !matches!(&*self.kind.text, "" | "text" | "tool_use")
    }

    /// A thought that nobody has signed is not taken back by anyone.
    fn is_wanted_back(&self) -> bool {
        !self.is_thinking() || !self.signature.text.is_empty()
    }

    fn is_thinking(&self) -> bool {
        self.kind.text == "thinking"
    }

    pub(super) fn said(self) -> Said {
        match &*self.kind.text {
            "text" | "text_delta" if self.text.odd => Said::Nonsense,
            "text" | "text_delta" => Said::Text(self.text.said),
            "thinking" | "thinking_delta" => Said::Thinking(self.thinking),
            // What has no name is no call, and would make an empty answer a success.
            "tool_use" if !self.name.is_empty() => {
                // Arguments are an object, also where the wire leaves them out.
                let input = self.input.map(RawValue::get).filter(|input| *input != "null").unwrap_or("{}");
                Said::Call { id: self.id, name: self.name, input: input.to_owned() }
            }
            "input_json_delta" => Said::Input(self.partial_json),
            _ => Said::Other,
        }
    }
}

/// Tokens as Anthropic counts them: input without what was read from or written to the cache.
#[derive(Default)]
pub(super) struct Counts {
    input: Count,
    output: Count,
    cache_read: Count,
    cache_creation: Count,
    in_output: OutputDetails,
}

#[derive(Default)]
struct OutputDetails {
    thinking: Count,
}

impl<'de> Patient<'de> for OutputDetails {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "thinking_tokens" => fill(&mut self.thinking, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl<'de> Patient<'de> for Counts {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "input_tokens" => fill(&mut self.input, object)?,
            "output_tokens" => fill(&mut self.output, object)?,
            "cache_read_input_tokens" => fill(&mut self.cache_read, object)?,
            "cache_creation_input_tokens" => fill(&mut self.cache_creation, object)?,
            "output_tokens_details" => fill(&mut self.in_output, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Counts {
    pub(super) fn to_usage(&self) -> Usage {
        Usage {
            input_tokens: self.input.0,
            output_tokens: self.output.0,
            cache_read_tokens: self.cache_read.0,
            cache_write_tokens: self.cache_creation.0,
            reasoning_tokens: self.in_output.thinking.0,
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
