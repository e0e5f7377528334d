//! How hosts differ that speak OpenAI's chat completions.

/// Whose manner of chat completions a host has. It follows from the provider's name, unless the user says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI itself: `max_completion_tokens`, and ids of tool calls of up to 40 characters.
    OpenAi,
    /// Mistral: `random_seed`, ids of nine letters and digits, no `stream_options`, and nothing of the user's between a
    /// tool's result and the model's next turn.
    Mistral,
    /// DeepSeek: wants its reasoning back (`reasoning_content`).
    DeepSeek,
    /// OpenRouter: takes marks for the prompt cache, and tells the health of a key.
    OpenRouter,
    /// Everybody else: `max_tokens`, and any id.
    Compatible,
}

impl Dialect {
    /// The manner of the provider of this name.
    pub fn of(provider: &str) -> Self {
        match provider {
            "openai" => Self::OpenAi,
            "mistral" => Self::Mistral,
            "deepseek" => Self::DeepSeek,
            "openrouter" => Self::OpenRouter,
            _ => Self::Compatible,
        }
    }
}
