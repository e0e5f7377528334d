//! A provider to ask, with its credential as a value.

use std::fmt;
use std::sync::Arc;

use llm_adapters::Credentials;
use llm_protocol::{Capability, Secret};
use llm_reliability::{Price, Timeouts};

use crate::config::{CandidateSpec, DialectSetting, StreamSetting, TokenLimitSetting};
use crate::factory::Credential;

/// A provider to ask for one model: what a [`CandidateSpec`] says, and what no configuration holds: the credential, and
/// headers that may be one. For a [`Builder`](crate::Builder). Nothing here is read from the environment.
///
/// ```
/// use llm_client::{Builder, Provider};
///
/// # let (first, second) = ("a", "b");
/// let client = Builder::new()
///     .add(Provider::new("anthropic", "claude-haiku-4-5").api_key(first).id("anthropic-1"))
///     .add(Provider::new("anthropic", "claude-haiku-4-5").api_key(second).id("anthropic-2").priority(1))
///     .build()?;
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Provider {
    pub(crate) spec: CandidateSpec,
    pub(crate) source: Source,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) origin: Origin,
    /// A clock that was set and that no candidate has.
    pub(crate) misplaced: Option<&'static str>,
}

/// Which way in it came, which decides what it is called in errors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Code,
    Environment,
    Settings,
}

/// Where the credential comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// Nobody has given one.
    None,
    Given(Credential),
    /// The variable that the settings name, or the provider's usual one.
    Variable,
}

impl Provider {
    /// This model of this provider, by the name under which a [`Registry`](crate::Registry) knows it.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        CandidateSpec::new(provider, model).into()
    }

    /// The credential. White space around it is taken off.
    pub fn api_key(mut self, key: impl Into<Secret>) -> Self {
        self.source = Source::Given(Credential::Value(key.into()));
        self
    }

    /// Where to get the credential for each request, for those that change.
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.source = Source::Given(Credential::Rotating(credentials));
        self
    }

    /// Adds a header to every request. It replaces one of the same name that would be sent; its value is handled like a
    /// credential.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Its name in reports, and its key on breaker and limiter; `provider:model` unless set. On the limiter it can have
    /// [another](Self::quota_key). Several of one provider
    /// and model each need one of their own.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.spec.id = Some(id.into());
        self
    }

    /// Its key on the limiter: those with the same one share its limits and its retry hints, as the models behind one
    /// credential do. A name for the credential, not the credential itself. The candidate's own key unless set.
    pub fn quota_key(mut self, key: impl Into<String>) -> Self {
        self.spec.quota_key = Some(key.into());
        self
    }

    /// When a failover asks it: those with a lower number first, those with the same in the order in which they were
    /// added. 0 unless set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.spec.priority = priority;
        self
    }

    /// How often a call begins with it, beside the weights of the others, where the client's
    /// [order](llm_reliability::ClientBuilder::order) is [`Weighted`](llm_reliability::Weighted). 1 unless set; 0 is never.
    pub fn weight(mut self, weight: u32) -> Self {
        self.spec.weight = Some(weight);
        self
    }

    /// Where the API is: what the vendor's own SDK calls its base URL. The provider's own unless set. With another
    /// host than the provider's a credential is optional.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.spec.base_url = Some(url.into());
        self
    }

    /// Allows plain http to other hosts than the loopback: credential and prompts can then be read on the way.
    pub fn allow_plain_http(mut self) -> Self {
        self.spec.allow_plain_http = true;
        self
    }

    /// The most tokens of an answer, from 1, for requests that do not say.
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.spec.max_output_tokens = Some(tokens);
        self
    }

    /// The model's context window, in tokens.
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.spec.context_window = Some(tokens);
        self
    }

    /// Whether its answers are collected from a stream.
    pub fn stream(mut self, stream: StreamSetting) -> Self {
        self.spec.stream = stream;
        self
    }

    /// The version of the API, where the provider has such a thing (Anthropic).
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.spec.api_version = Some(version.into());
        self
    }

    /// Declares that the host or the model lacks this: requests that need it go to another candidate.
    pub fn lacks(mut self, capability: Capability) -> Self {
        self.spec.lacks.push(capability);
        self
    }

    /// Whether streams ask for the count of tokens, for hosts that speak the OpenAI format.
    pub fn include_usage(mut self, include: bool) -> Self {
        self.spec.include_usage = Some(include);
        self
    }

    /// Whose manner the host has, for hosts that speak the OpenAI format; that of the provider's name unless set.
    pub fn dialect(mut self, dialect: DialectSetting) -> Self {
        self.spec.dialect = Some(dialect);
        self
    }

    /// Whether the conversation's marks for the prompt cache are sent, for hosts that speak the OpenAI format.
    pub fn cache_marks(mut self, send: bool) -> Self {
        self.spec.cache_marks = Some(send);
        self
    }

    /// What the host calls the most tokens of an answer, for those that speak the OpenAI format.
    pub fn token_limit_field(mut self, field: TokenLimitSetting) -> Self {
        self.spec.token_limit_field = Some(field);
        self
    }

    /// Clocks of its own: `first_token`, `idle` and `attempt`. With `total` or `cleanup`, which belong to the call and to
    /// the client, no client is made.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        let foreign = [("total", timeouts.total), ("cleanup", timeouts.cleanup)];
        self.misplaced = foreign.into_iter().find_map(|(name, limit)| limit.map(|_| name));
        self.spec.timeouts = timeouts.into();
        self
    }

    /// What its tokens cost.
    pub fn price(mut self, price: Price) -> Self {
        self.spec.price = Some(price.into());
        self
    }
}

/// Without a credential yet. One that is named by `api_key_env` has to be given all the same.
impl From<CandidateSpec> for Provider {
    fn from(spec: CandidateSpec) -> Self {
        Self { spec, source: Source::None, headers: Vec::new(), origin: Origin::Code, misplaced: None }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("spec", &self.spec).finish_non_exhaustive()
    }
}
