//! The limiter that workers share through Redis.

mod outage;
mod scripts;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::outbox::{LATE, Letter};
use super::script::{Arg, Invocation, Rules, Script, lease_arg, micros};
use super::shared::Shared;
use super::store::RedisStore;
use crate::in_process::InProcessLimiter;
use crate::in_process::shards::{Place, Shards};
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::limits::amounts;
use crate::refusal::{LimitReason, Limited};
use crate::store::{Choice, OnOutage, Unavailable};
use scripts::{Answer, DEFER, END, LOOK, TAKE, rules, written};

/// A limiter whose rates, calls in flight and retry hints are shared by all workers that use the same store, prefix and
/// keys.
///
/// ```no_run
/// use std::num::NonZeroU64;
/// use std::sync::Arc;
/// use circuit_breaker::{InProcessLimiter, Limits, Quota, Rate, RedisLimiter, RedisStore};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379").prefix("shop").build()?;
/// let limits = Limits::default().requests(Rate::per_minute(NonZeroU64::new(500).unwrap()));
/// let limiter = RedisLimiter::new(&store, InProcessLimiter::new(limits));
/// let quota = Quota::new(Arc::new(limiter), "account 7");
/// # Ok(()) }
/// ```
///
/// The in-process limiter brings the limits, the estimator, and how long is held and deferred at most. It decides alone
/// while the store is [out of reach](OnOutage), and then each worker has the whole of every limit to itself.
///
/// A key with limits asks the store for every call, as only the store knows what the others did. One without is answered
/// from what this worker knows, which is at most the store's [staleness](super::RedisStoreBuilder::staleness) old: only
/// retry hints could keep it away.
///
/// Amounts are counted up to 2⁵⁰ each, and what comes back is exact to a part in 10¹⁵ of all that has gone out since the key
/// was last idle: a millionth of a unit, after a billion.
pub struct RedisLimiter {
    core: Arc<Core>,
}

struct Core {
    shared: Arc<Shared>,
    /// The rules, and who decides while the store is lost.
    local: InProcessLimiter,
    /// As they are written, and those of the keys that have others.
    rules: Rules,
    exceptions: HashMap<Arc<str>, Rules>,
    on_outage: Choice,
    known: Shards<Known>,
}

/// What a worker knows of one key between its looks at the store.
#[derive(Debug, Clone, Copy)]
struct Known {
    deferred_until: Instant,
    /// When it was asked for; `None` where only this worker was told something.
    asked: Option<Instant>,
    looking: bool,
    /// The outage for which the limiter that stands in was told what is known here.
    stood_in: Option<u64>,
}

/// Beyond it, times are more than there are numbers.
const FOREVER: Duration = Duration::from_secs(1 << 31);
/// How long a report of a call's end is worth sending.
const LASTS: Duration = Duration::from_secs(600);

impl RedisLimiter {
    /// A limiter that allows what `local` would, to all who share the store together.
    pub fn new(store: &RedisStore, local: InProcessLimiter) -> Self {
        let known = Shards::new(local.max_tracked());
        let (shared, on_outage) = (Arc::clone(store.shared()), Choice::default());
        let (usual, others) = local.all_limits();
        let exceptions = others.iter().map(|(key, limits)| (Arc::clone(key), rules(limits))).collect();
        let rules = rules(usual);
        Self { core: Arc::new(Core { shared, local, rules, exceptions, on_outage, known }) }
    }

    /// Says what to answer while the store is out of reach. [`OnOutage::LocalFallback`] unless set.
    pub fn on_outage(self, on_outage: OnOutage) -> Self {
        self.core.on_outage.set(on_outage);
        self
    }
}

impl Core {
    fn invocation(
        &self,
        script: &'static Script,
        key: &str,
        more: impl IntoIterator<Item = Arg>,
    ) -> Invocation {
        let rules = if self.exceptions.is_empty() { None } else { self.exceptions.get(key) };
        Invocation::new(script, self.shared.key(key), rules.unwrap_or(&self.rules).clone(), more)
    }

    async fn ask_store(
        self: &Arc<Self>,
        script: &'static Script,
        key: &str,
        more: impl IntoIterator<Item = Arg>,
    ) -> Result<Answer, Unavailable> {
        let invocation = self.invocation(script, key, more);
        let answer = Answer::read(self.shared.run(&invocation).await?);
        let answer = answer.ok_or(Unavailable { sent: true, refused: true })?;
        if self.local.limits(key).is_unbounded() || answer.deferred_until > Instant::now() {
            self.learn(key, &answer, invocation.told());
        }
        Ok(answer)
    }

    fn learn(&self, key: &str, answer: &Answer, asked: Instant) {
        let mut place = self.known.lock(key);
        if let Some(known) = self.there(&mut place) {
            known.looking = false;
            // A hint of this worker may be on its way still.
            known.deferred_until = known.deferred_until.max(answer.deferred_until);
            known.asked = known.asked.max(Some(asked));
        }
    }

    fn there<'a>(&self, place: &'a mut Place<'_, Known>) -> Option<&'a mut Known> {
        let now = Instant::now();
        let keep = |known: &Known| {
            let young =
                known.asked.is_some_and(|asked| now.saturating_duration_since(asked) < self.shared.staleness);
            young || known.deferred_until > now
        };
        if place.is_sweep_due() {
            place.tidy(keep, self.local.time());
        }
        if place.get().is_none() {
            let known = Known { deferred_until: now, asked: None, looking: false, stood_in: None };
            place.insert_with(|| known, keep, self.local.time());
        }
        place.get()
    }

