//! What a rate-limiter backend implements: one small trait over plain data.

use std::time::Duration;

use async_trait::async_trait;

use crate::lease::{Abandon, Ask, LeaseId};
use crate::refusal::Limited;

/// Keeps calls under what a service allows, and away from it for as long as it asks.
///
/// This is the side that a *backend* implements; the side that a *caller* uses is [`Quota`](crate::Quota). Keys are
/// any string: a model, or the credential that several models share.
///
/// [`Slot`](crate::Slot) ends each lease for its caller: it is settled at most once, and not settled after it was
/// abandoned. Abandoning may be repeated, and follows a settlement that panicked. A lease that nobody ends does so by
/// itself, when the hold that was asked for has passed, or else the backend's own maximum: what it holds in flight is
/// then free, and what it reserved is kept.
#[async_trait]
pub trait Limiter: Send + Sync + 'static {
    /// May a call under `key` go out now, where that is known without waiting and without a lease? A yes must reserve
    /// nothing, as it is neither settled nor abandoned: nothing is counted under this key. `None` sends the caller to
    /// [`acquire`](Self::acquire), which every backend can answer, so this is for speed alone.
    ///
    /// Must not block.
    fn try_acquire(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        let _ = (key, cost);
        None
    }

    /// May a call under `key` that costs `cost` go out now? What it costs is reserved with the yes.
    ///
    /// Asking twice with the same lease reserves once, so that a backend may send a request again.
    ///
    /// # Errors
    ///
    /// [`Limited`] says why not, and when to come back. It also says that nothing is reserved, so nobody abandons
    /// the lease: a backend that gives up on its store without knowing takes it back itself. The same goes for a yes
    /// that it gives without its store ([degraded](Reservation::degraded)): the caller ends that one, and what the
    /// store may have reserved, or reserves later, is the backend's to take back.
    ///
    /// # Cancellation
    ///
    /// The future may be dropped at any point, also after the request has left. [`abandon`](Self::abandon) then
    /// follows, without a reservation, and must give back also what the store reserves only afterwards, at the latest
    /// when its hold ends.
    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited>;

    /// Ends a lease whose call went out, and sets what was reserved right by what it did cost: a part of `actual`
    /// that is unknown stays as reserved. Where the lease has ended by itself meanwhile, what was too little is charged
    /// all the same, and nothing is given back. Must not block. Called at most once a lease.
    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost);

    /// Ends a lease whose call never went out: what was reserved is given back. `reservation` is what was handed out
    /// with it; `None` means that the answer never arrived, so that there may be a reservation, or none, or one later.
    ///
    /// Runs inside `drop`: it must neither block nor panic, and calling it again changes nothing.
    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>);

    /// Keeps calls under `key` away for `delay` from now: a service's retry hint.
    ///
    /// The latest end wins: a shorter hint never takes back a longer one. A backend caps the delay. Must not block.
    fn defer(&self, key: &str, delay: Duration);

    /// Waits until the settlements and hints made so far have reached the store. A backend without a queue has
    /// nothing to do. While the store is away this may take until it is back: whoever cannot wait for that sets a limit.
    ///
    /// Dropping the future stops the waiting, not the settlements.
    async fn flush(&self) {}
}

impl Abandon for dyn Limiter + '_ {
    type Grant = Reservation;

    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>) {
        Limiter::abandon(self, key, lease, reservation);
    }
}

/// What a call costs, estimated before it or known after it. The default is one request of unknown size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Requests; one unless a call is a batch.
    pub requests: u32,
    /// Units of input, such as tokens; `None` when unknown.
    pub input_tokens: Option<u64>,
    /// Units of output, such as tokens; `None` when unknown.
    pub output_tokens: Option<u64>,
}

impl Cost {
    /// One request of unknown size.
    pub const REQUEST: Self = Self { requests: 1, input_tokens: None, output_tokens: None };

    /// Sets the number of requests.
    pub const fn with_requests(mut self, requests: u32) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the units of input.
    pub const fn with_input_tokens(mut self, tokens: u64) -> Self {
        self.input_tokens = Some(tokens);
        self
    }

    /// Sets the units of output.
    pub const fn with_output_tokens(mut self, tokens: u64) -> Self {
        self.output_tokens = Some(tokens);
        self
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::REQUEST
    }
}

/// What a backend hands out with a yes, and gets back when the lease is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reservation {
    /// What was reserved, with the backend's own estimate where the caller gave none.
    pub cost: Cost,
    /// The answer came without the shared store, which was not available.
    pub degraded: bool,
}

impl Reservation {
    /// A reservation of `cost`.
    pub const fn new(cost: Cost) -> Self {
        Self { cost, degraded: false }
    }

    /// Says whether the answer came without the shared store.
    pub const fn with_degraded(mut self, degraded: bool) -> Self {
        self.degraded = degraded;
        self
    }
}
