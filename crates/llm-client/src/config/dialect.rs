//! How hosts differ that speak the OpenAI format.

use serde::{Deserialize, Serialize};

use super::words::Words;

/// What a host calls the most tokens that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenLimitSetting {
    /// `max_tokens`: all that many compatible hosts know.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's own word.
    MaxCompletionTokens,
}

impl Words for TokenLimitSetting {
    const EXPECTED: &'static str = "`\"max_tokens\"` or `\"max_completion_tokens\"`";
}

#[cfg(feature = "openai")]
impl From<TokenLimitSetting> for llm_adapters::TokenLimitField {
    fn from(setting: TokenLimitSetting) -> Self {
        match setting {
            TokenLimitSetting::MaxTokens => Self::MaxTokens,
            TokenLimitSetting::MaxCompletionTokens => Self::MaxCompletionTokens,
        }
    }
}

/// Whose manner of the OpenAI format a host has: which ids of tool calls it takes, what it calls a seed and the most
/// tokens of an answer, whether its reasoning has to come back, and what it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DialectSetting {
    /// OpenAI itself.
    OpenAi,
    /// Mistral.
    Mistral,
    /// DeepSeek.
    DeepSeek,
    /// OpenRouter.
    OpenRouter,
    /// Everybody else.
    Compatible,
}

impl Words for DialectSetting {
    const EXPECTED: &'static str =
        "`\"openai\"`, `\"mistral\"`, `\"deepseek\"`, `\"openrouter\"` or `\"compatible\"`";
}

#[cfg(feature = "openai")]
impl From<DialectSetting> for llm_adapters::Dialect {
    fn from(setting: DialectSetting) -> Self {
        match setting {
            DialectSetting::OpenAi => Self::OpenAi,
            DialectSetting::Mistral => Self::Mistral,
            DialectSetting::DeepSeek => Self::DeepSeek,
            DialectSetting::OpenRouter => Self::OpenRouter,
            DialectSetting::Compatible => Self::Compatible,
        }
    }
}
