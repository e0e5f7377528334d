//! The breaker that workers share through Redis.

mod known;
mod outage;
mod reports;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use redis::Value;
use tokio::time::Instant;

use super::script::{Arg, Invocation, Rules, Script, lease_arg, micros};
use super::shared::Shared;
use super::store::RedisStore;
use crate::breaker::{Admission, Breaker, Settlement};
use crate::in_process::InProcessBreaker;
use crate::in_process::shards::{Place, Shards};
use crate::lease::{Ask, LeaseId};
use crate::refusal::{RejectReason, Rejection};
use crate::settings::{DAY, Trip};
use crate::status::{Mode, ModeError, Snapshot, State, Status};
use crate::store::{Choice, OnOutage, StoreUnavailable, Unavailable};
use known::Known;
use scripts::{ASK, Answer, LOOK, MODE, Said, rules};

/// A breaker whose circuits are shared by all workers that use the same store, prefix and keys.
///
/// ```no_run
/// use std::sync::Arc;
/// use circuit_breaker::{Circuit, InProcessBreaker, RedisBreaker, RedisStore, Settings};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379").prefix("shop").build()?;
/// let breaker = RedisBreaker::new(&store, InProcessBreaker::new(Settings::default()));
/// let circuit = Circuit::new(Arc::new(breaker), "warehouse");
/// let permit = circuit.admit().await?;
/// # Ok(()) }
/// ```
///
/// The in-process breaker brings the settings and the listener, and decides alone while the store is
/// [out of reach](OnOutage).
///
/// # Who decides
///
/// A closed or open circuit is answered from what this worker knows, which is at most the store's
/// [staleness](super::RedisStoreBuilder::staleness) old; one that is used is looked at again in the background before that.
/// A half-open one asks the store each time, so that no more probes hold an unexpired lease than there may be, in all
/// workers together.
///
/// Failures in a row are counted by each worker, which opens the circuit for all. [`Rates`](crate::Rates) count the calls of
/// all workers; successes get there a tenth of a second late, failures at once.
///
/// A listener hears of every transition that this worker brought about or came to know of; of several between two looks,
/// of the last.
pub struct RedisBreaker {
    core: Arc<Core>,
}

pub(super) struct Core {
    shared: Arc<Shared>,
    /// The rules, and who decides while the store is lost.
    local: InProcessBreaker,
    /// As they are written; `None` where they are not always the same.
    rules: Option<Rules>,
    on_outage: Choice,
    known: Shards<Known>,
    /// Names this worker in the reports to a window, of which each has a number.
    reporter: Box<str>,
    reports: AtomicU64,
}

impl RedisBreaker {
    /// A breaker that decides as `local` would, for all who share the store.
    pub fn new(store: &RedisStore, local: InProcessBreaker) -> Self {
        let known = Shards::new(local.settings().max_keys);
        let reporter = format!("{:032x}", LeaseId::new().as_u128()).into();
        let shared = Arc::clone(store.shared());
        let (on_outage, reports) = (Choice::default(), AtomicU64::new(0));
        let rules = local.settings().jitter.is_none().then(|| rules(local.settings()));
        Self { core: Arc::new(Core { shared, local, rules, on_outage, known, reporter, reports }) }
    }

    /// Says what to answer while the store is out of reach. [`OnOutage::LocalFallback`] unless set.
    pub fn on_outage(self, on_outage: OnOutage) -> Self {
        self.core.on_outage.set(on_outage);
        self
    }

    /// Puts a circuit into a [`Mode`], for all workers, as [`InProcessBreaker::set_mode`] does for one. Others follow
    /// within the staleness. A mode lasts for as long as somebody uses the circuit, and thirty days after that.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`]: nothing has changed, or it has and that could not be heard any more.
    ///
    /// # Cancellation
    ///
    /// What has been sent takes effect.
    pub async fn set_mode(&self, key: &str, mode: Mode) -> Result<(), StoreUnavailable> {
        let word = match mode {
            Mode::Automatic => "a",
            Mode::ForcedOpen => "o",
            Mode::ForcedClosed => "c",
            Mode::Disabled => "d",
        };
        self.core.change_mode(key, word).await
    }

    /// Starts a key anew, for all workers: its circuit is closed, as far as its mode allows.
    ///
    /// # Errors
    ///
    /// As for [`set_mode`](Self::set_mode).
    pub async fn reset(&self, key: &str) -> Result<(), StoreUnavailable> {
        self.core.change_mode(key, "r").await
    }

    /// Reads what is counted under `key`, in the store. How many calls were rejected is not counted there.
    ///
    /// # Errors
    ///
    /// [`StoreUnavailable`].
    pub async fn snapshot(&self, key: &str) -> Result<Snapshot, StoreUnavailable> {
        let answer = self.core.look(key).await.map_err(|_| StoreUnavailable)?;
        Ok(Snapshot {
            status: self.core.status_of(key, &answer),
            counts: answer.counts,
            rejected: 0,
            openings: answer.openings,
            in_state: answer.in_state,
            epoch: answer.view.epoch,
        })
    }
}

impl Core {
    fn invocation(
        &self,
        script: &'static Script,
        key: &str,
        more: impl IntoIterator<Item = Arg>,
    ) -> Invocation {
        let rules = self.rules.clone().unwrap_or_else(|| rules(self.local.settings()));
        Invocation::new(script, self.shared.key(key), rules, more)
    }

