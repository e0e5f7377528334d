//! Anthropic's messages.

mod classify;
mod decode;
mod encode;
mod wire;

use std::borrow::Cow;

use llm_protocol::{Error, Request, Response, Secret};
use reqwest::header::HeaderMap;

use crate::adapter::Adapter;
use crate::builder::Builder;
use crate::failure::Failure;
use crate::vendor::{Abilities, Codec, Decode, Encoded, Target, Vendor};

/// The version of the API that is asked for, unless the user says otherwise. Later ones refuse a temperature.
const VERSION: &str = "2023-06-01";

/// Anthropic's messages (`POST {base}/v1/messages`).
///
/// ```
/// use llm_adapters::Anthropic;
/// use llm_protocol::ModelAdapter;
///
/// let http = llm_adapters::HttpClient::new()?;
/// let claude = Anthropic::builder("claude-haiku-4-5").api_key("key").http_client(http).build()?;
/// assert_eq!(claude.key(), "anthropic:claude-haiku-4-5");
/// # Ok::<(), llm_adapters::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Anthropic {
    version: Cow<'static, str>,
}

/// One model of Anthropic's.
pub type AnthropicAdapter = Adapter<Anthropic>;

impl Anthropic {
    /// Starts an adapter for this model.
    pub fn builder(model: impl Into<String>) -> Builder<Self> {
        Builder::new(Self { version: VERSION.into() }, model.into())
    }
}

/// What is Anthropic's only.
impl Builder<Anthropic> {
    /// The version of the API (`anthropic-version`); `2023-06-01` without it.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.vendor.version = version.into().into();
        self
    }
}

impl Vendor for Anthropic {}

impl Codec for Anthropic {
    const PROVIDER: &'static str = "anthropic";
    const BASE_URL: &'static str = "https://api.anthropic.com";
    const PATH: &'static [&'static str] = &["v1", "messages"];

    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, Secret)> {
        let key = key.map(|key| ("x-api-key", key.clone()));
        key.into_iter().chain([("anthropic-version", Secret::from(&*self.version))]).collect()
    }

    fn abilities(&self) -> Abilities {
        Abilities { tools: true, json_object: false, json_schema: true, images: true }
    }

    fn encode(&self, target: &Target<'_>, request: &Request, stream: bool) -> Result<Encoded, Error> {
        encode::body(target, request, stream)
    }

    fn health_path(&self, _provider: &str) -> &'static [&'static str] {
        &["v1", "models"]
    }

    fn failure(&self, status: u16, _headers: &HeaderMap, body: &[u8]) -> Failure {
        classify::refusal(status, body)
    }

    fn decode(&self, provider: &str, body: &[u8]) -> Result<Response, Failure> {
        decode::whole(provider, body)
    }

    fn decoder(&self, provider: &str) -> Box<dyn Decode> {
        Box::new(decode::Decoder::new(provider))
    }
}
