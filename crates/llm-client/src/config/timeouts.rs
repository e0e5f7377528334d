//! `[timeouts]`: the clocks of every call.

use std::time::Duration;

use llm_reliability::Timeouts;
use serde::{Deserialize, Serialize};

use super::duration;

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
