//! The JSON of OpenAI's answers: chunks of a stream and whole ones, read with patience for what hosts make of it.
//! Only text and finish reasons have to be what they should be.

mod content;
mod tokens;

use std::mem;

use content::Content;
use llm_protocol::FinishReason;
use serde::de::{Error, MapAccess, SeqAccess};
use serde_json::value::RawValue;
pub(super) use tokens::Counts;
use tokens::Groq;

use crate::wire::{Count, MAX_CALLS, Patient, Word, element, fill, skip, take_error};

/// An answer, or a piece of one.
#[derive(Default)]
pub(super) struct Answer<'a> {
    pub(super) is_object: bool,
    object: Word<'a>,
    pub(super) model: Word<'a>,
    pub(super) choices: FirstChoice<'a>,
    usage: Counts,
    groq: Groq,
    pub(super) error: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Patient<'de> for Answer<'a> {
    fn object(&mut self) {
        self.is_object = true;
    }

    /// No answer is a list, but Google's compatible endpoint puts errors into one.
    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut inner = Answer::default();
        if !element(&mut inner, list)? {
            return Ok(false);
        }
        self.error = self.error.or(inner.error);
        Ok(true)
    }

    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "object" => fill(&mut self.object, object)?,
            "model" => fill(&mut self.model, object)?,
            "choices" => fill(&mut self.choices, object)?,
            "usage" => fill(&mut self.usage, object)?,
            "x_groq" => fill(&mut self.groq, object)?,
            "error" => take_error(&mut self.error, object.next_value()?),
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Answer<'_> {
    /// The count of tokens. Groq, when it was not asked to include it, streams it in a place of its own.
    pub(super) fn counts(&self) -> Counts {
        if self.usage.to_usage().is_unknown() { self.groq.usage } else { self.usage }
    }

    /// Whether the answer itself is an error, as vLLM has them.
    pub(super) fn is_error(&self) -> bool {
        self.object.text == "error"
    }

    /// Whether it is no answer, or its text or its finish cannot be read.
    pub(super) fn is_odd(&self) -> bool {
        let odd = |turn: &Turn<'_>| turn.odd || turn.content.odd;
        let choice = self.choices.first.as_ref();
        !self.is_object
            || self.choices.odd
            || choice
                .is_some_and(|choice| choice.finish_reason.odd || odd(&choice.delta) || odd(&choice.message))
    }
}

/// The first choice: others would come only if they were asked for.
#[derive(Default)]
pub(super) struct FirstChoice<'a> {
    pub(super) first: Option<Choice<'a>>,
    odd: bool,
}

impl<'de: 'a, 'a> Patient<'de> for FirstChoice<'a> {
    fn odd(&mut self) {
        self.odd = true;
    }

    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        if self.first.is_some() {
            return element(&mut Choice::default(), list);
        }
        let choice = self.first.insert(Choice::default());
        let any = element(choice, list)?;
        if !any || choice.index.0.unwrap_or(0) != 0 {
            self.first = None;
        }
        Ok(any)
    }
}

#[derive(Default)]
pub(super) struct Choice<'a> {
    index: Count,
    pub(super) delta: Turn<'a>,
    pub(super) message: Turn<'a>,
    finish_reason: Word<'a>,
    pub(super) error: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Patient<'de> for Choice<'a> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "index" => fill(&mut self.index, object)?,
            "delta" => fill(&mut self.delta, object)?,
            "message" => fill(&mut self.message, object)?,
            "finish_reason" => fill(&mut self.finish_reason, object)?,
            "error" => take_error(&mut self.error, object.next_value()?),
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Choice<'_> {
    /// Why the answer ended. Some hosts send an empty reason until it does.
    pub(super) fn finish_reason(&self) -> Option<FinishReason> {
        Some(match &*self.finish_reason.text {
            "" => return None,
            "stop" => FinishReason::Stop,
            // The second is Mistral's: the context window is full.
            "length" | "model_length" => FinishReason::Length,
            // The second is from before tools.
            "tool_calls" | "function_call" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            // OpenRouter's, and DeepSeek's for an inference that was broken off.
            "error" | "insufficient_system_resource" => FinishReason::Error,
            _ => FinishReason::Unknown,
        })
    }
}

