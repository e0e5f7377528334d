//! The JSON of OpenAI's answers: chunks of a stream and whole ones, read with patience for what hosts make of it.

use std::borrow::Cow;
use std::fmt;

use llm_protocol::{FinishReason, Usage};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// An answer, or a piece of one.
#[derive(serde::Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow, default)]
    pub(super) object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) choices: FirstChoice<'a>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    x_groq: Option<Groq>,
    #[serde(default)]
    pub(super) error: Option<Value>,
}

/// Text that is borrowed where JSON allows it.
#[derive(serde::Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(serde::Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    pub(super) delta: Option<Turn>,
    #[serde(default)]
    pub(super) message: Option<Turn>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
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
    arguments: Option<Value>,
}

impl Function {
    /// The arguments' JSON text. Some hosts send the JSON itself.
    pub(super) fn arguments(self) -> String {
        match self.arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(json) => json.to_string(),
        }
    }
}

impl Answer<'_> {
    /// The count of tokens. Without being asked to include it, Groq streams it in a place of its own.
    pub(super) fn usage(&self) -> Usage {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.usage.as_ref());
        self.usage.as_ref().or(groq).map(Tokens::to_usage).unwrap_or_default()
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
        let named = [&mut self.reasoning_content, &mut self.reasoning].into_iter().find(|text| !text.said.is_empty());
        let mut reasoning = std::mem::take(&mut self.content.thought);
        if let Some(text) = named {
            reasoning.push_str(&text.said);
        }
        reasoning
    }
}

/// Tokens as OpenAI counts them: what came from the cache is part of the prompt, reasoning is part of the
/// completion.
#[derive(serde::Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: Count,
    #[serde(default)]
    completion_tokens: Count,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for cached tokens.
    #[serde(default)]
    prompt_cache_hit_tokens: Count,
}

#[derive(serde::Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Count,
    /// OpenRouter's.
    #[serde(default)]
    cache_write_tokens: Count,
}

#[derive(serde::Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Count,
}

#[derive(serde::Deserialize)]
struct Groq {
    #[serde(default)]
    usage: Option<Tokens>,
}

impl Tokens {
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
            reasoning_tokens: self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens.0),
        }
    }
}

/// A number of tokens. What is no such number is unknown: an answer is not thrown away for its bill.
#[derive(Clone, Copy, Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.as_u64()))
    }
}

/// The first choice: others come only when the user asked for them in the vendor's own words.
#[derive(Default)]
pub(super) struct FirstChoice<'a>(pub(super) Option<Choice<'a>>);

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

/// Text: a string, nothing, or Mistral's list of parts, some of which are thoughts.
#[derive(Default)]
pub(super) struct Content {
    pub(super) said: String,
    thought: String,
}

#[derive(serde::Deserialize)]
struct ContentPart {
    #[serde(default)]
    text: Content,
    #[serde(default)]
    thinking: Content,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or parts")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content { said: text.to_owned(), thought: String::new() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some(part) = parts.next_element::<ContentPart>()? {
                    content.said.push_str(&part.text.said);
                    content.thought.push_str(&part.thinking.said);
                }
                Ok(content)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