    /// Runs a script, and remembers what it says.
    async fn ask_store(
        self: &Arc<Self>,
        script: &'static Script,
        key: &str,
        more: impl IntoIterator<Item = Arg>,
    ) -> Result<Answer, Unavailable> {
        let invocation = self.invocation(script, key, more);
        let answer = self.shared.run(&invocation).await?;
        self.learn(key, answer, invocation.told()).ok_or(Unavailable { sent: true, refused: true })
    }

    async fn look(self: &Arc<Self>, key: &str) -> Result<Answer, Unavailable> {
        self.ask_store(&LOOK, key, []).await
    }

    async fn change_mode(self: &Arc<Self>, key: &str, word: &'static str) -> Result<(), StoreUnavailable> {
        self.ask_store(&MODE, key, [Arg::Word(word)]).await.map(drop).map_err(|_| StoreUnavailable)
    }

    /// Remembers what the store said to what was asked then.
    fn learn(&self, key: &str, answer: Value, asked: Instant) -> Option<Answer> {
        let answer = Answer::read(answer, asked)?;
        let mut place = self.known.lock(key);
        let untold = self.there(&mut place).and_then(|known| known.learn(key, answer.view));
        drop(place);
        if let Some(transition) = untold {
            self.local.tell(&transition);
        }
        Some(answer)
    }

    /// What is known of a key, which may be nothing yet; `None` where there is no room for more.
    fn there<'a>(&self, place: &'a mut Place<'_, Known>) -> Option<&'a mut Known> {
        if place.get().is_none() || place.is_sweep_due() {
            let now = Instant::now();
            let silence = self.local.settings().stale_after();
            let keep = |silence| move |known: &Known| known.matters(self.shared.staleness, silence, now);
            if place.is_sweep_due() {
                place.tidy(keep(silence.max(DAY)), self.local.time());
            }
            if place.get().is_none() && !place.insert_with(Known::default, keep(silence), self.local.time()) {
                return None;
            }
        }
        place.get()
    }

    /// The answer of what is known, and a look in the background where that gets old.
    fn recall(self: &Arc<Self>, key: &str) -> Option<Result<Admission, Rejection>> {
        let staleness = self.shared.staleness;
        let now = Instant::now();
        let mut place = self.known.lock(key);
        let (answer, looks) = place.get()?.answer(staleness, now)?;
        drop(place);
        if looks {
            let (core, key) = (Arc::clone(self), Box::<str>::from(key));
            self.shared.store.spawn(async move { _ = core.look(&key).await });
        }
        Some(answer)
    }

    fn status_of(&self, key: &str, answer: &Answer) -> Status {
        let view = &answer.view;
        let failures = match (self.local.settings().trip, view.state) {
            (Trip::Consecutive(_), State::Closed) => self.known.lock(key).get().map_or(0, |known| known.row),
            (Trip::Rates(_), State::Closed) => u32::try_from(answer.counts.failures).unwrap_or(u32::MAX),
            _ => view.failures,
        };
        let status = Status::new(view.state(), failures).with_mode(view.mode).with_probes(answer.probes);
        let rest = view.until.saturating_duration_since(Instant::now());
        if status.state == State::Open && view.mode != Mode::ForcedOpen {
            status.with_retry_after(rest)
        } else {
            status
        }
    }
}

#[async_trait]
impl Breaker for RedisBreaker {
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        let answer = self.core.recall(key).or_else(|| self.core.try_stand_in(key))?;
        Some(answer.map(|admission| self.core.local.measured(admission)))
    }

    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        let core = &self.core;
        let hold = core.local.settings().hold(ask.hold);
        let asked = core.ask_store(&ASK, key, [lease_arg(ask.lease), Arg::Number(micros(hold))]).await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(unavailable) => {
                if unavailable.sent {
                    core.take_back(key, ask.lease);
                }
                return core.stand_in(key, ask).await;
            }
        };
        let view = answer.view;
        let admission = match answer.said {
            Said::Go => Admission::closed(view.epoch),
            Said::GoAsProbe => Admission::probe(view.epoch),
            _ => {
                let rest = view.until.saturating_duration_since(Instant::now());
                return Err(match (view.mode, view.state) {
                    (Mode::ForcedOpen, _) => Rejection::new(RejectReason::ForcedOpen),
                    (_, State::Open) => Rejection::new(RejectReason::Open).with_retry_after(rest),
                    _ => Rejection::new(RejectReason::ProbesTaken),
                });
            }
        };
        Ok(core.local.measured(admission))
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        self.core.report(key, lease, admission, settlement);
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        self.core.give_back(key, lease, admission);
    }

    async fn status(&self, key: &str) -> Status {
        match self.core.look(key).await {
            Ok(answer) => self.core.status_of(key, &answer),
            Err(_) => self.core.status_alone(key).await,
        }
    }

    async fn set_mode(&self, key: &str, mode: Mode) -> Result<(), ModeError> {
        Self::set_mode(self, key, mode).await.map_err(|StoreUnavailable| ModeError::StoreUnavailable)
    }

    async fn flush(&self) {
        self.core.send_all();
        self.core.shared.flush().await;
    }
}

impl fmt::Debug for RedisBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBreaker")
            .field("store", self.core.shared.store.name())
            .field("settings", self.core.local.settings())
            .field("on_outage", &self.core.on_outage.get())
            .finish_non_exhaustive()
    }
}
