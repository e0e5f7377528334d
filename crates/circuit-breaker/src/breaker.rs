//! What a circuit-breaker backend implements: one small trait over plain data.

use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{Abandon, Ask, LeaseId};
use crate::refusal::Rejection;
use crate::status::{Mode, ModeError, Status};

/// Keeps calls away from what is failing, and finds out when it works again.
///
/// This is the side that a *backend* implements: it keeps a state per key, in this process or in a store that many
/// workers share. The side that a *caller* uses is [`Circuit`](crate::Circuit), which makes the lease, holds it in a
/// [`Permit`](crate::Permit) and gives it back when the caller goes away. Keys are any string.
///
/// # What every caller keeps to
///
/// [`Permit`](crate::Permit) does it for you: a lease is settled at most once, and not settled after it was abandoned.
/// Abandoning may be repeated, and follows a settlement that panicked.
///
/// # What every backend keeps to
///
/// - A probe's lease ends with the first `settle` or `abandon` that names it, and at the latest by itself: when the
///   hold that was asked for has passed, or else the backend's own maximum. So a caller that neither settles nor drops
///   cannot wedge the circuit. What names the lease afterwards changes nothing. (Without a bound on probes none holds
///   anything, and only the epoch matters.)
/// - While half-open, no more leases are held than the configured number of probes.
/// - A verdict counts only in the state in which its call was admitted: a late result from an earlier
///   [epoch](Admission::epoch) changes nothing.
/// - A verdict counts once. A backend that sends its messages again until they arrive sees to it by their lease.
/// - A neutral verdict and an abandoned lease free the slot and change nothing else.
/// - An answer that was given without knowing what the store did, a refusal or a [degraded](Admission::degraded) yes,
///   leaves nothing behind in the store: the backend itself takes back what the store grants later.
///
/// A yes that holds nothing, as a closed circuit gives it, needs no lease: [`try_acquire`](Self::try_acquire) is asked
/// first.
#[async_trait]
pub trait Breaker: Send + Sync + 'static {
    /// May a call under `key` go out now, where that is known without waiting and without a lease? A yes must hold
    /// nothing, as nobody gives it back: the circuit is closed. `None` sends the caller to [`acquire`](Self::acquire),
    /// which every backend can answer, so this is for speed alone: it costs no lease and no boxed future.
    ///
    /// Must not block.
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        let _ = key;
        None
    }

    /// May a call under `key` go out now?
    ///
    /// Asking twice with the same lease takes one slot, not two, so that a backend may send a request again.
    ///
    /// # Errors
    ///
    /// The [`Rejection`] says why not, and when to come back. It also says that the lease is not held, so nobody
    /// abandons it: a backend that gives up on its store without knowing whether the lease was granted takes it back
    /// itself. The same goes for a yes that it gives without its store ([degraded](Admission::degraded)): the caller
    /// ends that one, and what the store may have granted, or grants later, is the backend's to take back.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any point, also after the request has left. [`abandon`](Self::abandon) then
    /// follows, without an admission, and must free the slot even when the store grants the lease only afterwards, at
    /// the latest when its hold ends.
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection>;

    /// Reports how an admitted call ended. Called at most once an admission; `lease` is `None` where it came from
    /// [`try_acquire`](Self::try_acquire).
    ///
    /// Must not block, as it runs on the caller's way to its answer: a remote backend puts the report into a bounded
    /// queue for its own worker.
    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement);

    /// Gives a lease back without a verdict. `admission` is what was handed out with it; `None` means that the answer
    /// never arrived, so that the lease may be held, or not, or be granted later.
    ///
    /// Runs inside `drop`: it must neither block nor panic, and calling it again changes nothing.
    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>);

    /// Reads the state of `key` without changing it. Cancellation has no effect.
    async fn status(&self, key: &str) -> Status;

    /// Puts the circuit of `key` into a [`Mode`]: holds it open or closed, or switches it off, until another mode is set.
    /// It starts anew, closed as far as the mode allows, and calls that were admitted before have no say any more.
    ///
    /// # Errors
    ///
    /// [`ModeError`]: [`Unsupported`](ModeError::Unsupported) from a backend that leaves this out.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped may have changed the mode, or not.
    async fn set_mode(&self, key: &str, mode: Mode) -> Result<(), ModeError> {
        let _ = (key, mode);
        Err(ModeError::Unsupported)
    }

    /// Waits until the settlements made so far have reached the store. A backend without a queue has nothing to do. While
    /// the store is away this may take until it is back: whoever cannot wait for that sets a limit.
    ///
    /// Dropping the future stops the waiting, not the settlements.
    async fn flush(&self) {}
}

impl Abandon for dyn Breaker + '_ {
    type Grant = Admission;

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        Breaker::abandon(self, key, lease, admission);
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
    /// The answer came without the shared store, which was not available. What the store may grant all the same is
    /// the backend's to take back.
    pub degraded: bool,
    /// When the call was admitted, on a clock of the backend's own; `None` where the backend does not measure how long
    /// calls take.
    pub at: Option<Duration>,
}

impl Admission {
    /// An admission through a closed circuit.
    pub const fn closed(epoch: u64) -> Self {
        Self { epoch, probe: false, degraded: false, at: None }
    }

    /// An admission as a probe of a half-open circuit.
    pub const fn probe(epoch: u64) -> Self {
        Self { epoch, probe: true, degraded: false, at: None }
    }

    /// Says when the call was admitted, for a backend that measures how long it takes.
    pub const fn with_time(mut self, at: Duration) -> Self {
        self.at = Some(at);
        self
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

/// What a caller reports of a call that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlement {
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took; `None` where the caller did not measure it. A backend that looks at slow calls then takes the
    /// time since the admission.
    pub latency: Option<Duration>,
}

impl Settlement {
    /// A call that ended so, and was not measured.
    pub const fn new(verdict: Verdict) -> Self {
        Self { verdict, latency: None }
    }

    /// Says how long the call took.
    pub const fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }
}

impl From<Verdict> for Settlement {
    fn from(verdict: Verdict) -> Self {
        Self::new(verdict)
    }
}
