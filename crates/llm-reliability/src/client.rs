//! The client: candidates, breaker, limiter and policy, bound together.

mod breaker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Breaker, Circuit, Cost, InProcessLimiter, Limiter, Quota, Settings, Status};
use futures::future::{join, join_all};
use llm_protocol::Request;
use parking_lot::Mutex;
use tokio::time::timeout;

use self::breaker::Choice;
use crate::budget::{Bucket, RetryBudget};
use crate::call::InputError;
use crate::candidate::Candidate;
use crate::estimate::estimate_cost;
use crate::fan_out::FanOut;
use crate::hedge::Hedging;
use crate::observer::Observer;
use crate::order::Order;
use crate::policy::Policy;
use crate::run::{Estimator, Seat, Shared};
use crate::timeouts::Timeouts;
use crate::traffic::Traffic;

/// Candidates with what decides between them. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct ResilientClient {
    shared: Arc<Shared>,
    breaker: Arc<dyn Breaker>,
    /// The same, where the client has made it.
    limiter: Arc<dyn Limiter>,
}

impl ResilientClient {
    /// Starts with nothing set: a breaker that opens for 120 s after three failures in a row, and a limiter that
    /// remembers retry hints, both in this process.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn breaker(&self) -> &dyn Breaker {
        &*self.breaker
    }

    /// The candidates, as listed.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.shared.seats.iter().map(|seat| &seat.candidate)
    }

    /// How the circuit of each candidate stands, by key, in the listed order. Changes nothing. A store that says
    /// nothing within the cleanup limit (2 s unless set) is not waited for: the status is then `degraded` and empty.
    pub async fn status(&self) -> Vec<(Arc<str>, Status)> {
        let limit = self.shared.timeouts.cleanup_limit();
        let status = async |seat: &Arc<Seat>| {
            let status = timeout(limit, seat.circuit.status()).await;
            (Arc::clone(&seat.key), status.unwrap_or_else(|_| Status::default().with_degraded(true)))
        };
        join_all(self.shared.seats.iter().map(status)).await
    }

    /// Waits until what the calls so far have settled has reached its store, at most for the cleanup limit (2 s unless
    /// set). Returns whether it has. In-process state has nothing to wait for. The client can be used on.
    pub async fn shutdown(&self) -> bool {
        let limit = self.shared.timeouts.cleanup_limit();
        timeout(limit, join(self.breaker.flush(), self.limiter.flush())).await.is_ok()
    }
}

impl fmt::Debug for ResilientClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientClient")
            .field("candidates", &self.candidates().map(Candidate::key).collect::<Vec<_>>())
            .field("policy", &self.shared.policy)
            .field("timeouts", &self.shared.timeouts)
            .finish_non_exhaustive()
    }
}

/// Sets a [`ResilientClient`] up.
#[derive(Default)]
pub struct ClientBuilder {
    candidates: Vec<Candidate>,
    breaker: Choice,
    breaker_settings: Option<Settings>,
    limiter: Option<Arc<dyn Limiter>>,
    estimator: Option<Estimator>,
    policy: Policy,
    budget: RetryBudget,
    hedges: Option<f64>,
    order: Option<Arc<dyn Order>>,
    fan_out: FanOut,
    timeouts: Timeouts,
    observer: Option<Arc<dyn Observer>>,
}

impl ClientBuilder {
    /// Adds a candidate, after those that are already there.
    pub fn candidate(mut self, candidate: impl Into<Candidate>) -> Self {
        self.candidates.push(candidate.into());
        self
    }

    /// Adds candidates, after those that are already there.
    pub fn candidates(mut self, candidates: impl IntoIterator<Item = impl Into<Candidate>>) -> Self {
        self.candidates.extend(candidates.into_iter().map(Into::into));
        self
    }

    /// Sets its own breaker up differently. Without effect when another [`breaker`](Self::breaker) is handed in.
    ///
    /// Where it looks at [slow calls](circuit_breaker::Rates::slow), it is told of the time from dispatch to the end of an
    /// answer, and of one that is handed out the time to its first token, as the rest is paced by its reader.
    pub fn breaker_settings(mut self, settings: Settings) -> Self {
        self.breaker_settings = Some(settings);
        self
    }

