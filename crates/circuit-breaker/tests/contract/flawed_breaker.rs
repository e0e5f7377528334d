//! A breaker in a screen of code, and what can be wrong with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::BreakerPlan;
use circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, RejectReason, Rejection, Settlement, State, Status, Verdict,
    async_trait,
};
use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    FoldsCase,
    CutsKeys,
    KeysShareProbes,
    BornDirty,
    OpensEarly,
    OpensLate,
    CountsSerially,
    SuccessDoesNotReset,
    NeutralResets,
    NeutralFails,
    DropFails,
    OpenSaysProbesTaken,
    NoHint,
    WholeCooldownAsHint,
    HintTooShort,
    HintTooLong,
    AdmitsEarly,
    StatusHalfOpens,
    StatusForgetsFailures,
    EpochStays,
    TriesProbes,
    TriesNo,
    Panics,
    AcquireHangs,
    ChecksThenActs,
    OneProbeOnly,
    TakenSaysOpen,
    BoundsTheUnbounded,
    SuccessStaysHalfOpen,
    ClosesDirty,
    FailureStaysHalfOpen,
    ReopensForHalf,
    NeutralCloses,
    NeutralKeepsSlot,
    DropKeepsSlot,
    NamelessStaysHeld,
    IgnoresWhoLeaves,
    NeedsRuntime,
    SettleNeedsRuntime,
    SettleBlocks,
    AbandonBlocks,
    LongHoldPanics,
    AskingTwiceTakesTwo,
    FreesAnySlot,
    HoldsForEver,
    IgnoresAskedHold,
    IgnoresOwnHold,
    ExpiredHasASay,
    LateSuccessCloses,
    LateFailureProlongs,
    LateDecidesHalfOpen,
    LateFailureCounts,
    LateSuccessResets,
    EarlierProbeDecides,
    FlushHangs,
    SharesNothing,
    ClientsShareNoProbes,
}

pub(crate) struct Sketch {
    plan: BreakerPlan,
    flaw: Flaw,
    /// Shared by the clients of one store.
    keys: Arc<Mutex<HashMap<String, Key>>>,
    /// This client's own, by key: for a flaw.
    probes: Mutex<HashMap<String, Probes>>,
}

type Probes = Vec<(LeaseId, Instant)>;

#[derive(Default)]
struct Key {
    state: State,
    epoch: u64,
    failures: u32,
    until: Option<Instant>,
    probes: Probes,
}

impl Key {
    fn enter(&mut self, state: State, flaw: Flaw) {
        self.state = state;
        self.probes.clear();
        if flaw != Flaw::EpochStays {
            self.epoch += 1;
        }
    }

    fn open(&mut self, cooldown: Duration, flaw: Flaw) {
        self.enter(State::Open, flaw);
        self.until = Some(Instant::now() + cooldown);
    }

