//! One candidate, as the configuration describes it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use llm_protocol::Capability;
use llm_reliability::{Price, StreamMode, Timeouts};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::words::{self, Words};
use super::{DialectSetting, TokenLimitSetting, capabilities, duration, is_default, shown, shown_variable};

/// `[[candidate]]`: someone to ask, without the credential.
///
/// `Debug` leaves the base URL out, since some hosts have their keys in it, and masks a variable's name that could be
/// the key itself.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CandidateSpec {
    /// Its name in reports and on the breaker; `provider:model` unless set. No two candidates may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who serves it, by the name under which a [`Registry`](crate::Registry) knows the provider.
    pub provider: String,
    /// The model, by the provider's id for it.
    pub model: String,
    /// Its key on the limiter, in `[limits]`: candidates with the same one share its rates, its calls in flight and its
    /// retry hints, as the models behind one credential do. A name for the credential, not the credential itself. The
    /// candidate's own key unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_key: Option<String>,
    /// When a failover asks it: those with a lower number first, those with the same in the order in which they are
    /// listed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// How often a failover begins with it, beside the weights of the others, where the
    /// [order](super::FailoverConfig::order) is `"weighted"`. 1 unless set; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Where the API is: what the vendor's own SDK calls its base URL. The provider's own unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Allows a plain-http base URL on another host than the loopback: credential and prompts can then be read on
    /// the way.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow_plain_http: bool,
    /// The environment variable that holds the credential. Without it the provider's usual variable is used, but
    /// with the [`base_url`](Self::base_url) of another host none at all: a key goes to no other host than its
    /// vendor's unasked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// The most tokens of an answer, for requests that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// The model's context window, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Whether its answers are collected from a stream.
    #[serde(default, deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub stream: StreamSetting,
    /// The version of the API, where the provider has such a thing (Anthropic: `2023-06-01` unless set).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// What the host or the model lacks: requests that need it go to another candidate.
    #[serde(default, with = "capabilities", skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Capability>,
    /// Whose manner the host has, for those that speak the OpenAI format. That of the provider's name unless set.
    #[serde(default, deserialize_with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub dialect: Option<DialectSetting>,
    /// Whether the conversation's marks for the prompt cache are sent, for hosts that speak the OpenAI format. The
    /// provider's habit unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_marks: Option<bool>,
    /// Whether streams ask for the count of tokens, for hosts that speak the OpenAI format. The provider's habit
    /// unless set; some hosts refuse to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// What the host calls the most tokens of an answer, for those that speak the OpenAI format. The provider's word
    /// unless set.
    #[serde(default, deserialize_with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub token_limit_field: Option<TokenLimitSetting>,
    /// Clocks of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: CandidateTimeouts,
    /// What its tokens cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceConfig>,
}

impl CandidateSpec {
    /// A candidate with nothing else set.
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into(), ..Self::default() }
    }

    /// Its name: [`id`](Self::id), or `provider:model`.
    pub fn key(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{}:{}", self.provider, self.model))
    }

    pub(crate) fn quota_key(&self) -> Cow<'_, str> {
        self.quota_key.as_deref().map_or_else(|| self.key().into(), Into::into)
    }

    /// Its name, unless that could be a credential, put there by mistake. One that is made of provider and model is the
    /// name that reports have too.
    pub(super) fn shown_key(&self) -> Option<String> {
        let derived = self.id.is_none() && shown(&self.provider) == self.provider;
        Some(self.key()).filter(|key| derived || shown(key) == key)
    }

    /// Its key on the limiter, with the same exception.
    pub(super) fn shown_quota_key(&self) -> Option<String> {
        match &self.quota_key {
            Some(key) => Some(key.clone()).filter(|key| shown(key) == key),
            None => self.shown_key(),
        }
    }
}

impl fmt::Debug for CandidateSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CandidateSpec")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field(
                "api_key_env",
                &self.api_key_env.as_deref().map(|name| shown_variable(name).unwrap_or("***")),
            )
            .field("timeouts", &self.timeouts)
            .field("price", &self.price)
            .finish_non_exhaustive()
    }
}

/// Whether answers are collected from a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StreamSetting {
    /// Where the adapter can stream, so that a silent provider is given up after the first-token limit.
    #[default]
    Auto,
    /// Never: the answer comes whole, and only the attempt limit applies.
    Never,
}

impl Words for StreamSetting {
    const EXPECTED: &'static str = "`\"auto\"` or `\"never\"`";
}

impl From<StreamSetting> for StreamMode {
    fn from(setting: StreamSetting) -> Self {
        match setting {
            StreamSetting::Auto => Self::Auto,
            StreamSetting::Never => Self::Never,
        }
    }
}

/// The clocks that one candidate can have for itself. They win over `[timeouts]`, and a call's own win over them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CandidateTimeouts {
    /// From dispatch until the model shows that it is at work.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Duration>,
    /// Between two deltas of a stream.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// From dispatch until the answer is whole.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Duration>,
}

impl From<&CandidateTimeouts> for Timeouts {
    fn from(config: &CandidateTimeouts) -> Self {
        let mut timeouts = Self::new();
        timeouts.first_token = config.first_token;
        timeouts.idle = config.idle;
        timeouts.attempt = config.attempt;
        timeouts
    }
}

/// The clocks of an attempt. `total` and `cleanup` are no candidate's own.
impl From<Timeouts> for CandidateTimeouts {
    fn from(timeouts: Timeouts) -> Self {
        Self { first_token: timeouts.first_token, idle: timeouts.idle, attempt: timeouts.attempt }
    }
}

/// What tokens cost, per million. Written as text (`"0.80"`) they are exact to the last digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PriceConfig {
    /// The currency's code, as it shall stand in reports.
    pub currency: String,
    /// Uncached input.
    pub input_per_1m: Decimal,
    /// Output.
    pub output_per_1m: Decimal,
    /// Input read from a prompt cache; a tenth of the input's price unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_per_1m: Option<Decimal>,
    /// Input written to a prompt cache; five quarters of the input's price unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_per_1m: Option<Decimal>,
}

impl PriceConfig {
    /// Prices without those of the prompt cache.
    pub fn new(currency: impl Into<String>, input_per_1m: Decimal, output_per_1m: Decimal) -> Self {
        Self {
            currency: currency.into(),
            input_per_1m,
            output_per_1m,
            cache_read_per_1m: None,
            cache_write_per_1m: None,
        }
    }
}

impl From<&PriceConfig> for Price {
    fn from(config: &PriceConfig) -> Self {
        let mut price = Self::new(&config.currency, config.input_per_1m, config.output_per_1m);
        price.cache_read_per_1m = config.cache_read_per_1m.unwrap_or(price.cache_read_per_1m);
        price.cache_write_per_1m = config.cache_write_per_1m.unwrap_or(price.cache_write_per_1m);
        price
    }
}

impl From<Price> for PriceConfig {
    fn from(price: Price) -> Self {
        Self {
            currency: price.currency,
            input_per_1m: price.input_per_1m,
            output_per_1m: price.output_per_1m,
            cache_read_per_1m: Some(price.cache_read_per_1m),
            cache_write_per_1m: Some(price.cache_write_per_1m),
        }
    }
}
