//! `[breaker]`: when a failing candidate is left alone, and for how long.

use std::num::NonZeroU32;
use std::time::Duration;

use circuit_breaker::{Percent, Preset, Rates, Settings, Window};
use serde::{Deserialize, Serialize};

use super::words::{self, Words};
use super::{count, duration, is_default, percent};
use crate::error::ConfigError;

/// `[breaker]`: when a failing candidate is left alone, and for how long. [`Settings`] says more of each.
///
/// Failures in a row open a circuit, or shares of the calls in a window do: [`failure_rate`](Self::failure_rate),
/// [`slow_call_rate`](Self::slow_call_rate), or either of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct BreakerConfig {
    /// What holds for all that is not set here.
    #[serde(deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub preset: PresetName,
    /// How many failures in a row open the circuit. 3 unless set.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<NonZeroU32>,
    /// How many per cent of the calls in the window have to fail to open it.
    #[serde(with = "percent", skip_serializing_if = "Option::is_none")]
    pub failure_rate: Option<Percent>,
    /// How many per cent of them have to be slow to open it.
    #[serde(with = "percent", skip_serializing_if = "Option::is_none")]
    pub slow_call_rate: Option<Percent>,
    /// From how long on a call is slow, whether it fails or not: to the end of an answer that is collected, to the first
    /// token of one that is handed out. None is, where every attempt has a shorter limit.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub slow_call: Option<Duration>,
    /// The window is the calls that ended within this time.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// The window is the last so many calls.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub window_calls: Option<NonZeroU32>,
    /// With fewer calls than this in the window nothing is concluded. 10 unless set, or as many as the window holds.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub minimum_calls: Option<NonZeroU32>,
    /// How long it stays open before a call goes out as a probe, which is not zero. 120 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Duration>,
    /// How long it stays open at most: each opening that follows on another stays open twice as long. Always the
    /// cooldown unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub longest_cooldown: Option<Duration>,
    /// Up to so many per cent are taken off each cooldown at random.
    #[serde(with = "percent", skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Percent>,
    /// How many probes go out while it is half-open. 1 unless set. Without a bound the first result decides, also where
    /// shares of the calls open the circuit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// How long it may be half-open. Without end unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub longest_half_open: Option<Duration>,
}

/// What a preset leaves as it is, and the settings change.
///
/// # Errors
///
/// [`ConfigError::Invalid`] names a setting that contradicts another, or says nothing without another.
impl TryFrom<&BreakerConfig> for Settings {
    type Error = ConfigError;

    fn try_from(config: &BreakerConfig) -> Result<Self, ConfigError> {
        let mut settings = Self::from(Preset::from(config.preset));
        match (config.rates()?, config.failure_threshold) {
            (Some(_), Some(_)) => {
                let reason = format!(
                    "contradicts `{}`: failures in a row open a circuit, or a share of its calls does",
                    if config.failure_rate.is_some() { "failure_rate" } else { "slow_call_rate" }
                );
                return Err(ConfigError::invalid("breaker.failure_threshold".to_owned(), reason));
            }
            (Some(rates), None) => settings = settings.trip(rates),
            (None, Some(failures)) => settings = settings.failure_threshold(failures),
            (None, None) => {}
        }
        settings.cooldown = config.cooldown.unwrap_or(settings.cooldown);
        settings.longest_cooldown = config.longest_cooldown;
        if config.cooldown == Some(Duration::ZERO) {
            return Err(invalid("cooldown", "is zero: no call would be kept away"));
        }
        if config.longest_cooldown.is_some_and(|longest| longest < settings.cooldown) {
            let reason = match config.cooldown {
                Some(_) => "is shorter than the cooldown".to_owned(),
                None => format!(
                    "is shorter than the cooldown, which is {} s unless set",
                    settings.cooldown.as_secs()
                ),
            };
            return Err(invalid("longest_cooldown", &reason));
        }
        settings.jitter = config.jitter;
        settings.probes = match config.probes {
            Some(Probes::AtMost(probes)) => Some(probes),
            Some(Probes::Unlimited) => None,
            None => settings.probes,
        };
        settings.longest_half_open = config.longest_half_open;
        if config.longest_half_open == Some(Duration::ZERO) {
            return Err(invalid("longest_half_open", "is zero: no probe could be in time"));
        }
        Ok(settings)
    }
}

