//! One key of the in-process breaker, resolved once: the path without a runtime, a look-up or an allocation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::InProcessBreaker;
use crate::breaker::{Admission, Settlement, Verdict};
use crate::circuit::{CallError, guarded};
use crate::in_process::cell::Cell;
use crate::in_process::machine::{Machine, Word};
use crate::lease::{Ask, LeaseId};
use crate::refusal::Rejection;
use crate::status::{Snapshot, Status};

/// One key of an [`InProcessBreaker`], resolved once: for callers that call often, in any thread, with or without a
/// runtime.
///
/// A call through a closed circuit that does not fail reads two words and writes nothing, where failures in a row
/// decide, so it costs the same however many threads make it. It shares its state with all who use the same key, in
/// whichever way.
///
/// ```
/// use std::sync::Arc;
/// use circuit_breaker::{InProcessBreaker, Verdict};
///
/// let breaker = Arc::new(InProcessBreaker::default());
/// let circuit = breaker.circuit("warehouse");
///
/// match circuit.admit() {
///     Ok(permit) => {
///         let stock = Some(7); // … the call
///         permit.settle(if stock.is_some() { Verdict::Success } else { Verdict::Failure });
///     }
///     Err(rejection) => println!("not asked: {rejection}"),
/// }
/// ```
///
/// Its key is kept track of for as long as it exists. Clones hold on to the same key.
#[derive(Clone)]
pub struct LocalCircuit {
    breaker: Arc<InProcessBreaker>,
    key: Arc<str>,
    /// `None` where there was no room for it.
    cell: Option<Arc<Cell<Machine>>>,
    /// It matters how long its calls take.
    measured: bool,
}

impl LocalCircuit {
    pub(super) fn new(breaker: Arc<InProcessBreaker>, key: Arc<str>) -> Self {
        let mut place = breaker.machines.lock(&key);
        let now = breaker.clock.now();
        let cell = if breaker.is_there(&mut place, now) { place.get().cloned() } else { None };
        drop(place);
        if cell.is_none() {
            breaker.untold.tell(&key, now);
        }
        let measured = breaker.settings.measures();
        Self { breaker, key, cell, measured }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The breaker that holds this key's state.
    pub const fn breaker(&self) -> &Arc<InProcessBreaker> {
        &self.breaker
    }

    /// Asks for leave to call now.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] says why not, and when to come back.
    #[inline]
    pub fn admit(&self) -> Result<LocalPermit<'_>, Rejection> {
        self.free().map_or_else(|| self.ask(None, None), Ok)
    }

