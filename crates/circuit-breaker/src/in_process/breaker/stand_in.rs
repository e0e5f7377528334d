//! What a breaker does that stands in for one whose store is lost.

use std::time::Duration;

use super::InProcessBreaker;
use crate::breaker::{Admission, Settlement};
use crate::in_process::clock::Time;
use crate::in_process::machine::Machine;
use crate::lease::LeaseId;
use crate::status::State;
use crate::transition::Transition;

impl InProcessBreaker {
    /// Tells the listener of a transition that took place elsewhere.
    pub(crate) fn tell(&self, transition: &Transition) {
        self.listener.tell_of(transition);
    }

    /// Tells that there was no room for a key.
    pub(crate) fn tell_untracked(&self, key: &str) {
        self.untold.tell(key, self.time());
    }

    pub(crate) fn time(&self) -> Time {
        self.registry.clock.now()
    }

    /// With the time, where it matters how long a call takes.
    pub(crate) fn measured(&self, admission: Admission) -> Admission {
        self.registry.measured(admission)
    }

    /// With the time that passed since the admission, where the caller did not measure.
    pub(crate) fn timed(&self, admission: &Admission, settlement: Settlement) -> Settlement {
        let since = |at: Duration| self.time().since(at.into());
        Settlement { latency: settlement.latency.or_else(|| admission.at.map(since)), ..settlement }
    }

    /// Begins where another left off, and tells nobody: open for `rest`, or closed, with so many failures.
    pub(crate) fn take_over(&self, key: &str, rest: Option<Duration>, failures: u32) {
        let registry = &self.registry;
        let mut place = registry.visit(key);
        if rest.is_none() && failures == 0 && place.get().is_none() {
            return;
        }
        let now = registry.clock.now();
        if let Some(entry) = registry.there(&mut place, now) {
            let take_over =
                |machine: &mut Machine, at| machine.take_over(rest, failures, &registry.settings, at);
            registry.change(&mut entry.lock(), take_over, now);
        }
    }

    /// Settles a call. Says with how many failures the circuit opened, where it did.
    pub(crate) fn settle_alone(
        &self,
        key: &str,
        lease: Option<LeaseId>,
        admission: &Admission,
        settlement: &Settlement,
    ) -> Option<u32> {
        let moved = self.report(key, lease, admission, settlement)?;
        (moved == State::Open).then(|| self.snapshot(key).status.failures)
    }
}