impl BreakerConfig {
    /// The shares of calls that open a circuit; `None` where failures in a row do.
    fn rates(&self) -> Result<Option<Rates>, ConfigError> {
        let slow = match (self.slow_call, self.slow_call_rate) {
            (Some(Duration::ZERO), _) => {
                return Err(invalid("slow_call", "is zero: every call would be slow"));
            }
            (Some(from), Some(share)) => Some((from, share)),
            (None, None) => None,
            (Some(_), None) => return Err(invalid("slow_call", "does nothing without `slow_call_rate`")),
            (None, Some(_)) => return Err(invalid("slow_call_rate", "does nothing without `slow_call`")),
        };
        let window = self.window()?;
        let rates = match (window, self.failure_rate, slow) {
            (Some(window), Some(share), None) => Rates::failures(share, window),
            (Some(window), None, Some((from, slow))) => Rates::slow(from, slow, window),
            (Some(window), Some(share), Some((from, slow))) => {
                Rates::failures(share, window).slow_calls(from, slow)
            }
            (None, Some(_), _) => return Err(invalid("failure_rate", WINDOW_MISSING)),
            (None, None, Some(_)) => return Err(invalid("slow_call_rate", WINDOW_MISSING)),
            (_, None, None) => {
                let idle = [
                    ("window", self.window.is_some()),
                    ("window_calls", self.window_calls.is_some()),
                    ("minimum_calls", self.minimum_calls.is_some()),
                ];
                return match idle.iter().find(|(_, is_set)| *is_set) {
                    Some((name, _)) => {
                        Err(invalid(name, "does nothing without `failure_rate` or `slow_call_rate`"))
                    }
                    None => Ok(None),
                };
            }
        };
        let minimum = self.minimum_calls.unwrap_or(rates.minimum_calls);
        Ok(Some(rates.minimum_calls(minimum)))
    }

    fn window(&self) -> Result<Option<Window>, ConfigError> {
        match (self.window, self.window_calls) {
            (Some(_), Some(_)) => Err(invalid("window_calls", "contradicts `window`: set one of the two")),
            (Some(Duration::ZERO), None) => Err(invalid("window", "is zero: no call would be in it")),
            (None, Some(calls)) if self.minimum_calls.is_some_and(|minimum| minimum > calls) => Err(invalid(
                "minimum_calls",
                "is more than `window_calls`, which is all that the window holds",
            )),
            (Some(time), None) => Ok(Some(Window::Time(time))),
            (None, calls) => Ok(calls.map(Window::Calls)),
        }
    }
}

const WINDOW_MISSING: &str = "is a share of the calls in a window: set `window` or `window_calls`";

fn invalid(setting: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(format!("breaker.{setting}"), reason)
}

/// Settings that belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PresetName {
    /// [`Preset::Standard`]: three failures in a row, 120 seconds, one probe.
    #[default]
    Standard,
    /// [`Preset::Keel`]: the same, and every call is a probe.
    Keel,
}

impl Words for PresetName {
    const EXPECTED: &'static str = "`\"standard\"` or `\"keel\"`";
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Standard => Self::Standard,
            PresetName::Keel => Self::Keel,
        }
    }
}

/// How many probes may be out at a time: a number, or `"unlimited"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "RawProbes", into = "RawProbes")]
pub enum Probes {
    /// At most this many.
    AtMost(NonZeroU32),
    /// Every call goes out while the circuit is half-open.
    Unlimited,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number from 1, or \"unlimited\"")]
enum RawProbes {
    AtMost(NonZeroU32),
    Word(Word),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Unlimited,
}

impl From<RawProbes> for Probes {
    fn from(raw: RawProbes) -> Self {
        match raw {
            RawProbes::AtMost(probes) => Self::AtMost(probes),
            RawProbes::Word(Word::Unlimited) => Self::Unlimited,
        }
    }
}

impl From<Probes> for RawProbes {
    fn from(probes: Probes) -> Self {
        match probes {
            Probes::AtMost(probes) => Self::AtMost(probes),
            Probes::Unlimited => Self::Word(Word::Unlimited),
        }
    }
}