    /// Like [`admit`](Self::admit), for a call that takes `hold` at most: so long a probe keeps its slot and its say.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    pub fn admit_for(&self, hold: Duration) -> Result<LocalPermit<'_>, Rejection> {
        self.free().map_or_else(|| self.ask(Some(hold), None), Ok)
    }

    /// Like [`admit`](Self::admit), for a caller that has just read the clock: it is not read again.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    #[inline]
    pub fn admit_at(&self, now: Instant) -> Result<LocalPermit<'_>, Rejection> {
        self.free().map_or_else(|| self.ask(None, Some(now)), Ok)
    }

    /// Reads the state. Changes nothing.
    pub fn status(&self) -> Status {
        self.read(|machine, now| machine.status(now))
    }

    /// Reads what is counted. Changes nothing.
    pub fn snapshot(&self) -> Snapshot {
        self.read(|machine, now| machine.snapshot(now))
    }

    /// Runs `future` under a permit, as [`Circuit::call`](crate::Circuit::call) does.
    ///
    /// # Errors
    ///
    /// [`CallError::CircuitOpen`] when the breaker let nothing through, and the future never ran;
    /// [`CallError::Failed`] with the future's own error.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops `future` and gives the permit back, without a verdict; so does a panic.
    pub async fn call<T, E, S: Into<Settlement>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
        classify: impl FnOnce(&Result<T, E>) -> S,
    ) -> Result<T, CallError<E>> {
        let permit = self.admit().map_err(|rejection| CallError::open(&self.key, rejection))?;
        guarded(future, classify, |settlement| permit.settle(settlement)).await
    }

    /// The admission of a circuit that is closed and whose calls nobody measures: the word says all.
    #[inline]
    fn free(&self) -> Option<LocalPermit<'_>> {
        let word = Word::from(self.cell.as_ref()?.word());
        let free = word.free && !self.measured;
        free.then(|| LocalPermit { circuit: self, epoch: word.epoch, at: None, probe: None })
    }

    #[cold]
    fn ask(&self, hold: Option<Duration>, now: Option<Instant>) -> Result<LocalPermit<'_>, Rejection> {
        let breaker = &*self.breaker;
        let permit = |lease: Option<LeaseId>, Admission { epoch, at, .. }| LocalPermit {
            circuit: self,
            epoch,
            at,
            probe: lease.map(Box::new),
        };
        let Some(cell) = &self.cell else {
            if let Some(answer) = breaker.try_ask(&self.key) {
                return answer.map(|admission| permit(None, admission));
            }
            let ask = Ask { lease: LeaseId::local(), hold };
            return breaker
                .ask(&self.key, &ask)
                .map(|admission| permit(admission.probe.then_some(ask.lease), admission));
        };
        let now = || now.map_or_else(|| breaker.clock.now(), |now| breaker.clock.at(now));
        let word = Word::from(cell.word());
        if word.free {
            let admission = Admission::closed(word.epoch);
            return Ok(permit(None, if self.measured { admission.with_time(now()) } else { admission }));
        }
        let now = now();
        let ask = Ask { lease: LeaseId::local(), hold };
        let acquire = |machine: &mut Machine, at| machine.acquire(&ask, &breaker.settings, at);
        let (answer, moved) = breaker.change(&mut cell.lock(), acquire, now);
        if let Some(moved) = moved {
            breaker.listener.tell(&self.key, moved);
        }
        let admission = answer?;
        let admission = if self.measured { admission.with_time(now) } else { admission };
        Ok(permit(admission.probe.then_some(ask.lease), admission))
    }

    /// A verdict that changes nothing, whenever its call was admitted.
    #[inline]
    fn changes_nothing(&self, held: bool, verdict: Verdict) -> bool {
        match (verdict, &self.cell) {
            (Verdict::Success, Some(cell)) => Word::from(cell.word()).mute,
            (Verdict::Neutral, _) => !held,
            _ => false,
        }
    }

    fn settle(
        &self,
        lease: Option<LeaseId>,
        admission: Admission,
        settlement: Settlement,
        now: Option<Instant>,
    ) {
        let breaker = &*self.breaker;
        let Some(cell) = &self.cell else {
            return breaker.report(&self.key, lease, admission, settlement);
        };
        let now = now.map_or_else(|| breaker.clock.now(), |now| breaker.clock.at(now));
        if let Some(moved) = breaker.settle(cell, lease, admission, settlement, now) {
            breaker.listener.tell(&self.key, moved);
        }
    }

    #[cold]
    fn release(&self, lease: LeaseId) {
        let breaker = &*self.breaker;
        match &self.cell {
            Some(cell) => {
                let now = breaker.clock.now();
                breaker.change(&mut cell.lock(), |machine, _| machine.release(lease, now), now);
            }
            None => breaker.release(&self.key, lease),
        }
    }

    fn read<T: Default>(&self, read: impl FnOnce(&Machine, Duration) -> T) -> T {
        match &self.cell {
            Some(cell) => read(cell.lock().get(), self.breaker.clock.now()),
            None => self.breaker.read(&self.key, read),
        }
    }
}

/// The last one that held on to a key of which there is nothing to remember takes it along.
impl Drop for LocalCircuit {
    fn drop(&mut self) {
        let Some(cell) = self.cell.take() else { return };
        // One is in the map, one is here.
        if Arc::strong_count(&cell) > 2 {
            return;
        }
        drop(cell);
        self.breaker.forget_if_unknown(&self.key);
    }
}

impl fmt::Debug for LocalCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCircuit").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// An admission of a [`LocalCircuit`]. [Settle](Self::settle) it once; dropping it gives its slot back without a
/// verdict.
#[must_use = "dropping a permit gives its slot back without a verdict"]
pub struct LocalPermit<'a> {
    circuit: &'a LocalCircuit,
    epoch: u64,
    at: Option<Duration>,
    /// The lease of a probe, until it ends. Others hold nothing, and are to be small.
    probe: Option<Box<LeaseId>>,
}

impl LocalPermit<'_> {
    /// Reports how the call ended: a [`Verdict`], or a [`Settlement`] that says more.
    #[inline]
    pub fn settle(mut self, settlement: impl Into<Settlement>) {
        self.end(settlement.into(), None);
    }

    /// Like [`settle`](Self::settle), for a caller that has just read the clock: it is not read again.
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
        let lease = self.probe.take().map(|lease| *lease);
        let admission = Admission { at: self.at, ..Admission::closed(self.epoch) };
        self.circuit.settle(lease, admission, settlement, now);
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