    /// Uses this limiter, which others may share, in place of one of its own. It is asked under each candidate's
    /// [quota key](Candidate::quota_key), after the breaker has said yes, and told afterwards what the call did cost.
    ///
    /// ```
    /// use std::num::NonZeroU64;
    /// use std::sync::Arc;
    /// use llm_reliability::ResilientClient;
    /// use llm_reliability::circuit_breaker::{InProcessLimiter, Limits, Rate};
    /// use llm_reliability::llm_protocol::testing::ScriptedModel;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let once_a_minute = Limits::default().requests(Rate::per_minute(NonZeroU64::MIN));
    /// let client = ResilientClient::builder()
    ///     .candidate(ScriptedModel::new("acme:large"))
    ///     .candidate(ScriptedModel::new("other:large"))
    ///     .limiter(Arc::new(InProcessLimiter::default().limits_for("acme:large", once_a_minute)))
    ///     .build()?;
    ///
    /// client.failover("hi").await?;
    /// let report = client.failover("hi").await?;
    /// let trail: Vec<_> = report.attempts().iter().map(ToString::to_string).collect();
    /// assert_eq!(trail, ["acme:large preempted_limited", "other:large success @stream"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn limiter(mut self, limiter: Arc<dyn Limiter>) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Sets how it is estimated what a call will cost its [limiter](Self::limiter). [`estimate_cost`] unless set. What
    /// is left unknown needs room and reserves nothing. Asked once a call at most, whatever number of attempts it has,
    /// and not at all without a limiter that was handed in: the client's own has no rates. When it panics, the panic
    /// ends there, and nothing is known of the call but that it is one.
    ///
    /// ```
    /// use llm_reliability::{ResilientClient, estimate_cost};
    ///
    /// // Whoever leaves `max_tokens` out gets short answers here.
    /// let builder = ResilientClient::builder().estimate_cost(|request| {
    ///     let cost = estimate_cost(request);
    ///     if cost.output_tokens.is_some() { cost } else { cost.with_output_tokens(500) }
    /// });
    /// ```
    pub fn estimate_cost(mut self, estimate: impl Fn(&Request) -> Cost + Send + Sync + 'static) -> Self {
        self.estimator = Some(Box::new(estimate));
        self
    }

    /// Sets when a failover moves on, tries again, or stops.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets how often candidates may be asked again over many calls; each has a budget of this size to itself. Without
    /// effect as long as no [policy](Policy::transient_retries) tries anything twice.
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets how many [hedges](Policy::hedge) there may be, as a share of the calls: 0.05 unless set, one for twenty calls.
    /// Each client counts for itself, clones of it together; at most ten are saved up, and it begins with none. A
    /// share that is negative or not a number is 0; one beyond 1 is more than one for each call.
    pub fn hedge_budget(mut self, share: f64) -> Self {
        self.hedges = Some(share);
        self
    }

    /// Sets whom a `failover` asks first, and who comes after. By [priority](Candidate::priority), and as listed, unless
    /// set.
    pub fn order(mut self, order: impl Order + 'static) -> Self {
        self.order = Some(Arc::new(order));
        self
    }

    /// Sets who takes part in a `fan_out`, and how many answers are enough; a [call](crate::Call::fan_out) may have it
    /// otherwise. Every candidate, all waited for, unless set.
    pub fn fan_out(mut self, fan_out: FanOut) -> Self {
        self.fan_out = fan_out;
        self
    }

    /// Sets the clocks; candidates and calls may have others.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Has this observer told of every attempt and every transition.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// [`InputError::NoCandidates`], [`InputError::DuplicateId`] when two candidates have one key, and what is wrong with
    /// the [`fan_out`](Self::fan_out).
    pub fn build(self) -> Result<ResilientClient, InputError> {
        if self.candidates.is_empty() {
            return Err(InputError::NoCandidates);
        }
        for (at, candidate) in self.candidates.iter().enumerate() {
            if self.candidates.iter().take(at).any(|earlier| earlier.key() == candidate.key()) {
                return Err(InputError::DuplicateId(candidate.key().to_owned()));
            }
        }
        let observer = self.observer.unwrap_or_else(|| Arc::new(()));
        let breaker = self.breaker.make(self.breaker_settings.unwrap_or_default(), &observer);
        let (limiter, estimator) = match self.limiter {
            Some(limiter) => (limiter, Some(self.estimator.unwrap_or_else(|| Box::new(estimate_cost)))),
            // It has no rates, so that it would make no difference to know.
            None => (Arc::new(InProcessLimiter::default()) as Arc<dyn Limiter>, None),
        };
        let seat = |candidate: Candidate| {
            let key: Arc<str> = candidate.key().into();
            Arc::new(Seat {
                circuit: Circuit::new(Arc::clone(&breaker), Arc::clone(&key)),
                quota: Quota::new(
                    Arc::clone(&limiter),
                    Arc::clone(candidate.quota_key.as_ref().unwrap_or(&key)),
                ),
                retries: Bucket::new(self.budget),
                traffic: Traffic::default(),
                observed: Mutex::default(),
                key,
                provider: candidate.adapter.provider().into(),
                model: candidate.adapter.model().into(),
                candidate,
            })
        };
        let seats: Vec<_> = self.candidates.into_iter().map(seat).collect();
        self.fan_out.resolve(&seats)?;
        let mut ranked: Vec<_> = (0..seats.len()).collect();
        ranked.sort_by_key(|at| seats.get(*at).map(|seat| seat.candidate.priority));
        let Self { policy, timeouts, order, fan_out, .. } = self;
        let shared = Shared {
            seats,
            ranked,
            watching: order.is_some().into(),
            order,
            policy,
            fan_out,
            hedging: Hedging::new(self.hedges.unwrap_or(0.05)),
            timeouts,
            observer,
            estimator,
            total: Duration::ZERO,
        }
        .settled();
        Ok(ResilientClient { shared: Arc::new(shared), breaker, limiter })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}
