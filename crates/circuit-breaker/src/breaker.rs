//! What a circuit-breaker backend implements: one small trait over plain data.

use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{Abandon, LeaseId};
use crate::refusal::Rejection;

/// Keeps calls away from what is failing, and finds out when it works again.
///
/// This is the side that a *backend* implements: it keeps a state per key, in this process or in a store that many
/// workers share. The side that a *caller* uses is [`Circuit`](crate::Circuit), which makes the lease, holds it in a
/// [`Permit`](crate::Permit) and gives it back when the caller goes away. Keys are any string.
///
/// # What every backend keeps to
///
/// - A lease ends with the first `settle` or `abandon` that names it; a later one changes nothing.
/// - A verdict counts only in the state in which its call was admitted: a late result from an earlier
///   [epoch](Admission::epoch) changes nothing.
/// - While half-open, no more leases are out than the configured number of probes, and each ends by itself after a
///   maximum hold, so that a caller that neither settles nor drops cannot wedge the circuit.
/// - A neutral verdict and an abandoned lease free the slot and change nothing else.
#[async_trait]
pub trait Breaker: Send + Sync + 'static {
    /// May a call under `key` go out now?
    ///
    /// Asking twice with the same lease takes one slot, not two, so that a backend may send a request again.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] says why not, and when to come back. It also says that the lease is not held, so nobody
    /// abandons it: a backend that gives up on its store without knowing whether the lease was granted takes it back
    /// itself.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any point, also after the request has left. [`abandon`](Self::abandon) then
    /// follows, and must free the slot even when the store grants the lease only afterwards, at the latest when the
    /// maximum hold ends.
    async fn acquire(&self, key: &str, lease: LeaseId) -> Result<Admission, Rejection>;

    /// Reports how an admitted call ended. Called at most once a lease.
    ///
    /// Must not block, as it runs on the caller's way to its answer: a remote backend puts the report into a bounded
    /// queue for its own worker.
    fn settle(&self, key: &str, lease: LeaseId, admission: Admission, verdict: Verdict);

    /// Gives a lease back without a verdict, whether or not it was granted.
    ///
    /// Runs inside `drop`: it must neither block nor panic, and calling it again changes nothing.
    fn abandon(&self, key: &str, lease: LeaseId);

    /// Reads the state of `key` without changing it. Cancellation has no effect.
    async fn status(&self, key: &str) -> Status;

    /// Waits until the settlements made so far have reached the store. A backend without a queue has nothing to do.
    ///
    /// Dropping the future stops the waiting, not the settlements.
    async fn flush(&self) {}
}

impl Abandon for dyn Breaker {
    fn abandon(&self, key: &str, lease: LeaseId) {
        Breaker::abandon(self, key, lease);
    }
}

/// What a backend hands out with a yes, and gets back with the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// Names the state that admitted the call. It grows with every transition, and a verdict from an earlier epoch
    /// changes nothing.
    pub epoch: u64,
    /// The call is a probe: the circuit is half-open, and how the call ends decides where it goes.
    pub probe: bool,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Admission {
    /// An admission through a closed circuit.
    pub const fn closed(epoch: u64) -> Self {
        Self { epoch, probe: false, degraded: false }
    }

    /// An admission as a probe of a half-open circuit.
    pub const fn probe(epoch: u64) -> Self {
        Self { epoch, probe: true, degraded: false }
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}

/// How an admitted call ended, as far as the health of what it called is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// Says nothing about its health (throttled, cancelled, a bad request): frees the slot and changes nothing.
    Neutral,
}

impl Verdict {
    /// The plainest classification: `Ok` is a success and every `Err` a failure.
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Success,
            Err(_) => Self::Failure,
        }
    }
}

/// Where a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Calls go through.
    #[default]
    Closed,
    /// Calls are rejected until the cooldown has passed.
    Open,
    /// A few calls go through as probes.
    HalfOpen,
}

/// What can be read of one key. A key that was never heard of is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// The state. An open circuit whose cooldown has passed stays open until a call asks: reading changes nothing.
    pub state: State,
    /// Failures in a row, as far as they count.
    pub failures: u32,
    /// While open, the rest of the cooldown; zero when the next call goes out as a probe.
    pub retry_after: Option<Duration>,
    /// Probes that are out now, where the backend counts them.
    pub probes: u32,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Status {
    /// The status of a circuit in `state`, with `failures` in a row.
    pub const fn new(state: State, failures: u32) -> Self {
        Self { state, failures, retry_after: None, probes: 0, degraded: false }
    }

    /// Says how much of the cooldown is left.
    pub const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Says how many probes are out.
    pub const fn with_probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}
