//! Tokens as OpenAI counts them: what came from the cache is part of the prompt, reasoning is part of the completion.

use llm_protocol::Usage;
use serde::de::MapAccess;

use crate::wire::{Count, Patient, fill, skip};

/// One report, or several of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::openai) struct Counts {
    prompt: Count,
    completion: Count,
    in_prompt: PromptDetails,
    in_completion: CompletionDetails,
    /// DeepSeek's name for cached tokens.
    cache_hit: Count,
}

impl<'de> Patient<'de> for Counts {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "prompt_tokens" => fill(&mut self.prompt, object)?,
            "completion_tokens" => fill(&mut self.completion, object)?,
            "prompt_tokens_details" => fill(&mut self.in_prompt, object)?,
            "completion_tokens_details" => fill(&mut self.in_completion, object)?,
            "prompt_cache_hit_tokens" => fill(&mut self.cache_hit, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

impl Counts {
    /// Takes over what a later report says. It has to be done in the words of the wire: what is left of the prompt
    /// depends on what an earlier report said of the cache.
    pub(in crate::openai) fn merge(&mut self, later: &Self) {
        for (count, later) in [
            (&mut self.prompt, later.prompt),
            (&mut self.completion, later.completion),
            (&mut self.in_prompt.cached, later.in_prompt.cached),
            (&mut self.in_prompt.written, later.in_prompt.written),
            (&mut self.in_completion.reasoning, later.in_completion.reasoning),
            (&mut self.cache_hit, later.cache_hit),
        ] {
            *count = Count(later.0.or(count.0));
        }
    }

    pub(in crate::openai) fn to_usage(self) -> Usage {
        let read = self.in_prompt.cached.0.or(self.cache_hit.0);
        let written = self.in_prompt.written.0;
        let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
        Usage {
            input_tokens: self.prompt.0.map(|prompt| prompt.saturating_sub(cached)),
            output_tokens: self.completion.0,
            cache_read_tokens: read,
            cache_write_tokens: written,
            reasoning_tokens: self.in_completion.reasoning.0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct PromptDetails {
    cached: Count,
    written: Count,
}

impl<'de> Patient<'de> for PromptDetails {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "cached_tokens" => fill(&mut self.cached, object)?,
            "cache_write_tokens" => fill(&mut self.written, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct CompletionDetails {
    reasoning: Count,
}

impl<'de> Patient<'de> for CompletionDetails {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "reasoning_tokens" => fill(&mut self.reasoning, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

/// Groq's own place.
#[derive(Default)]
pub(super) struct Groq {
    pub(super) usage: Counts,
}

impl<'de> Patient<'de> for Groq {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "usage" => fill(&mut self.usage, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}
