//! The configuration: what a TOML file says, as plain data. It never holds a credential.

mod breaker;
mod candidate;
mod capabilities;
mod check;
mod count;
mod dialect;
mod duration;
mod failover;
mod fan_out;
mod hedge;
mod limits;
mod not_built;
mod percent;
mod shown;
mod store;
mod timeouts;
mod variable;
mod words;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::breaker::{BreakerConfig, PresetName, Probes};
pub use self::candidate::{CandidateSpec, CandidateTimeouts, PriceConfig, StreamSetting};
pub(crate) use self::check::Place;
pub use self::dialect::{DialectSetting, TokenLimitSetting};
pub use self::failover::{FailoverConfig, OrderName, PolicyName};
pub use self::fan_out::FanOutConfig;
pub use self::hedge::{HedgeAfter, Quantile};
pub use self::limits::{KeyLimits, LimitsConfig};
pub(crate) use self::shown::{shown, without_keys};
pub use self::store::{Nodes, OutageName, StoreConfig};
pub use self::timeouts::TimeoutConfig;
pub(crate) use self::variable::shown as shown_variable;
use crate::error::ConfigError;

/// Candidates, and what decides between them. The [crate page](crate) lists every setting.
///
/// It comes from TOML ([`from_toml`](Self::from_toml), [`str::parse`]), from any other format that serde reads, or
/// from code. It never holds a key, only the name of the variable that does.
///
/// ```
/// use llm_client::{Config, PolicyName};
///
/// let config: Config = r#"
///     [failover]
///     policy = "keel"
///
///     [[candidate]]
///     provider = "ollama"
///     model = "llama3.2"
/// "#.parse()?;
/// assert_eq!(config.failover.policy, PolicyName::Keel);
/// assert_eq!(config.candidates[0].key(), "ollama:llama3.2");
/// # Ok::<(), llm_client::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// `[timeouts]`: the clocks of every call.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: TimeoutConfig,
    /// `[failover]`: how one good answer is found.
    #[serde(skip_serializing_if = "is_default")]
    pub failover: FailoverConfig,
    /// `[fan_out]`: who is asked side by side, and how many answers are enough.
    #[serde(skip_serializing_if = "is_default")]
    pub fan_out: FanOutConfig,
    /// `[breaker]`: when a failing candidate is left alone.
    #[serde(skip_serializing_if = "is_default")]
    pub breaker: BreakerConfig,
    /// `[limits]`: how much may go out.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: LimitsConfig,
    /// `[store]`: what clients share, and through which store.
    #[serde(skip_serializing_if = "is_default")]
    pub store: StoreConfig,
    /// `[[candidate]]`: who may answer.
    #[serde(rename = "candidate")]
    pub candidates: Vec<CandidateSpec>,
}

impl Config {
    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Toml`] says where the text is no TOML, or has a setting that does not exist or a value that it
    /// cannot have. [`ConfigError::NotBuilt`] names a setting that this version knows of and cannot do.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let table: toml::Table =
            toml::from_str(text).map_err(|error| ConfigError::in_toml(text, error, None))?;
        // Before the types are: they know nothing of these settings, and would call them unknown.
        if let Some(setting) = not_built::find(&table) {
            return Err(ConfigError::NotBuilt { setting });
        }
        toml::from_str(text).map_err(|error| ConfigError::in_toml(text, error, Some(&table)))
    }
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::from_toml(text)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
