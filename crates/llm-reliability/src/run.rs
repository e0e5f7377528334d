//! One call while it runs: what all its attempts share.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use circuit_breaker::{Circuit, Cost, Quota, State};
use futures::FutureExt;
use llm_protocol::Request;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Attempt, Launch};
use crate::budget::Bucket;
use crate::call::{Call, InputError};
use crate::candidate::Candidate;
use crate::contain::{Contained, contain};
use crate::fan_out::FanOut;
use crate::hedge::{Hedge, Hedging, Observed};
use crate::observer::Observer;
use crate::order::Order;
use crate::policy::{Policy, Step};
use crate::report::{Ended, Quorum, Report, Strategy};
use crate::timeouts::{Limits, Timeouts, deadline};
use crate::traffic::Traffic;

/// How long a store may take over the question whether a retry is worth a pause. What it says later is asked for
/// anyway, when the pause is over.
const GLANCE: Duration = Duration::from_millis(250);

/// A candidate with what is looked up once for it: its circuit, its quota, its retries, its names.
pub(crate) struct Seat {
    pub(crate) candidate: Candidate,
    pub(crate) circuit: Circuit,
    pub(crate) quota: Quota,
    pub(crate) retries: Bucket,
    pub(crate) traffic: Traffic,
    pub(crate) observed: Mutex<Observed>,
    pub(crate) key: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) model: Arc<str>,
}

impl Seat {
    /// How many tokens it takes, where that is known. An adapter that panics knows nothing.
    pub(crate) fn context_window(&self) -> Option<u64> {
        contain(|| self.candidate.adapter.capabilities().context_window()).flatten()
    }
}

/// What a call will cost its limiter.
pub(crate) type Estimator = Box<dyn Fn(&Request) -> Cost + Send + Sync>;

/// What a client holds, and every call of it shares.
pub(crate) struct Shared {
    /// As they are listed.
    pub(crate) seats: Vec<Arc<Seat>>,
    /// Their positions, as they are asked one after the other.
    pub(crate) ranked: Vec<usize>,
    /// `None` where that is all.
    pub(crate) order: Option<Arc<dyn Order>>,
    pub(crate) policy: Policy,
    pub(crate) fan_out: FanOut,
    pub(crate) hedging: Hedging,
    /// Whether anybody looks at the candidates' traffic.
    pub(crate) watching: AtomicBool,
    pub(crate) timeouts: Timeouts,
    /// The default total of a failover.
    pub(crate) total: Duration,
    pub(crate) observer: Arc<dyn Observer>,
    /// `None` where nobody asks what a call costs.
    pub(crate) estimator: Option<Estimator>,
}

impl Shared {
    /// With what follows from the rest.
    pub(crate) fn settled(mut self) -> Self {
        self.total = total_of(&Timeouts::default(), &self);
        self
    }

    /// From now on traffic is counted.
    fn watch(&self) {
        if !self.is_watching() {
            self.watching.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }
}

/// One call while it runs.
pub(crate) struct Run {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: Arc<Request>,
    pub(crate) started: Instant,
    /// When the whole call is over, where it has such a limit.
    pub(crate) total: Option<Instant>,
    /// The attempts that have landed and that no report has taken yet. Here, as one that lands by being dropped has
    /// nobody else to go to.
    pub(crate) trail: Mutex<Vec<Attempt>>,
    cost: OnceLock<Cost>,
    strategy: Strategy,
    timeouts: Timeouts,
    policy: Option<Box<Policy>>,
    fan_out: Option<Box<FanOut>>,
}

impl Run {
    pub(crate) fn new(shared: &Arc<Shared>, call: Call, strategy: Strategy) -> Result<Arc<Self>, InputError> {
        if call.request.is_empty() {
            return Err(InputError::EmptyRequest);
        }
        let started = Instant::now();
        let timeouts = call.timeouts.or(&shared.timeouts);
        let total = timeouts.total.or_else(|| match strategy {
            Strategy::Failover if call.timeouts.attempt.is_none() => Some(shared.total),
            Strategy::Failover => Some(total_of(&call.timeouts, shared)),
            Strategy::FanOut => None,
        });
        let run = Self {
            shared: Arc::clone(shared),
            request: call.request,
            started,
            total: total.map(|total| deadline(started, total)),
            trail: Mutex::default(),
            cost: OnceLock::new(),
            strategy,
            timeouts: call.timeouts,
            policy: call.policy,
            fan_out: call.fan_out,
        };
        if run.policy().hedging().is_some_and(Hedge::is_observed) {
            run.shared.watch();
        }
        Ok(Arc::new(run))
    }

