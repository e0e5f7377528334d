//! What the types cannot say of a configuration: checked before anything is made of it.

use std::time::Duration;

use rust_decimal::Decimal;

use super::{CandidateSpec, Config, PriceConfig, variable};
use crate::error::{ConfigError, breaks_lines, one_line};

impl Config {
    /// The sections that hold for all candidates. The candidates are checked when they are made.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let clocks = &self.timeouts;
        // Not `cleanup`: not to wait at all is a choice there.
        for (name, limit) in [
            ("connect", clocks.connect),
            ("first_token", clocks.first_token),
            ("idle", clocks.idle),
            ("attempt", clocks.attempt),
            ("total", clocks.total),
        ] {
            not_zero(|| format!("timeouts.{name}"), limit)?;
        }
        self.failover.check(&self.candidates)?;
        self.fan_out.check()?;
        self.store.check(self.failover.order)
    }

    /// What depends on who there is to ask, once these are all.
    pub(crate) fn check_candidates(&self) -> Result<(), ConfigError> {
        // That there is nobody at all is another error.
        if self.candidates.is_empty() {
            return Ok(());
        }
        self.failover.check_for(&self.candidates)?;
        self.fan_out.check_for(&self.candidates)
    }
}

/// What a candidate is called in errors.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// What stands between that and the name of a setting.
    joint: &'static str,
}

impl Place {
    /// By its position in a configuration.
    pub(crate) fn at(position: usize) -> Self {
        Self { name: format!("candidate[{position}]"), joint: "." }
    }

    /// By its name.
    pub(crate) fn of(spec: &CandidateSpec) -> Self {
        let id = spec.id.as_deref().filter(|id| !id.trim().is_empty());
        let name = id.map_or_else(|| format!("{}:{}", spec.provider, spec.model), str::to_owned);
        Self { name: one_line(name), joint: ": " }
    }

    pub(crate) fn setting(&self, setting: &str) -> String {
        format!("{}{}{setting}", self.name, self.joint)
    }
}

impl CandidateSpec {
    pub(crate) fn check(&self, place: &Place) -> Result<(), ConfigError> {
        for (name, text) in [
            ("id", self.id.as_deref()),
            ("provider", Some(self.provider.as_str())),
            ("model", Some(self.model.as_str())),
            ("quota_key", self.quota_key.as_deref()),
            ("base_url", self.base_url.as_deref()),
            ("api_version", self.api_version.as_deref()),
        ] {
            if text.is_some_and(|text| text.trim().is_empty()) {
                return Err(ConfigError::invalid(place.setting(name), "is empty"));
            }
            // They are part of messages and logs, which such characters would break into lines.
            if text.is_some_and(|text| text.contains(breaks_lines)) {
                return Err(ConfigError::invalid(place.setting(name), "has a control character in it"));
            }
        }
        if self.api_key_env.as_deref().is_some_and(|name| !variable::is_name(name)) {
            // The value is not shown: it may be the key itself.
            return Err(ConfigError::invalid(
                place.setting("api_key_env"),
                "is not the name of an environment variable; the key itself does not belong here",
            ));
        }
        for (name, tokens) in [
            ("max_output_tokens", self.max_output_tokens.map(u64::from)),
            ("context_window", self.context_window),
        ] {
            if tokens == Some(0) {
                return Err(ConfigError::invalid(place.setting(name), "is zero: no answer would fit"));
            }
        }
        let clocks = &self.timeouts;
        for (name, limit) in
            [("first_token", clocks.first_token), ("idle", clocks.idle), ("attempt", clocks.attempt)]
        {
            not_zero(|| place.setting(&format!("timeouts.{name}")), limit)?;
        }
        self.price.as_ref().map_or(Ok(()), |price| price.check(&place.setting("price")))
    }
}

/// With a price up to this, per million, the cost of any number of tokens can be counted.
const HIGHEST_PRICE: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

impl PriceConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        if self.currency.trim().is_empty() {
            return Err(ConfigError::invalid(format!("{path}.currency"), "is empty"));
        }
        if self.currency.contains(breaks_lines) {
            return Err(ConfigError::invalid(format!("{path}.currency"), "has a control character in it"));
        }
        for (name, price) in [
            ("input_per_1m", Some(self.input_per_1m)),
            ("output_per_1m", Some(self.output_per_1m)),
            ("cache_read_per_1m", self.cache_read_per_1m),
            ("cache_write_per_1m", self.cache_write_per_1m),
        ] {
            if price.is_some_and(|price| price.is_sign_negative() && !price.is_zero()) {
                return Err(ConfigError::invalid(format!("{path}.{name}"), "is negative"));
            }
            if price.is_some_and(|price| price > HIGHEST_PRICE) {
                let reason = format!("is more than {HIGHEST_PRICE}");
                return Err(ConfigError::invalid(format!("{path}.{name}"), reason));
            }
        }
        Ok(())
    }
}

fn not_zero(path: impl FnOnce() -> String, limit: Option<Duration>) -> Result<(), ConfigError> {
    match limit {
        Some(Duration::ZERO) => Err(ConfigError::invalid(path(), "is zero: nothing could be in time")),
        _ => Ok(()),
    }
}
