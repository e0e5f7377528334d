//! An admission of a resolved key.

use std::fmt;
use std::time::Instant;

use super::LocalCircuit;
use crate::breaker::{Admission, Settlement};
use crate::in_process::clock::Time;
use crate::lease::LeaseId;

/// An admission of a [`LocalCircuit`]. [Settle](Self::settle) it once; dropping it gives its slot back without a
/// verdict.
#[must_use = "dropping a permit gives its slot back without a verdict"]
pub struct LocalPermit<'a> {
    circuit: &'a LocalCircuit,
    epoch: u64,
    /// When it was admitted; [`Time::END`] where nobody asks how long the call takes.
    at: Time,
    /// The lease of a probe, until it ends. Others hold nothing, and are to be small.
    probe: Option<Box<LeaseId>>,
}

impl<'a> LocalPermit<'a> {
    /// One through a closed circuit.
    #[inline]
    pub(super) const fn free(circuit: &'a LocalCircuit, epoch: u64) -> Self {
        Self { circuit, epoch, at: Time::END, probe: None }
    }

    pub(super) fn new(circuit: &'a LocalCircuit, probe: Option<LeaseId>, admission: Admission) -> Self {
        let at = admission.at.map_or(Time::END, Time::from);
        Self { circuit, epoch: admission.epoch, at, probe: probe.map(Box::new) }
    }

    /// Reports how the call ended: a [`Verdict`](crate::Verdict), or a [`Settlement`] that says more.
    #[inline]
    pub fn settle(mut self, settlement: impl Into<Settlement>) {
        self.end(settlement.into(), None);
    }

    /// Like [`settle`](Self::settle), for a caller that has just read the clock: it is not read again. (Under
    /// a paused clock, that of `tokio::time::Instant::now().into_std()`.)
    #[inline]
    pub fn settle_at(mut self, settlement: impl Into<Settlement>, now: Instant) {
        self.end(settlement.into(), Some(now));
    }

    /// The call is a probe of a half-open circuit: how it ends decides where the circuit goes.
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// The key it was admitted under.
    pub fn key(&self) -> &str {
        self.circuit.key()
    }

    #[inline]
    fn end(&mut self, settlement: Settlement, now: Option<Instant>) {
        if self.circuit.changes_nothing(self.probe.is_some(), settlement.verdict) {
            return;
        }
        let at = (self.at != Time::END).then(|| self.at.into());
        let admission = Admission { at, ..Admission::closed(self.epoch) };
        let lease = self.probe.take().map(|lease| *lease);
        self.circuit.settle(lease, &admission, &settlement, now);
    }
}

impl Drop for LocalPermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(lease) = self.probe.take() {
            self.circuit.release(*lease);
        }
    }
}

impl fmt::Debug for LocalPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalPermit")
            .field("key", &self.key())
            .field("epoch", &self.epoch)
            .field("probe", &self.probe)
            .finish()
    }
}
