//! One key of the in-process breaker, resolved once: the path without a runtime, a look-up or an allocation.

mod permit;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::InProcessBreaker;
use crate::breaker::{Admission, Settlement, Verdict};
use crate::circuit::{CallError, guarded};
use crate::in_process::clock::Time;
use crate::in_process::machine::{Machine, Word};
use crate::in_process::registry::Entry;
use crate::lease::{Ask, LeaseId};
use crate::refusal::Rejection;
use crate::status::{Snapshot, Status};
pub use permit::LocalPermit;

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
/// Its key is kept track of for as long as it exists. Clones hold on to the same key. A permit borrows it; where one has
/// to travel, into another task say, [`Circuit`](crate::Circuit) has permits of their own.
#[derive(Clone)]
pub struct LocalCircuit {
    breaker: Arc<InProcessBreaker>,
    key: Arc<str>,
    /// `None` where there was no room for it.
    entry: Option<Entry>,
    /// It matters how long its calls take.
    measured: bool,
}

impl LocalCircuit {
    pub(super) fn new(breaker: Arc<InProcessBreaker>, key: Arc<str>) -> Self {
        let now = breaker.registry.clock.now();
        let entry = breaker.registry.there(&mut breaker.registry.visit(&key), now);
        if entry.is_none() {
            breaker.untold.tell(&key, now);
        }
        let measured = breaker.settings().measures();
        Self { breaker, key, entry, measured }
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

    /// Like [`admit`](Self::admit), for a caller that has just read the clock: it is not read again. (Under
    /// a paused clock, that of `tokio::time::Instant::now().into_std()`.)
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
        self.read(Machine::status)
    }

    /// Reads what is counted. Changes nothing.
    pub fn snapshot(&self) -> Snapshot {
        self.read(Machine::snapshot)
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

    /// The permit of a circuit that is closed and whose calls nobody measures: the word says all.
    #[inline]
    fn free(&self) -> Option<LocalPermit<'_>> {
        let word = Word::from(self.entry.as_ref()?.word());
        let free = word.free && !self.measured;
        free.then(|| LocalPermit::free(self, word.epoch))
    }

    #[cold]
    fn ask(&self, hold: Option<Duration>, now: Option<Instant>) -> Result<LocalPermit<'_>, Rejection> {
        let breaker = &*self.breaker;
        let answer = |lease: Option<LeaseId>, answer: Result<Admission, Rejection>| {
            answer.map(|admission| LocalPermit::new(self, lease.filter(|_| admission.probe), admission))
        };
        let Some(entry) = &self.entry else {
            return breaker.try_ask(&self.key).map_or_else(
                || {
                    let ask = Ask { lease: LeaseId::local(), hold };
                    answer(Some(ask.lease), breaker.ask(&self.key, &ask))
                },
                |known| answer(None, known),
            );
        };
        let now = self.now(now);
        let timed =
            |admission: Admission| if self.measured { admission.with_time(now.into()) } else { admission };
        let word = Word::from(entry.word());
        if word.free {
            return answer(None, Ok(timed(Admission::closed(word.epoch))));
        }
        let ask = Ask { lease: LeaseId::local(), hold };
        let acquire = |machine: &mut Machine, at| machine.acquire(&ask, breaker.settings(), at);
        let (known, moved) = breaker.registry.change(&mut entry.lock(), acquire, now);
        if let Some(moved) = moved {
            breaker.listener.tell(&self.key, *moved);
        }
        answer(Some(ask.lease), known.map(timed))
    }

    /// A verdict that changes nothing, whenever its call was admitted.
    #[inline]
    fn changes_nothing(&self, held: bool, verdict: Verdict) -> bool {
        match (verdict, &self.entry) {
            (Verdict::Success, Some(entry)) => Word::from(entry.word()).mute,
            (Verdict::Neutral, _) => !held,
            _ => false,
        }
    }

    fn settle(
        &self,
        lease: Option<LeaseId>,
        admission: &Admission,
        settlement: &Settlement,
        now: Option<Instant>,
    ) {
        let breaker = &*self.breaker;
        let Some(entry) = &self.entry else {
            breaker.report(&self.key, lease, admission, settlement);
            return;
        };
        if let Some(moved) = breaker.registry.settle(entry, lease, admission, settlement, self.now(now)) {
            breaker.listener.tell(&self.key, *moved);
        }
    }

    #[cold]
    fn release(&self, lease: LeaseId) {
        match &self.entry {
            Some(entry) => {
                let now = self.now(None);
                self.breaker.registry.change(
                    &mut entry.lock(),
                    |machine, _| machine.release(lease, now),
                    now,
                );
            }
            None => self.breaker.release(&self.key, lease),
        }
    }

    fn now(&self, read: Option<Instant>) -> Time {
        let clock = self.breaker.registry.clock;
        read.map_or_else(|| clock.now(), |now| clock.at(now))
    }

    fn read<T: Default>(&self, read: impl FnOnce(&Machine, Time) -> T) -> T {
        match &self.entry {
            Some(entry) => read(entry.lock().get(), self.now(None)),
            None => self.breaker.read(&self.key, read),
        }
    }
}

/// The last one that held on to a key of which there is nothing to remember takes it along.
impl Drop for LocalCircuit {
    fn drop(&mut self) {
        // First, so that of two that go at the same time the later one is alone.
        if self.entry.take().is_some() {
            let registry = &self.breaker.registry;
            registry.let_go(&mut registry.visit(&self.key), registry.clock.now());
        }
    }
}

impl fmt::Debug for LocalCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCircuit").field("key", &self.key()).finish_non_exhaustive()
    }
}
