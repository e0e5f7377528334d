//! `[limits]`: how much may go out under a key.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroU64};

use circuit_breaker::{InProcessLimiter, Limits, Rate};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::count::{self, Count};
use super::shown::{listed, quoted};
use super::{CandidateSpec, shown};
use crate::error::ConfigError;

/// `[limits]`: how much may go out under each candidate's [quota key](field@super::CandidateSpec::quota_key), and with
/// `[limits."key"]` under this one. A key with a section of its own has only the bounds that stand there.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// The keys that have no section of their own, each for itself.
    #[serde(flatten)]
    pub each: KeyLimits,
    /// The sections, by key.
    #[serde(flatten)]
    pub keys: BTreeMap<String, KeyLimits>,
}

/// How much may go out under one key. What is not set has no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KeyLimits {
    /// How many requests a minute.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU64>,
    /// How many of them at once, after a pause. As many as in a minute unless set.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub requests_burst: Option<NonZeroU64>,
    /// How many tokens of input a minute.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<NonZeroU64>,
    /// How many of them at once, after a pause. As many as in a minute unless set.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub input_tokens_burst: Option<NonZeroU64>,
    /// How many tokens of output a minute. A request without `max_tokens` reserves none, and is counted only afterwards.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<NonZeroU64>,
    /// How many of them at once, after a pause. As many as in a minute unless set.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub output_tokens_burst: Option<NonZeroU64>,
    /// How many calls at a time.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<NonZeroU32>,
}

const BOUNDS: [&str; 7] = [
    "requests_per_minute",
    "requests_burst",
    "input_tokens_per_minute",
    "input_tokens_burst",
    "output_tokens_per_minute",
    "output_tokens_burst",
    "in_flight",
];

impl<'de> Deserialize<'de> for LimitsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Bounds and sections stand beside each other, so a name that is no bound is a key, if there is a section under it.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = LimitsConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limits, and sections of limits by key")
    }

    fn visit_unit<E: Error>(self) -> Result<LimitsConfig, E> {
        Ok(LimitsConfig::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitsConfig, A::Error> {
        let LimitsConfig { mut each, mut keys } = LimitsConfig::default();
        while let Some(name) = map.next_key::<String>()? {
            let bound = match name.as_str() {
                "requests_per_minute" => &mut each.requests_per_minute,
                "requests_burst" => &mut each.requests_burst,
                "input_tokens_per_minute" => &mut each.input_tokens_per_minute,
                "input_tokens_burst" => &mut each.input_tokens_burst,
                "output_tokens_per_minute" => &mut each.output_tokens_per_minute,
                "output_tokens_burst" => &mut each.output_tokens_burst,
                "in_flight" => {
                    each.in_flight = map.next_value_seed(Count(PhantomData))?;
                    continue;
                }
                _ => {
                    let section = map.next_value_seed(Section(&name))?;
                    keys.insert(name, section);
                    continue;
                }
            };
            *bound = map.next_value_seed(Count(PhantomData))?;
        }
        Ok(LimitsConfig { each, keys })
    }
}

/// What stands under this name.
struct Section<'a>(&'a str);

impl Section<'_> {
    fn unknown<E: Error>(&self) -> E {
        E::unknown_field(self.0, &BOUNDS)
    }
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = KeyLimits;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<KeyLimits, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = KeyLimits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyLimits, A::Error> {
        KeyLimits::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<KeyLimits, E> {
        Err(self.unknown())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<KeyLimits, E> {
        Err(self.unknown())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<KeyLimits, E> {
        Err(self.unknown())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<KeyLimits, E> {
        Err(self.unknown())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<KeyLimits, E> {
        Err(self.unknown())
    }
}

impl LimitsConfig {
    /// The limiter that holds calls to this; `None` where there are no bounds.
    pub(crate) fn limiter(
        &self,
        candidates: &[CandidateSpec],
    ) -> Result<Option<InProcessLimiter>, ConfigError> {
        let mut limiter = InProcessLimiter::new(self.each.limits("limits")?);
        for (at, (key, limits)) in self.keys.iter().enumerate() {
            let path = format!("limits.{}", quoted(key));
            if !candidates.iter().any(|candidate| candidate.quota_key() == *key) {
                let which = if shown(key) == key {
                    String::new()
                } else {
                    format!("(number {} of {} by the alphabet) ", at + 1, self.keys.len())
                };
                let known = listed(candidates.iter().filter_map(CandidateSpec::shown_quota_key));
                let reason = format!("{which}is the quota key of no candidate{known}");
                return Err(ConfigError::invalid(path, reason));
            }
            limiter = limiter.limits_for(key.as_str(), limits.limits(&path)?);
        }
        Ok(Some(limiter).filter(|_| *self != Self::default()))
    }
}

impl KeyLimits {
    fn limits(&self, path: &str) -> Result<Limits, ConfigError> {
        let rate = |name, amount: Option<NonZeroU64>, burst: Option<NonZeroU64>| match (amount, burst) {
            (None, Some(_)) => {
                let reason = format!("does nothing without `{name}_per_minute`");
                Err(ConfigError::invalid(format!("{path}.{name}_burst"), reason))
            }
            (amount, burst) => {
                Ok(amount.map(|amount| Rate::per_minute(amount).burst(burst.unwrap_or(amount))))
            }
        };
        let mut limits = Limits::default();
        limits.requests = rate("requests", self.requests_per_minute, self.requests_burst)?;
        limits.input_tokens = rate("input_tokens", self.input_tokens_per_minute, self.input_tokens_burst)?;
        limits.output_tokens =
            rate("output_tokens", self.output_tokens_per_minute, self.output_tokens_burst)?;
        limits.in_flight = self.in_flight;
        Ok(limits)
    }
}

/// Keys that could be credentials, put there by mistake, are not shown.
impl fmt::Debug for LimitsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|(key, limits)| (shown(key), limits)).collect();
        f.debug_struct("LimitsConfig").field("each", &self.each).field("keys", &keys).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_becomes_the_one_that_it_is_called() {
        let n = |number| NonZeroU64::new(number).unwrap();
        let rate = |amount, burst| Rate::per_minute(n(amount)).burst(n(burst));
        let none = Limits::default();
        for (text, expected) in [
            ("", none),
            ("requests_per_minute = 5", none.requests(rate(5, 5))),
            ("requests_per_minute = 5\nrequests_burst = 2", none.requests(rate(5, 2))),
            ("input_tokens_per_minute = 5", none.input_tokens(rate(5, 5))),
            ("input_tokens_per_minute = 5\ninput_tokens_burst = 9", none.input_tokens(rate(5, 9))),
            ("output_tokens_per_minute = 5", none.output_tokens(rate(5, 5))),
            ("output_tokens_per_minute = 5\noutput_tokens_burst = 1", none.output_tokens(rate(5, 1))),
            ("in_flight = 5", none.in_flight(NonZeroU32::new(5).unwrap())),
        ] {
            let each: LimitsConfig = toml::from_str(text).unwrap();
            assert_eq!(each.each.limits("limits").unwrap(), expected, "{text}");
            let section: LimitsConfig = toml::from_str(&format!("[key]\n{text}")).unwrap();
            assert_eq!(section.keys["key"].limits("limits.key").unwrap(), expected, "{text}");
        }
    }
}
