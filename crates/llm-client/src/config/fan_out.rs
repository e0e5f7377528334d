//! `[fan_out]`: who is asked side by side, how many answers are enough, and who is waited for then.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use llm_reliability::{FanOut, QuorumPolicy};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::shown::listed;
use super::{CandidateSpec, count, duration, is_default, shown};
use crate::error::ConfigError;

/// What there is, in the words of an error.
const QUORUMS: &str = "expected \"all\", \"majority\", \"first\" or a whole number from 1";

/// `[fan_out]`: who is asked side by side, how many answers are enough, and who is waited for then. [`FanOut`] says more
/// of each.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FanOutConfig {
    /// How many answers are enough.
    #[serde(deserialize_with = "quorum", skip_serializing_if = "is_default")]
    pub quorum: QuorumPolicy,
    /// How long those who have not answered are waited for once there are enough. Not at all unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
    /// When it is over, whoever has answered by then. Never unless set.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<Duration>,
    /// How many are asked at a time. All unless set.
    #[serde(deserialize_with = "count::deserialize", skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// Who has a seat, by the ids of the candidates; the same may have several. Every candidate has one that is not on the
    /// bench unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seats: Option<Vec<String>>,
    /// Who takes over the seats of those that give no answer, by the ids of the candidates. Nobody unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bench: Option<Vec<String>>,
}

impl From<&FanOutConfig> for FanOut {
    fn from(config: &FanOutConfig) -> Self {
        let mut fan_out = Self::new(config.quorum).grace(config.grace.unwrap_or_default());
        if let Some(cutoff) = config.cutoff {
            fan_out = fan_out.cutoff(cutoff);
        }
        if let Some(concurrency) = config.concurrency {
            fan_out = fan_out.concurrency(concurrency);
        }
        if let Some(seats) = &config.seats {
            fan_out = fan_out.seats(seats);
        }
        fan_out.bench(config.bench.iter().flatten())
    }
}

impl FanOutConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.quorum == QuorumPolicy::AtLeast(0) {
            return Err(invalid("quorum", &format!("is 0: {QUORUMS}")));
        }
        if self.grace.is_some() && self.quorum == QuorumPolicy::All {
            return Err(invalid("grace", "does nothing with `quorum = \"all\"`, which waits for everyone"));
        }
        if self.cutoff == Some(Duration::ZERO) {
            return Err(invalid("cutoff", "is zero: no answer could be in time"));
        }
        if self.seats.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid("seats", "is empty: nobody would be asked"));
        }
        Ok(())
    }

    /// What is wrong with it when there are no others than these to ask.
    pub(super) fn check_for(&self, candidates: &[CandidateSpec]) -> Result<(), ConfigError> {
        let named = |list: &Option<Vec<String>>, key: &str| list.iter().flatten().any(|id| id == key);
        for (setting, list) in [("seats", &self.seats), ("bench", &self.bench)] {
            let unknown = |id: &String| !candidates.iter().any(|candidate| candidate.key() == *id);
            if let Some(at) = list.iter().flatten().position(unknown) {
                let known = listed(candidates.iter().filter_map(CandidateSpec::shown_key));
                return Err(invalid(
                    &format!("{setting}[{at}]"),
                    &format!("is the id of no candidate{known}"),
                ));
            }
        }
        let seated = candidates.iter().filter(|candidate| !named(&self.bench, &candidate.key()));
        let seats = self.seats.as_ref().map_or_else(|| seated.count(), Vec::len);
        if seats == 0 {
            return Err(invalid("bench", "has every candidate on it: nobody would have a seat"));
        }
        match self.quorum {
            QuorumPolicy::AtLeast(answers) if answers > seats => Err(invalid(
                "quorum",
                &format!("is {answers}, and there can be no more answers than {seats}"),
            )),
            _ => Ok(()),
        }
    }
}

fn invalid(setting: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(format!("fan_out.{setting}"), reason)
}

/// Ids that could be credentials, put there by mistake, are not shown.
impl fmt::Debug for FanOutConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = |list: &Option<Vec<String>>| {
            list.as_ref().map(|ids| ids.iter().map(|id| shown(id).to_owned()).collect::<Vec<_>>())
        };
        f.debug_struct("FanOutConfig")
            .field("quorum", &self.quorum)
            .field("grace", &self.grace)
            .field("cutoff", &self.cutoff)
            .field("concurrency", &self.concurrency)
            .field("seats", &ids(&self.seats))
            .field("bench", &ids(&self.bench))
            .finish()
    }
}

/// An error says what there is, and not how the policy is read.
fn quorum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QuorumPolicy, D::Error> {
    QuorumPolicy::deserialize(deserializer).map_err(|_| Error::custom(QUORUMS))
}