/// What the model says, whole or in part.
#[derive(Default)]
pub(super) struct Turn<'a> {
    pub(super) is_object: bool,
    odd: bool,
    pub(super) content: Content,
    /// Reasoning with DeepSeek, vLLM and others.
    reasoning_content: Content,
    /// Reasoning with Groq and OpenRouter.
    reasoning: Content,
    /// The same with OpenRouter, in the form in which it is to be sent back.
    pub(super) reasoning_details: Option<&'a RawValue>,
    pub(super) refusal: Content,
    tool_calls: Calls<'a>,
    /// From before tools: the one call.
    function_call: Function<'a>,
}

impl<'de: 'a, 'a> Patient<'de> for Turn<'a> {
    fn odd(&mut self) {
        self.odd = true;
    }

    fn object(&mut self) {
        self.is_object = true;
    }

    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "content" => fill(&mut self.content, object)?,
            "reasoning_content" => fill(&mut self.reasoning_content, object)?,
            "reasoning" => fill(&mut self.reasoning, object)?,
            "reasoning_details" => self.reasoning_details = Some(object.next_value()?),
            "refusal" => fill(&mut self.refusal, object)?,
            "tool_calls" => fill(&mut self.tool_calls, object)?,
            "function_call" => fill(&mut self.function_call, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl<'a> Turn<'a> {
    /// What the host calls the content of its reasoning.
    pub(super) fn reasoning_content(&self) -> &str {
        &self.reasoning_content.said
    }

    /// The reasoning. Hosts that send it under both names send the same text twice.
    pub(super) fn take_reasoning(&mut self) -> String {
        let places = [&mut self.content.thought, &mut self.reasoning_content.said, &mut self.reasoning.said];
        places.into_iter().find(|text| !text.is_empty()).map(mem::take).unwrap_or_default()
    }

    /// The calls, or pieces of calls. Hosts that send one in the old way too send it twice.
    pub(super) fn take_calls(&mut self) -> Vec<Call<'a>> {
        let function = mem::take(&mut self.function_call);
        let mut calls = mem::take(&mut self.tool_calls.calls);
        if calls.is_empty() && !function.is_empty() {
            calls.push(Call { function, ..Call::default() });
        }
        calls
    }
}

/// The calls of a turn that say anything.
#[derive(Default)]
struct Calls<'a> {
    calls: Vec<Call<'a>>,
    seen: u64,
}

impl<'de: 'a, 'a> Patient<'de> for Calls<'a> {
    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut call = Call::default();
        if !element(&mut call, list)? {
            return Ok(false);
        }
        call.index = Count(call.index.0.or(Some(self.seen)));
        self.seen += 1;
        if !call.id.is_empty() || !call.function.is_empty() {
            if self.calls.len() >= MAX_CALLS {
                return Err(A::Error::custom("too many tool calls"));
            }
            self.calls.push(call);
        }
        Ok(true)
    }
}

#[derive(Default)]
pub(super) struct Call<'a> {
    /// As the wire says, or else its place in the list.
    pub(super) index: Count,
    pub(super) id: String,
    pub(super) function: Function<'a>,
    /// Google's: a signature, among others.
    pub(super) extra_content: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Patient<'de> for Call<'a> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "index" => fill(&mut self.index, object)?,
            "id" => fill(&mut self.id, object)?,
            "function" => fill(&mut self.function, object)?,
            "extra_content" => self.extra_content = Some(object.next_value()?),
            _ => skip(object)?,
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Function<'a> {
    pub(super) name: String,
    arguments: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Patient<'de> for Function<'a> {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => fill(&mut self.name, object)?,
            "arguments" => self.arguments = Some(object.next_value()?),
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Function<'_> {
    fn is_empty(&self) -> bool {
        self.name.is_empty() && matches!(self.arguments.map_or("null", RawValue::get), "null" | "\"\"")
    }

    /// The arguments' JSON text. Some hosts send the JSON itself.
    pub(super) fn arguments(&self) -> String {
        match self.arguments.map_or("null", RawValue::get) {
            "null" => String::new(),
            text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
            json => json.to_owned(),
        }
    }
}
