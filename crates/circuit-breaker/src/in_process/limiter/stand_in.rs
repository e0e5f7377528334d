//! What a limiter does that stands in for one whose store is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::InProcessLimiter;
use crate::in_process::clock::Time;
use crate::limits::Limits;
use crate::settings::hold;

impl InProcessLimiter {
    pub(crate) fn time(&self) -> Time {
        self.clock.now()
    }

    /// How long a call counts as out that asked to.
    pub(crate) fn hold(&self, asked: Option<Duration>) -> Duration {
        hold(self.max_hold, asked)
    }

    /// The longest that a hint is followed.
    pub(crate) const fn longest(&self) -> Duration {
        self.longest_deferral
    }

    /// What it allows, and under which keys it allows something else.
    pub(crate) const fn all_limits(&self) -> (&Limits, &HashMap<Arc<str>, Limits>) {
        (&self.limits, &self.exceptions)
    }

    /// How many keys are kept track of at most.
    pub(crate) const fn max_tracked(&self) -> usize {
        self.accounts.max_keys()
    }
}