    fn rest(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl Sketch {
    pub(crate) fn new(plan: &BreakerPlan, flaw: Flaw) -> Self {
        Self { plan: plan.clone(), flaw, keys: Arc::default(), probes: Mutex::default() }
    }

    pub(crate) fn pair(plan: &BreakerPlan, flaw: Flaw) -> [Self; 2] {
        let (one, mut other) = (Self::new(plan, flaw), Self::new(plan, flaw));
        if flaw != Flaw::SharesNothing {
            other.keys = Arc::clone(&one.keys);
        }
        [one, other]
    }

    fn with<T>(&self, key: &str, run: impl FnOnce(&mut Key) -> T) -> T {
        let name = match self.flaw {
            Flaw::FoldsCase => key.to_lowercase(),
            Flaw::CutsKeys => key.chars().take(250).collect(),
            _ => key.to_owned(),
        };
        // Where the flaw keeps the probes, if not with their key.
        let list = match self.flaw {
            Flaw::KeysShareProbes => Some(String::new()),
            Flaw::ClientsShareNoProbes => Some(name.clone()),
            _ => None,
        };
        let mut keys = self.keys.lock();
        let dirty = u32::from(self.flaw == Flaw::BornDirty);
        let key = keys.entry(name).or_insert_with(|| Key { failures: dirty, ..Key::default() });
        let Some(list) = list else { return run(key) };
        let mut lists = self.probes.lock();
        let list = lists.entry(list).or_default();
        std::mem::swap(&mut key.probes, list);
        let output = run(key);
        std::mem::swap(&mut key.probes, list);
        output
    }

    fn slots(&self) -> usize {
        match (self.flaw, self.plan.probes) {
            (Flaw::OneProbeOnly, Some(_)) => 1,
            (Flaw::BoundsTheUnbounded, None) => 5,
            (_, None) => usize::MAX,
            (_, Some(probes)) => probes.get() as usize,
        }
    }

    /// A probe asks: `None` where it has to wait for another's turn first, which is a flaw.
    fn ask(&self, key: &mut Key, ask: &Ask) -> Result<Admission, Rejection> {
        let flaw = self.flaw;
        let rest = key.rest();
        let early = if flaw == Flaw::AdmitsEarly { self.plan.cooldown / 10 } else { Duration::ZERO };
        match key.state {
            State::Closed => return Ok(Admission::closed(key.epoch)),
            State::Open if rest > early => {
                let reason = match flaw {
                    Flaw::OpenSaysProbesTaken => RejectReason::ProbesTaken,
                    _ => RejectReason::Open,
                };
                let rejection = Rejection::new(reason);
                return Err(match flaw {
                    Flaw::NoHint => rejection,
                    Flaw::WholeCooldownAsHint => rejection.with_retry_after(self.plan.cooldown),
                    Flaw::HintTooShort => rejection.with_retry_after(rest / 2),
                    Flaw::HintTooLong => rejection.with_retry_after(rest * 2),
                    _ => rejection.with_retry_after(rest),
                });
            }
            State::Open => key.enter(State::HalfOpen, flaw),
            State::HalfOpen => {}
        }
        let now = Instant::now();
        let twice = flaw == Flaw::AskingTwiceTakesTwo;
        if !twice && key.probes.iter().any(|(lease, _)| *lease == ask.lease) {
            return Ok(Admission::probe(key.epoch));
        }
        if flaw != Flaw::HoldsForEver {
            key.probes.retain(|(_, ends)| now < *ends);
        }
        if key.probes.len() >= self.slots() {
            let reason =
                if flaw == Flaw::TakenSaysOpen { RejectReason::Open } else { RejectReason::ProbesTaken };
            return Err(Rejection::new(reason));
        }
        key.probes.push((ask.lease, now + self.hold(ask)));
        Ok(Admission::probe(key.epoch))
    }

    fn hold(&self, ask: &Ask) -> Duration {
        let own = self.plan.hold.filter(|_| self.flaw != Flaw::IgnoresOwnHold);
        let own = own.unwrap_or(Duration::from_secs(86_400 * 365));
        let hold = ask.hold.filter(|_| self.flaw != Flaw::IgnoresAskedHold).unwrap_or(own);
        if self.flaw == Flaw::LongHoldPanics { hold } else { hold.min(Duration::from_secs(86_400 * 365)) }
    }

    /// Ends a lease. Whether it was held still.
    fn end(&self, key: &mut Key, lease: LeaseId) -> bool {
        let now = Instant::now();
        if self.flaw == Flaw::FreesAnySlot {
            return key.probes.pop().is_some();
        }
        let place = key.probes.iter().position(|(held, _)| *held == lease);
        let ended = place.map(|place| key.probes.remove(place));
        ended.is_some_and(|(_, ends)| now < ends || self.flaw == Flaw::ExpiredHasASay)
    }

    fn judge(&self, key: &mut Key, lease: Option<LeaseId>, admission: Admission, verdict: Verdict) {
        let flaw = self.flaw;
        let keeps = flaw == Flaw::NeutralKeepsSlot && verdict == Verdict::Neutral;
        let held = !keeps && lease.is_some_and(|lease| self.end(key, lease));
        let verdict = match (flaw, verdict) {
            (Flaw::NeutralFails, Verdict::Neutral) => Verdict::Failure,
            (Flaw::NeutralResets, Verdict::Neutral) if key.state == State::Closed => Verdict::Success,
            (Flaw::NeutralCloses, Verdict::Neutral) if key.state == State::HalfOpen => Verdict::Success,
            (_, verdict) => verdict,
        };
        let late = admission.epoch < key.epoch;
        let excused = match (flaw, key.state, verdict) {
            (Flaw::LateSuccessCloses, State::Open, Verdict::Success) => {
                key.enter(State::Closed, flaw);
                key.failures = 0;
                return;
            }
            (Flaw::LateFailureProlongs, State::Open, Verdict::Failure) => {
                key.until = Some(Instant::now() + self.plan.cooldown);
                return;
            }
            (Flaw::LateDecidesHalfOpen, State::HalfOpen, _)
            | (Flaw::LateSuccessResets, State::Closed, Verdict::Success) => true,
            (Flaw::EarlierProbeDecides, State::HalfOpen, _) => admission.probe,
            (Flaw::LateFailureCounts, State::Closed, Verdict::Failure) => !admission.probe,
            _ => false,
        };
        if late && !excused {
            return;
        }
        match (key.state, verdict) {
            (_, Verdict::Neutral) | (State::Open, _) => {}
            (State::Closed, Verdict::Success) => {
                if flaw != Flaw::SuccessDoesNotReset {
                    key.failures = 0;
                }
            }
            (State::Closed, Verdict::Failure) => {
                key.failures += 1;
                key.epoch += u64::from(flaw == Flaw::CountsSerially);
                let limit = match flaw {
                    Flaw::OpensEarly => self.plan.failures.get().saturating_sub(1).max(1),
                    Flaw::OpensLate => self.plan.failures.get() + 1,
                    _ => self.plan.failures.get(),
                };
                if key.failures >= limit {
                    key.open(self.plan.cooldown, flaw);
                }
            }
            (State::HalfOpen, _) if !held && !excused => {}
            (State::HalfOpen, Verdict::Success) if flaw == Flaw::SuccessStaysHalfOpen => {}
            (State::HalfOpen, Verdict::Success) => {
                key.enter(State::Closed, flaw);
                if flaw != Flaw::ClosesDirty {
                    key.failures = 0;
                }
            }
            (State::HalfOpen, Verdict::Failure) if flaw == Flaw::FailureStaysHalfOpen => {}
            (State::HalfOpen, Verdict::Failure) => {
                let part = if flaw == Flaw::ReopensForHalf { 2 } else { 1 };
                key.open(self.plan.cooldown / part, flaw);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the flaw")]
pub(crate) fn block() {
    std::thread::sleep(Duration::from_millis(2));
}

#[async_trait]
impl Breaker for Sketch {
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        self.with(key, |key| match key.state {
            State::Open if self.flaw == Flaw::TriesNo => {
                Some(Err(Rejection::new(RejectReason::Open).with_retry_after(self.plan.cooldown)))
            }
            State::HalfOpen if self.flaw == Flaw::TriesProbes => Some(Ok(Admission::closed(key.epoch))),
            State::Closed => Some(Ok(Admission::closed(key.epoch))),
            _ => None,
        })
    }

    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        if self.flaw == Flaw::ChecksThenActs {
            let room = self.with(key, |key| key.state != State::HalfOpen || key.probes.len() < self.slots());
            tokio::task::yield_now().await;
            let epoch = self.with(key, |key| {
                (room && key.state == State::HalfOpen).then(|| {
                    key.probes.push((ask.lease, Instant::now() + self.hold(ask)));
                    key.epoch
                })
            });
            if let Some(epoch) = epoch {
                return Ok(Admission::probe(epoch));
            }
        }
        if self.flaw == Flaw::AcquireHangs {
            std::future::pending::<()>().await;
        }
        let ask = match self.flaw {
            // Under a name of its own, which nobody else knows until the answer is there.
            Flaw::IgnoresWhoLeaves => Ask::new(ask.lease),
            _ => *ask,
        };
        let answer = self.with(key, |key| self.ask(key, &ask));
        if self.flaw == Flaw::IgnoresWhoLeaves {
            tokio::task::yield_now().await;
        }
        answer
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        assert!(self.flaw != Flaw::Panics, "the flaw");
        match self.flaw {
            Flaw::SettleNeedsRuntime => drop(tokio::spawn(async {})),
            Flaw::SettleBlocks => block(),
            _ => {}
        }
        self.with(key, |key| self.judge(key, lease, admission, settlement.verdict));
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        match self.flaw {
            Flaw::NeedsRuntime => drop(tokio::runtime::Handle::current()),
            Flaw::AbandonBlocks => block(),
            Flaw::DropKeepsSlot => return,
            Flaw::NamelessStaysHeld | Flaw::IgnoresWhoLeaves if admission.is_none() => return,
            Flaw::DropFails => {
                let admission = admission.unwrap_or(Admission::closed(0));
                return self.with(key, |key| self.judge(key, Some(lease), admission, Verdict::Failure));
            }
            _ => {}
        }
        self.with(key, |key| {
            self.end(key, lease);
        });
    }

    async fn status(&self, key: &str) -> Status {
        self.with(key, |key| {
            let now = Instant::now();
            if self.flaw == Flaw::StatusHalfOpens && key.state == State::Open && key.rest().is_zero() {
                key.enter(State::HalfOpen, self.flaw);
            }
            let probes = key.probes.iter().filter(|(_, ends)| now < *ends).count();
            let failures = if self.flaw == Flaw::StatusForgetsFailures { 0 } else { key.failures };
            let status = Status::new(key.state, failures).with_probes(u32::try_from(probes).unwrap());
            if key.state == State::Open { status.with_retry_after(key.rest()) } else { status }
        })
    }

    async fn flush(&self) {
        if self.flaw == Flaw::FlushHangs {
            std::future::pending::<()>().await;
        }
    }
}
