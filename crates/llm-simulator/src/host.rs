//! The hosts that speak OpenAI's wire format with differences of their own.

/// Whose manner of OpenAI's wire format an answer has; see [`Behaviour::host`](crate::Behaviour::host).
///
/// Anthropic's format has no such hosts and ignores it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// OpenAI itself.
    #[default]
    OpenAi,
    /// Groq: `reasoning`, and a stream's usage in `x_groq`.
    Groq,
    /// OpenRouter: `reasoning` with `reasoning_details`, and a stream's usage beside an empty choice.
    OpenRouter,
    /// DeepSeek: `reasoning_content`, which it wants back with the tool calls that came after it, and a stream's usage in
    /// the chunk with the finish reason.
    DeepSeek,
    /// Mistral: a stream's usage in the chunk with the finish reason, tool calls sent whole, and ids of tool calls
    /// with exactly nine letters and digits, without which it refuses a request. Its errors have no envelope.
    Mistral,
}

impl Host {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "openai" => Self::OpenAi,
            "groq" => Self::Groq,
            "openrouter" => Self::OpenRouter,
            "deepseek" => Self::DeepSeek,
            "mistral" => Self::Mistral,
            _ => return None,
        })
    }
}
