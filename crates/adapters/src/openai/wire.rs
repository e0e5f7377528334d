//! The JSON of OpenAI's answers: chunks of a stream and whole ones, read with patience for what hosts make of it.

use std::fmt;

use llm_protocol::{FinishReason, Usage};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use crate::wire::{Count, Word};

/// An answer, or a piece of one.
#[derive(serde::Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) object: Option<Word<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Word<'a>>,
    #[serde(borrow, default)]
    pub(super) choices: FirstChoice<'a>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    x_groq: Option<Groq>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

/// The first choice: others come only when the user asked for them in the vendor's own words.
#[derive(Default)]
pub(super) struct FirstChoice<'a>(pub(super) Option<Choice<'a>>);

#[derive(serde::Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    pub(super) delta: Option<Turn>,
    #[serde(default)]
    pub(super) message: Option<Turn>,
    #[serde(borrow, default)]
    finish_reason: Option<Word<'a>>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

/// What the model says, whole or in part.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Turn {
    pub(super) content: Content,
    /// Reasoning with DeepSeek, vLLM and others.
    reasoning_content: Content,
    /// Reasoning with Groq and OpenRouter.
    reasoning: Content,
    pub(super) refusal: Content,
    pub(super) tool_calls: Option<Vec<Call>>,
}

#[derive(serde::Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) function: Function,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    arguments: Value,
}

impl Function {
    /// The arguments' JSON text. Some hosts send the JSON itself.
    pub(super) fn arguments(self) -> String {
        match self.arguments {
            Value::Null => String::new(),
            Value::String(text) => text,
            json => json.to_string(),
        }
    }
}

impl Answer<'_> {
    /// The count of tokens. Groq, when it was not asked to include it, streams it in a place of its own.
    pub(super) fn usage(&self) -> Usage {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage.as_ref());
        self.usage.as_ref().or(groq).map(Counts::to_usage).unwrap_or_default()
    }

    /// Whether the answer itself is an error, as vLLM has them.
    pub(super) fn is_error(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.0 == "error")
    }
}

impl Choice<'_> {
    /// Why the answer ended. Some hosts send an empty reason until it does.
    pub(super) fn finish_reason(&self) -> Option<FinishReason> {
        Some(match self.finish_reason.as_ref()?.0.as_ref() {
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

impl Turn {
    /// The reasoning. Hosts that send it under both names send the same text twice.
    pub(super) fn take_reasoning(&mut self) -> String {
        let places = [&mut self.content.thought, &mut self.reasoning_content.said, &mut self.reasoning.said];
        places.into_iter().find(|text| !text.is_empty()).map(std::mem::take).unwrap_or_default()
    }
}

/// Text: a string, nothing, or Mistral's list of parts, some of which are thoughts.
#[derive(Default)]
pub(super) struct Content {
    pub(super) said: String,
    thought: String,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = match Value::deserialize(deserializer)? {
            Value::String(said) => return Ok(Self { said, thought: String::new() }),
            Value::Array(parts) => parts,
            _ => return Ok(Self::default()),
        };
        Ok(Self { said: texts(&parts, "text"), thought: texts(&parts, "thinking") })
    }
}

/// The texts of this name in the parts, where they may be parts again.
fn texts(parts: &[Value], name: &str) -> String {
    parts.iter().filter_map(|part| part.get(name)).fold(String::new(), |joined, text| match text {
        Value::String(text) => joined + text,
        Value::Array(inner) => {
            joined + &inner.iter().filter_map(|part| part.get("text")?.as_str()).collect::<String>()
        }
        _ => joined,
    })
}

/// Tokens as OpenAI counts them: what came from the cache is part of the prompt, reasoning is part of the
/// completion.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Counts {
    prompt_tokens: Count,
    completion_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for cached tokens.
    prompt_cache_hit_tokens: Count,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    /// OpenRouter's.
    cache_write_tokens: Count,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Groq {
    usage: Option<Counts>,
}

impl Counts {
    fn to_usage(&self) -> Usage {
        let details = self.prompt_tokens_details.as_ref();
        let read = details.and_then(|details| details.cached_tokens.0).or(self.prompt_cache_hit_tokens.0);
        let written = details.and_then(|details| details.cache_write_tokens.0);
        let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
        Usage {
            input_tokens: self.prompt_tokens.0.map(|prompt| prompt.saturating_sub(cached)),
            output_tokens: self.completion_tokens.0,
            cache_read_tokens: read,
            cache_write_tokens: written,
            reasoning_tokens: self
                .completion_tokens_details
                .as_ref()
                .and_then(|details| details.reasoning_tokens.0),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for FirstChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = FirstChoice<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("choices")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(FirstChoice(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut choices: A) -> Result<Self::Value, A::Error> {
                let mut first = None;
                while let Some(choice) = choices.next_element::<Choice<'de>>()? {
                    if first.is_none() && choice.index.unwrap_or(0) == 0 {
                        first = Some(choice);
                    }
                }
                Ok(FirstChoice(first))
            }
        }
        deserializer.deserialize_any(First)
    }
}
