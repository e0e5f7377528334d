//! `[failover]`: how one good answer is found.

use std::time::Duration;

use circuit_breaker::Percent;
use llm_reliability::{ClientBuilder, FastestFirstToken, Hedge, LeastInFlight, Policy, RoundRobin, Weighted};
use serde::{Deserialize, Serialize};

use super::hedge::{self, HedgeAfter};
use super::words::{self, Words};
use super::{CandidateSpec, Place, duration, is_default, percent};
use crate::error::ConfigError;

/// `[failover]`: how one good answer is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FailoverConfig {
    /// Whom to ask first.
    #[serde(deserialize_with = "words::deserialize", skip_serializing_if = "is_default")]
    pub order: OrderName,
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
    /// How long a first token may take before the next candidate is asked beside; see [`Hedge`]. Nobody is unless set.
    #[serde(with = "hedge", skip_serializing_if = "Option::is_none")]
    pub hedge_after: Option<HedgeAfter>,
    /// How many per cent of the calls may have a second request because of that. 5 unless set.
    #[serde(with = "percent", skip_serializing_if = "Option::is_none")]
    pub hedge_budget: Option<Percent>,
    /// How long to wait when every candidate has an open circuit or a limit that is reached; see
    /// [`Policy::wait_when_unavailable`]. Not at all unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub wait_when_unavailable: Option<Duration>,
}

impl From<&FailoverConfig> for Policy {
    fn from(config: &FailoverConfig) -> Self {
        let policy = match config.policy {
            PolicyName::Default => Self::default(),
            PolicyName::Keel => Self::keel(),
            PolicyName::Robust => Self::robust(),
        };
        policy
            .transient_retries(config.transient_retries)
            .restart_on_cut(config.restart_on_cut)
            .hedge(config.hedge_after.map(Hedge::from))
            .wait_when_unavailable(config.wait_when_unavailable.unwrap_or_default())
    }
}

impl FailoverConfig {
    pub(super) fn check(&self, candidates: &[CandidateSpec]) -> Result<(), ConfigError> {
        let invalid =
            |setting, reason: &str| Err(ConfigError::invalid(format!("failover.{setting}"), reason));
        match self.hedge_after {
            Some(HedgeAfter::Delay(Duration::ZERO)) => {
                return invalid("hedge_after", "is zero: no first token could be in time");
            }
            None if self.hedge_budget.is_some() => {
                return invalid("hedge_budget", "does nothing without `hedge_after`");
            }
            _ => {}
        }
        match candidates.iter().position(|candidate| candidate.weight.is_some()) {
            Some(at) if self.order != OrderName::Weighted => {
                let path = Place::at(at).setting("weight");
                Err(ConfigError::invalid(path, "does nothing without `failover.order = \"weighted\"`"))
            }
            _ => Ok(()),
        }
    }

    /// What only those can contradict who are asked, and nobody else.
    pub(super) fn check_for(&self, candidates: &[CandidateSpec]) -> Result<(), ConfigError> {
        if self.order == OrderName::Weighted && candidates.iter().all(|each| each.weight == Some(0)) {
            let reason = "is `\"weighted\"`, and every candidate has a weight of 0: nobody could be drawn";
            return Err(ConfigError::invalid("failover.order".to_owned(), reason));
        }
        Ok(())
    }

    /// What of this is no policy.
    pub(crate) fn set_up(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match self.order {
            OrderName::Listed => builder,
            OrderName::RoundRobin => builder.order(RoundRobin::default()),
            OrderName::Weighted => builder.order(Weighted),
            OrderName::LeastInFlight => builder.order(LeastInFlight),
            OrderName::FastestFirstToken => builder.order(FastestFirstToken::default()),
        };
        match self.hedge_budget {
            Some(share) => builder.hedge_budget(f64::from(share.get()) / 100.0),
            None => builder,
        }
    }
}

/// Whom to ask first. Who comes after a failure is a matter of the priorities, with every order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OrderName {
    /// By their priority, and as they are listed where that is the same. `"priority"` is another name for it.
    #[default]
    #[serde(alias = "priority")]
    Listed,
    /// [`RoundRobin`]: each call the next of the list.
    RoundRobin,
    /// [`Weighted`]: at random, each as often as its [weight](field@CandidateSpec::weight) says.
    Weighted,
    /// [`LeastInFlight`]: whoever has the fewest calls under way.
    LeastInFlight,
    /// [`FastestFirstToken`]: whoever was fastest of late.
    FastestFirstToken,
}

impl Words for OrderName {
    const EXPECTED: &'static str = "`\"listed\"`, `\"priority\"`, `\"round_robin\"`, `\"weighted\"`, \
                                    `\"least_in_flight\"` or `\"fastest_first_token\"`";
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
