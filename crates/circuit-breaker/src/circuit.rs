//! What a caller of a breaker uses: a circuit is one key of one breaker, a permit is one admission held.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{Admission, Breaker, Settlement};
use crate::lease::{Armed, Ask, Bound, LeaseId};
use crate::refusal::{Again, RejectReason, Rejection};
use crate::status::Status;

/// One key of one [`Breaker`], bound once. Cheap to clone, and meant to be kept by whoever calls often.
#[derive(Clone)]
pub struct Circuit {
    bound: Arc<Bound<dyn Breaker>>,
}

impl Circuit {
    /// Binds `key` to `breaker`.
    pub fn new(breaker: Arc<dyn Breaker>, key: impl Into<Arc<str>>) -> Self {
        Self { bound: Arc::new(Bound { backend: breaker, key: key.into() }) }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.bound.key
    }

    /// The breaker that holds this key's state.
    pub fn breaker(&self) -> &Arc<dyn Breaker> {
        &self.bound.backend
    }

    /// Asks for leave to call now. It does not wait for the circuit to close.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] says why not, and when to come back.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any point: what the backend had granted, or grants later, is given back.
    pub async fn admit(&self) -> Result<Permit, Rejection> {
        self.ask(None).await
    }

    /// Like [`admit`](Self::admit), for a call that takes `hold` at most: so long a probe keeps its slot and its say,
    /// and a permit that is leaked ends by then.
    ///
    /// # Errors
    ///
    /// As for [`admit`](Self::admit).
    ///
    /// # Cancellation
    ///
    /// As for [`admit`](Self::admit).
    pub async fn admit_for(&self, hold: Duration) -> Result<Permit, Rejection> {
        self.ask(Some(hold)).await
    }

    /// The answer of [`admit`](Self::admit) where it can be told without a wait and nothing has to be held, as of a
    /// closed circuit of most backends; `None` where `admit` has to be asked.
    pub fn try_admit(&self) -> Option<Result<Permit, Rejection>> {
        let answer = self.bound.backend.try_acquire(&self.bound.key)?;
        Some(answer.map(|admission| Permit { lease: Armed::unheld(&self.bound), admission }))
    }

    async fn ask(&self, hold: Option<Duration>) -> Result<Permit, Rejection> {
        if let Some(answer) = self.try_admit() {
            return answer;
        }
        let ask = Ask { lease: LeaseId::new(), hold };
        let mut lease = Armed::new(&self.bound, ask.lease);
        match self.bound.backend.acquire(&self.bound.key, &ask).await {
            Ok(admission) => Ok(Permit { lease: lease.granted(admission), admission }),
            Err(rejection) => {
                lease.disarm();
                Err(rejection)
            }
        }
    }

    /// Reads the state without changing it.
    pub async fn status(&self) -> Status {
        self.bound.backend.status(&self.bound.key).await
    }

    /// Runs `future` under a permit: the permit is acquired before the future is first polled, and settled by what
    /// `classify` makes of its result ([`Verdict::of`](crate::Verdict::of) is the plainest way). A
    /// backend that looks at slow calls measures from the admission on, unless `classify` returns a [`Settlement`] with a
    /// latency of its own.
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
        let permit = self.admit().await.map_err(|rejection| CallError::open(&self.bound.key, rejection))?;
        guarded(future, classify, |settlement| permit.settle(settlement)).await
    }
}

/// Runs a call that was admitted.
pub(crate) async fn guarded<T, E, S: Into<Settlement>>(
    future: impl Future<Output = Result<T, E>>,
    classify: impl FnOnce(&Result<T, E>) -> S,
    settle: impl FnOnce(Settlement),
) -> Result<T, CallError<E>> {
    let result = future.await;
    settle(classify(&result).into());
    result.map_err(CallError::Failed)
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// An admission held. [Settle](Self::settle) it once; dropping it gives the slot back without a verdict.
#[must_use = "dropping a permit gives its slot back without a verdict"]
pub struct Permit {
    lease: Armed<dyn Breaker>,
    admission: Admission,
}

impl Permit {
    /// Reports how the call ended: a [`Verdict`](crate::Verdict), or a [`Settlement`] that says more. Does not block.
    pub fn settle(mut self, settlement: impl Into<Settlement>) {
        let settlement = settlement.into();
        let Bound { backend, key } = &*self.lease.bound;
        backend.settle(key, self.lease.id(), self.admission, settlement);
        // Only now, so that a backend that panics above still gets its lease back.
        self.lease.disarm();
    }

    /// The call is a probe of a half-open circuit: how it ends decides where the circuit goes.
    pub fn is_probe(&self) -> bool {
        self.admission.probe
    }

    /// The admission came without the shared store, which was not available.
    pub fn degraded(&self) -> bool {
        self.admission.degraded
    }

    /// The key it was admitted under.
    pub fn key(&self) -> &str {
        &self.lease.bound.key
    }

    /// The lease it holds; `None` where nothing has to be held, as for a closed circuit of most backends.
    pub fn lease(&self) -> Option<LeaseId> {
        self.lease.id()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("key", &self.key())
            .field("lease", &self.lease())
            .field("admission", &self.admission)
            .finish()
    }
}

/// Why [`Circuit::call`] has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The breaker let nothing through; the future never ran.
    #[error("{key}: {reason}{}", Again(*retry_after))]
    #[non_exhaustive]
    CircuitOpen {
        /// The key that was asked for.
        key: Arc<str>,
        /// How long from now until asking again makes sense; `None` when that cannot be known.
        retry_after: Option<Duration>,
        /// Why.
        reason: RejectReason,
    },
    /// The call went out and failed by itself.
    #[error(transparent)]
    Failed(E),
}

impl<E> CallError<E> {
    pub(crate) fn open(key: &Arc<str>, rejection: Rejection) -> Self {
        let Rejection { retry_after, reason, .. } = rejection;
        Self::CircuitOpen { key: Arc::clone(key), retry_after, reason }
    }
}
