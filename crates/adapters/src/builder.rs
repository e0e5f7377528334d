//! Making an adapter: one builder for all vendors, with what only some of them know beside the codec.

use std::fmt;
use std::sync::Arc;

use llm_protocol::{Capability, Secret};

use crate::access::{Access, Source};
use crate::adapter::{Adapter, Shared};
use crate::base_url;
use crate::credentials::Credentials;
use crate::http::HttpClient;
use crate::vendor::{Abilities, Vendor};

/// The most bytes of an answer, unless the user says otherwise.
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// The most bytes of one event of a stream, unless the user says otherwise. The largest in real traffic are inline
/// images of a few megabytes.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// Makes an adapter. Start with `OpenAi::builder` or `Anthropic::builder`.
#[derive(Clone)]
pub struct Builder<V> {
    pub(crate) vendor: V,
    model: String,
    provider: Option<String>,
    key: Option<String>,
    base_url: Option<String>,
    allow_plain_http: bool,
    source: Source,
    lacks: Vec<Capability>,
    headers: Vec<(String, Secret)>,
    max_output_tokens: Option<u32>,
    context_window: Option<u64>,
    max_response_bytes: usize,
    max_event_bytes: usize,
    http_client: Option<HttpClient>,
}

impl<V: Vendor> Builder<V> {
    pub(crate) fn new(vendor: V, model: String) -> Self {
        Self {
            vendor,
            model,
            provider: None,
            key: None,
            base_url: None,
            allow_plain_http: false,
            source: Source::Fixed(None),
            lacks: Vec::new(),
            headers: Vec::new(),
            max_output_tokens: None,
            context_window: None,
            max_response_bytes: MAX_RESPONSE_BYTES,
            max_event_bytes: MAX_EVENT_BYTES,
            http_client: None,
        }
    }

    /// The credential. Without one none is sent, which is what some local hosts want.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.source = Source::Fixed(Some(key.into()));
        self
    }

    /// Where to get the credential for each request, for those that change.
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.source = Source::Rotating(credentials);
        self
    }

    /// Declares that this host or model lacks something that the format could ask for: tools, say, or schemas.
    /// Requests that need it are refused before anything is sent.
    pub fn lacks(mut self, capability: Capability) -> Self {
        self.lacks.push(capability);
        self
    }

    /// Where the API is: what the vendor's own SDK calls its base URL. OpenAI's ends in `/v1`, Anthropic's does not;
    /// a trailing slash makes no difference, and a query is kept, its values handled like credentials. It must be https,
    /// or http on the loopback.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Allows plain http to other hosts than the loopback: credentials and prompts can then be read on the way.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// The provider's name, for a host that speaks this vendor's format: `groq`, say. It is part of the default
    /// key, and names the host's parameters in [`Request::extra`](llm_protocol::Request::extra).
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// Names the model in reports and on breakers; `provider:model` without it.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The most tokens that an answer may have, for requests that do not say. Without it nothing is sent where the
    /// vendor allows that, and 4096 where it does not (Anthropic).
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// The model's context window, in tokens, to declare in the capabilities.
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// Adds a header to every request. It replaces one of the same name that the adapter would send; its value is
    /// handled like a credential.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The most bytes of an answer, after decompression; beyond them the call fails with a `Protocol` error.
    /// 64 MiB without it.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// The most bytes of one event of a stream; beyond them the call fails with a `Protocol` error. 8 MiB without
    /// it.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.max_event_bytes = bytes;
        self
    }

    /// The client to use; adapters with the same one share their connections. Without it the adapter makes its own.
    pub fn http_client(mut self, client: impl Into<HttpClient>) -> Self {
        self.http_client = Some(client.into());
        self
    }

    /// The adapter. Sends nothing.
    pub fn build(self) -> Result<Adapter<V>, BuildError> {
        if self.model.trim().is_empty() {
            return Err(BuildError::NoModel);
        }
        let base = base_url::parse(self.base_url.as_deref().unwrap_or(V::BASE_URL), self.allow_plain_http)?;
        let http = match self.http_client {
            Some(client) => client,
            None => HttpClient::new()?,
        };
        // Better said now than in every call.
        if base.scheme() == "https" && !http.may_have_tls() {
            return Err(BuildError::NoTls);
        }
        let access = Access::new(&self.vendor, self.source, self.headers, base_url::secrets(&base))?;
        let abilities = self.lacks.into_iter().fold(self.vendor.abilities(), Abilities::without);
        let provider = self.provider.unwrap_or_else(|| V::PROVIDER.to_owned());
        let health_url = base_url::join(&base, self.vendor.health_path(&provider));
        let key = self.key.unwrap_or_else(|| format!("{provider}:{}", self.model));
        Ok(Adapter::new(Shared {
            vendor: self.vendor,
            key: key.into(),
            provider,
            model: self.model,
            url: base_url::join(&base, V::PATH),
            health_url,
            base,
            access,
            abilities,
            max_output_tokens: self.max_output_tokens,
            context_window: self.context_window,
            max_response_bytes: self.max_response_bytes,
            max_event_bytes: self.max_event_bytes,
            http,
        }))
    }
}

/// Without the base URL, which nobody has checked yet.
impl<V: fmt::Debug> fmt::Debug for Builder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("vendor", &self.vendor)
            .field("model", &self.model)
            .field("provider", &self.provider)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why an adapter cannot be made. Shows neither credentials nor the base URL, which may hold some.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The model's id is empty.
    #[error("the model's id is empty")]
    NoModel,
    /// The base URL is no http or https URL.
    #[error("the base URL is not valid: {0}")]
    BaseUrl(&'static str),
    /// The base URL holds a user name or a password.
    #[error("the base URL holds a user name or a password: give credentials as such")]
    UserInfo,
    /// The base URL is plain http, and not to the loopback.
    #[error("the base URL is plain http to a host that is not the loopback: use https, or allow plain http")]
    PlainHttp,
    /// The credential is empty, or holds characters that no header can carry (a line feed, say).
    #[error("the credential is empty or holds characters that no header can carry")]
    ApiKey,
    /// The name or the value of this header cannot be sent.
    #[error("the header {0:?} cannot be sent as it is")]
    Header(String),
    /// The base URL is https, and the HTTP client is one that this crate made without TLS.
    #[error(
        "this build has no TLS: enable the feature `rustls` or `native-tls`, or give a `reqwest::Client` that has it"
    )]
    NoTls,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] Arc<reqwest::Error>),
}
