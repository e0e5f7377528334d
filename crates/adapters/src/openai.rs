//! OpenAI's chat completions, and every host that speaks them.

mod classify;
mod decode;
mod encode;
mod wire;

use llm_protocol::{Error, Request, Response, Secret};
use reqwest::header::HeaderMap;

use crate::adapter::Adapter;
use crate::builder::Builder;
use crate::failure::Failure;
use crate::hints;
use crate::vendor::{Abilities, Codec, Decode, Encoded, Target, Vendor};

/// OpenAI's chat completions (`POST {base}/chat/completions`), for OpenAI and every host that speaks them: Groq,
/// Mistral, DeepSeek, Together, vLLM, Ollama and so on.
///
/// ```
/// use llm_adapters::OpenAi;
/// use llm_protocol::ModelAdapter;
///
/// let groq = OpenAi::builder("llama-3.3-70b-versatile")
///     .provider("groq")
///     .base_url("https://api.groq.com/openai/v1")
///     .api_key("…")
/// #   .api_key("key")
/// #   .http_client(llm_adapters::HttpClient::new()?)
///     .build()?;
/// assert_eq!(groq.key(), "groq:llama-3.3-70b-versatile");
/// # Ok::<(), llm_adapters::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenAi {
    token_limit_field: Option<TokenLimitField>,
    include_usage: bool,
    cache_marks: bool,
}

/// One model of OpenAI's, or of a host that speaks like it.
pub type OpenAiAdapter = Adapter<OpenAi>;

/// What a host calls the most tokens that an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimitField {
    /// `max_tokens`: all that many compatible hosts know.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI's own word; its reasoning models refuse the other.
    MaxCompletionTokens,
}

impl OpenAi {
    /// Starts an adapter for this model.
    pub fn builder(model: impl Into<String>) -> Builder<Self> {
        Builder::new(Self { token_limit_field: None, include_usage: true, cache_marks: false }, model.into())
    }
}

/// What is OpenAI's only.
impl Builder<OpenAi> {
    /// What the host calls the most tokens that an answer may have. Without it `max_completion_tokens` where the
    /// provider's name is `openai`, `max_tokens` elsewhere.
    pub fn token_limit_field(mut self, field: TokenLimitField) -> Self {
        self.vendor.token_limit_field = Some(field);
        self
    }

    /// Whether streams ask for the count of tokens (`stream_options`). On without it; some hosts refuse the field.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.vendor.include_usage = include;
        self
    }

    /// Whether the conversation's marks for the prompt cache are sent. Off without it: OpenAI and most hosts cache by
    /// themselves. OpenRouter passes them on to vendors that want them.
    pub fn cache_marks(mut self, send: bool) -> Self {
        self.vendor.cache_marks = send;
        self
    }
}

impl Vendor for OpenAi {}

impl Codec for OpenAi {
    const PROVIDER: &'static str = "openai";
    const BASE_URL: &'static str = "https://api.openai.com/v1";
    const PATH: &'static [&'static str] = &["chat", "completions"];

    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, Secret)> {
        key.map(|key| ("authorization", format!("Bearer {}", key.expose()).into())).into_iter().collect()
    }

    fn abilities(&self) -> Abilities {
        Abilities { tools: true, json_object: true, json_schema: true, images: true }
    }

    fn encode(&self, target: &Target<'_>, request: &Request, stream: bool) -> Result<Encoded, Error> {
        encode::body(self, target, request, stream)
    }

    fn health_path(&self, provider: &str) -> &'static [&'static str] {
        // OpenRouter shows its list of models to everybody; only the key's own page says whether the key is good.
        if provider == "openrouter" { &["key"] } else { &["models"] }
    }

    fn failure(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        classify::refusal(status, hints::is_timed(headers), body)
    }

    fn decode(&self, provider: &str, body: &[u8]) -> Result<Response, Failure> {
        decode::whole(provider, body)
    }

    fn decoder(&self, provider: &str) -> Box<dyn Decode> {
        Box::new(decode::Decoder::new(provider))
    }
}