    pub(crate) fn limits(&self, seat: &Seat) -> Limits {
        limits(&self.timeouts, seat, &self.shared)
    }

    /// How long an attempt that may take so long keeps what a store lends it: there has to be time to tell of its end.
    pub(crate) fn hold(&self, attempt: Duration) -> Duration {
        attempt.saturating_add(self.shared.timeouts.cleanup_limit())
    }

    /// What each of its attempts will cost, as far as anybody asks. Worked out with the first attempt that gets so far,
    /// whichever candidate's it is. An estimator that panics knows nothing.
    pub(crate) fn cost(&self) -> Cost {
        let Some(estimate) = &self.shared.estimator else { return Cost::REQUEST };
        *self.cost.get_or_init(|| contain(|| estimate(&self.request)).unwrap_or_default())
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.policy.as_deref().unwrap_or(&self.shared.policy)
    }

    pub(crate) fn fan_out(&self) -> &FanOut {
        self.fan_out.as_deref().unwrap_or(&self.shared.fan_out)
    }

    /// A candidate was asked: where it may be asked again, its budget grows by what its first request adds.
    pub(crate) fn begin_retries(&self, seat: &Seat, retried: u32) {
        let first = retried == 0 && self.strategy == Strategy::Failover;
        if first && self.policy().retries_at_all() {
            seat.retries.earn();
        }
    }

    /// What the policy says to this attempt.
    pub(crate) fn after(&self, attempt: &Attempt, retried: u32) -> Step {
        let policy = self.policy();
        policy.after(attempt, retried, if policy.retries_at_all() { fastrand::f64() } else { 0.0 })
    }

    /// Whether it makes sense to wait for a retry: not if its circuit is open by now, if the call would be over, or if
    /// there is no token where one is due.
    pub(crate) async fn may_retry(&self, seat: &Seat, pause: Duration, charged: bool) -> bool {
        let limit = deadline(Instant::now(), GLANCE);
        let limit = self.total.map_or(limit, |total| total.min(limit));
        let status = within(limit, AssertUnwindSafe(seat.circuit.status()).catch_unwind()).await;
        // A store that says nothing is asked again before anything is sent.
        let open = matches!(status, Some(Ok(status)) if status.state == State::Open);
        !open && self.has_time_for(pause) && (!charged || seat.retries.spend())
    }

    pub(crate) fn has_time_for(&self, pause: Duration) -> bool {
        self.total.is_none_or(|total| deadline(Instant::now(), pause) < total)
    }

    pub(crate) async fn pause(&self, pause: Duration) {
        sleep_until(deadline(Instant::now(), pause)).await;
    }

    /// Puts an attempt that has landed into the trail.
    pub(crate) fn keep(&self, attempt: Attempt) {
        let mut trail = self.trail.lock();
        // Most calls have one.
        if trail.is_empty() {
            trail.reserve_exact(1);
        }
        trail.push(attempt);
    }

    /// The trail so far, in the order in which the attempts began.
    pub(crate) fn take_trail(&self) -> Vec<Attempt> {
        let mut trail = std::mem::take(&mut *self.trail.lock());
        trail.sort_by_key(|attempt| attempt.ordinal);
        trail
    }

    /// The time at which an attempt begins; a call's first begins with the call, unless it is asked first whose that is.
    pub(crate) fn begin(&self, launch: Launch) -> Instant {
        let first = launch == Launch::Primary && self.shared.order.is_none();
        if first { self.started } else { Instant::now() }
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.total.is_some_and(|total| now >= total)
    }

    pub(crate) fn report(
        &self,
        ended: Ended,
        attempts: Vec<Attempt>,
        quorum: Option<Quorum>,
        elapsed: Duration,
    ) -> Report {
        Report::new(self.strategy, ended, attempts, quorum, elapsed)
    }
}

fn limits(call: &Timeouts, seat: &Seat, shared: &Shared) -> Limits {
    call.or(&seat.candidate.timeouts).or(&shared.timeouts).limits()
}

/// The default total of a failover of a call with these limits.
fn total_of(call: &Timeouts, shared: &Shared) -> Duration {
    Timeouts::total_of(shared.seats.iter().map(|seat| limits(call, seat, shared).attempt))
}

/// The future's value, if it comes before the limit. It is a store's: a panic when it is given up stays with it.
pub(crate) async fn within<T>(limit: Instant, future: impl Future<Output = T>) -> Option<T> {
    let future = pin!(Some(future));
    let mut future = Contained::new(future);
    // Most of these are ready at once; a timer is made only for those that are not.
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        Poll::Ready(value) => Some(value),
        Poll::Pending => tokio::time::timeout_at(limit, future).await.ok(),
    }
}
