//! OpenAI's chat completions, and every host that speaks them.

mod classify;
mod decode;
mod dialect;
mod encode;
mod wire;

pub use dialect::Dialect;
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
    dialect: Option<Dialect>,
    token_limit_field: Option<TokenLimitField>,
    include_usage: Option<bool>,
    cache_marks: Option<bool>,
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
        let vendor = Self { dialect: None, token_limit_field: None, include_usage: None, cache_marks: None };
        Builder::new(vendor, model.into())
    }

    fn dialect(&self, provider: &str) -> Dialect {
        self.dialect.unwrap_or_else(|| Dialect::of(provider))
    }
}

/// What is OpenAI's only.
impl Builder<OpenAi> {
    /// Whose manner the host has. Without it that of the provider's name, as in [`Dialect::of`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.vendor.dialect = Some(dialect);
        self
    }

    /// What the host calls the most tokens that an answer may have. Without it `max_completion_tokens` for OpenAI itself
    /// and `max_tokens` for everybody else.
    pub fn token_limit_field(mut self, field: TokenLimitField) -> Self {
        self.vendor.token_limit_field = Some(field);
        self
    }

    /// Whether streams ask for the count of tokens (`stream_options`). On without it, but for Mistral; some hosts refuse
    /// the field.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.vendor.include_usage = Some(include);
        self
    }

    /// Whether the conversation's marks for the prompt cache are sent, on texts. Off without it, as OpenAI and most hosts
    /// cache by themselves; on for OpenRouter, which passes them on to vendors that want them.
    pub fn cache_marks(mut self, send: bool) -> Self {
        self.vendor.cache_marks = Some(send);
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
        if self.dialect(provider) == Dialect::OpenRouter { &["key"] } else { &["models"] }
    }

    fn failure(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        classify::refusal(status, hints::is_timed(headers), body)
    }

    fn decode(&self, provider: &str, body: &[u8]) -> Result<Response, Failure> {
        decode::whole(provider, self.dialect(provider), body)
    }

    fn decoder(&self, provider: &str) -> Box<dyn Decode> {
        Box::new(decode::Decoder::new(provider, self.dialect(provider)))
    }
}
