//! How many answers a `fan_out` wanted, and how many came.

use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;

/// How many answers are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QuorumPolicy {
    /// Every seat is waited for, and any answer will do.
    All,
}

/// How many answers were wanted, and how many came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quorum {
    /// How many answers are enough.
    pub policy: QuorumPolicy,
    /// The same as a number.
    pub required: usize,
    /// How many seats there were, those that were passed over included.
    pub seats: usize,
    /// How many of them answered.
    pub answered: usize,
}

impl Quorum {
    pub(crate) fn of(policy: QuorumPolicy, attempts: &[Attempt]) -> Self {
        let required = match policy {
            QuorumPolicy::All => 1,
        };
        let answered = attempts.iter().filter(|attempt| attempt.succeeded()).count();
        Self { policy, required, seats: attempts.len(), answered }
    }

    /// Whether enough seats answered.
    pub fn is_met(&self) -> bool {
        self.answered >= self.required
    }
}
