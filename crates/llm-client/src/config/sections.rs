//! The sections that hold for all candidates.

use std::time::Duration;

use llm_reliability::{Policy, Timeouts};
use serde::{Deserialize, Serialize};

use super::words::{self, Words};
use super::{duration, is_default};

/// `[timeouts]`: the clocks of every call, each independent of the others. See [`Timeouts`] for the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TimeoutConfig {
    /// For a connection: DNS, TCP and TLS together. 10 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// From dispatch until the model shows that it is at work. 15 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Duration>,
    /// Between two deltas of a stream. 30 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
    /// From dispatch until the answer is whole. 60 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Duration>,
    /// The whole call.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
    /// How long a shutdown waits for settlements. 2 s unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Duration>,
}

impl From<&TimeoutConfig> for Timeouts {
    fn from(config: &TimeoutConfig) -> Self {
        let mut timeouts = Self::new();
        timeouts.first_token = config.first_token;
        timeouts.idle = config.idle;
        timeouts.attempt = config.attempt;
        timeouts.total = config.total;
        timeouts.cleanup = config.cleanup;
        timeouts
    }
}

/// `[failover]`: how one good answer is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FailoverConfig {
    /// Whom to ask first.
    #[serde(deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub order: Order,
    /// How often the same candidate is tried again after a transient error. 0 unless set.
    #[serde(skip_serializing_if = "is_default")]
    pub transient_retries: u32,
    /// When to move on, and when to stop.
    #[serde(deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub policy: PolicyName,
    /// Whether an answer that is cut while it is handed out starts anew at the next candidate; see
    /// [`Policy::restart_on_cut`].
    #[serde(skip_serializing_if = "is_default")]
    pub restart_on_cut: bool,
}

impl From<&FailoverConfig> for Policy {
    fn from(config: &FailoverConfig) -> Self {
        let policy = match config.policy {
            PolicyName::Default => Self::default(),
            PolicyName::Keel => Self::keel(),
            PolicyName::Robust => Self::robust(),
        };
        policy.transient_retries(config.transient_retries).restart_on_cut(config.restart_on_cut)
    }
}

/// Whom to ask first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Order {
    /// By their priority, and as they are listed where that is the same. `"priority"` is another name for it.
    #[default]
    #[serde(alias = "priority")]
    Listed,
}

impl Words for Order {
    const EXPECTED: &'static str = "`\"listed\"` or `\"priority\"`";
}

/// When a failover moves on, and when it stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyName {
    /// [`Policy::default`]: stops only on a model's refusal.
    #[default]
    Default,
    /// [`Policy::keel`]: never stops.
    Keel,
    /// [`Policy::robust`]: stops on what wants a person.
    Robust,
}

impl Words for PolicyName {
    const EXPECTED: &'static str = "`\"default\"`, `\"keel\"` or `\"robust\"`";
}

/// `[fan_out]`: how many answers are enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FanOutConfig {
    /// How many answers are enough.
    #[serde(deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub quorum: QuorumSetting,
}

/// How many answers of a `fan_out` are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuorumSetting {
    /// Every seat is waited for, and any answer will do.
    #[default]
    All,
}

impl Words for QuorumSetting {
    const EXPECTED: &'static str = "`\"all\"`";
}