    /// The refusal of a key of which it is known that it is to be left alone.
    fn hint(&self, key: &str) -> Option<Limited> {
        // With a clock of their own, tests have the store alone decide.
        if self.shared.clock.is_some() {
            return None;
        }
        let until = self.known.lock(key).get()?.deferred_until;
        let rest = until.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then(|| Limited::new(LimitReason::Deferred).with_retry_after(rest))
    }

    /// The answer of what is known of a key without limits, and a look in the background where that gets old.
    fn recall(self: &Arc<Self>, key: &str) -> Option<Result<(), Limited>> {
        let now = Instant::now();
        let mut place = self.known.lock(key);
        let known = place.get()?;
        if known.deferred_until > now {
            let rest = known.deferred_until.saturating_duration_since(now);
            return Some(Err(Limited::new(LimitReason::Deferred).with_retry_after(rest)));
        }
        let age = now.saturating_duration_since(known.asked?);
        if age >= self.shared.staleness {
            return None;
        }
        let looks = age >= self.shared.staleness / 2 && !std::mem::replace(&mut known.looking, true);
        drop(place);
        if looks {
            let (core, key) = (Arc::clone(self), Box::<str>::from(key));
            self.shared.store.spawn(async move { _ = core.ask_store(&LOOK, &key, []).await });
        }
        Some(Ok(()))
    }

    /// A call under `lease` has ended. `remembered` says for how long it matters that it has.
    fn end(
        self: &Arc<Self>,
        key: &str,
        lease: LeaseId,
        reserved: &Cost,
        actual: &Cost,
        remembered: Duration,
    ) {
        let args = [lease_arg(lease), Arg::Number(micros(remembered))];
        let invocation =
            self.invocation(&END, key, args.into_iter().chain(written(reserved)).chain(written(actual)));
        self.shared.tell(Letter { invocation, lasts: LASTS, ordered: false, answered: None });
    }

    /// What the store may have reserved, or reserves later, is given back.
    fn give_up(self: &Arc<Self>, key: &str, lease: LeaseId) {
        if self.local.limits(key).is_unbounded() {
            return;
        }
        let nothing = Cost::REQUEST.with_requests(0).with_input_tokens(0).with_output_tokens(0);
        self.end(key, lease, &nothing, &nothing, LATE);
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    fn try_acquire(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        if self.core.local.limits(key).is_unbounded()
            && let Some(answer) = self.core.recall(key)
        {
            return Some(answer.map(|()| Reservation::new(*cost)));
        }
        self.core.try_stand_in(key, cost)
    }

    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        let core = &self.core;
        let (answer, reserved) = if core.local.limits(key).is_unbounded() {
            let answer = core.ask_store(&LOOK, key, []).await;
            let deferral = |answer: Answer| {
                let rest = answer.deferred_until.saturating_duration_since(Instant::now());
                let limited = Limited::new(LimitReason::Deferred).with_retry_after(rest);
                if rest.is_zero() { Ok(()) } else { Err(limited) }
            };
            (answer.map(deferral), *cost)
        } else {
            let estimated = core.local.estimate(key, cost);
            let hold = Arg::Number(micros(core.local.hold(ask.hold)));
            let args = [lease_arg(ask.lease), hold].into_iter().chain(written(&estimated));
            (core.ask_store(&TAKE, key, args).await.map(|answer| answer.said), estimated)
        };
        match answer {
            Ok(Ok(())) => match core.hint(key) {
                // It is on its way to the store still.
                Some(limited) => {
                    core.give_up(key, ask.lease);
                    Err(limited)
                }
                None => Ok(Reservation::new(reserved)),
            },
            Ok(Err(limited)) => Err(limited),
            Err(unavailable) => {
                if unavailable.sent {
                    core.give_up(key, ask.lease);
                }
                core.stand_in(key, ask, cost).await
            }
        }
    }

    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost) {
        let core = &self.core;
        if reservation.degraded {
            return core.settle_alone(key, lease, reservation, actual);
        }
        if core.local.limits(key).is_unbounded() {
            return;
        }
        // What is charged beyond what was reserved must not be charged again when the report is sent again.
        let both = amounts(actual).into_iter().zip(amounts(&reservation.cost));
        let more = both.into_iter().any(|(actual, reserved)| actual > reserved);
        core.end(key, lease, &reservation.cost, actual, if more { LASTS } else { Duration::ZERO });
    }

    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>) {
        match reservation {
            Some(reservation) if reservation.degraded => self.core.give_back_alone(key, lease, reservation),
            _ => self.core.give_up(key, lease),
        }
    }

    fn defer(&self, key: &str, delay: Duration) {
        self.core.postpone(key, delay);
    }

    async fn flush(&self) {
        self.core.shared.flush().await;
    }
}

impl Core {
    fn postpone(self: &Arc<Self>, key: &str, delay: Duration) {
        let delay = delay.min(self.local.longest());
        if delay.is_zero() {
            return;
        }
        let invocation = self.invocation(&DEFER, key, [Arg::Number(micros(delay))]);
        let mut place = self.known.lock(key);
        if let Some(known) = self.there(&mut place) {
            let until = invocation.told().checked_add(delay.min(FOREVER)).unwrap_or(invocation.told());
            known.deferred_until = known.deferred_until.max(until);
        }
        drop(place);
        self.postpone_alone(key, delay);
        self.shared.tell(Letter { invocation, lasts: delay, ordered: false, answered: None });
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter")
            .field("store", self.core.shared.store.name())
            .field("local", &self.core.local)
            .field("on_outage", &self.core.on_outage.get())
            .finish_non_exhaustive()
    }
}
