//! A limiter in a screen of code, and what can be wrong with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{LimiterPlan, RatePlan};
use circuit_breaker::{Ask, Cost, LeaseId, LimitReason, Limited, Limiter, Reservation, async_trait};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::flawed_breaker::block;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    FoldsCase,
    CutsKeys,
    BoundsTheUnbounded,
    OneMore,
    ChecksThenActs,
    RefillsTwice,
    RefillsNever,
    NoHint,
    HintTooShort,
    HintOfBurst,
    NamesRequests,
    SaysInFlight,
    NeverFitsIsARate,
    NeverFitsComesBack,
    TakesBeforeItRefuses,
    ReservesUnseen,
    RefusesUnknown,
    UnknownIsFree,
    GivesNothingBack,
    GivesBackTheLatestOnly,
    ChargesNothingMore,
    ChargesToTheBurst,
    UnknownBecomesZero,
    AbandonKeeps,
    AbandonsAgain,
    NamelessStaysHeld,
    IgnoresWhoLeaves,
    NeedsRuntime,
    SettleNeedsRuntime,
    DeferNeedsRuntime,
    SettleBlocks,
    AbandonBlocks,
    DeferBlocks,
    LongHoldPanics,
    LongHintPanics,
    ZeroHintDefers,
    AskingTwiceTakesTwo,
    OneFewerInFlight,
    SettleKeepsPlace,
    FreesAnyPlace,
    HoldsForEver,
    IgnoresAskedHold,
    IgnoresOwnHold,
    ExpiryGivesBack,
    IgnoresHints,
    HintsNeedBounds,
    DeferredSaysRate,
    DeferredHasNoHint,
    LatestHintWins,
    ShortestHintWins,
    HintsForAllKeys,
    TriesYes,
    TriesPastHints,
    FlushHangs,
    SharesNothing,
    SharesNoHints,
    SharesNoFlight,
}

type Amounts = [Option<u64>; 3];

fn amounts(cost: &Cost) -> Amounts {
    [Some(cost.requests.into()), cost.input_tokens, cost.output_tokens]
}

const REASONS: [LimitReason; 3] =
    [LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];

pub(crate) struct Sketch {
    plan: LimiterPlan,
    flaw: Flaw,
    /// Shared by the clients of one store.
    keys: Arc<Mutex<HashMap<String, Key>>>,
    hints: Arc<Mutex<HashMap<String, Instant>>>,
    /// What this client has out: for a flaw.
    out: Mutex<usize>,
}

/// What is out of each bucket, and when that was.
struct Key {
    used: [f64; 3],
    at: Instant,
    leases: Vec<(LeaseId, Amounts, Instant)>,
}

impl Sketch {
    pub(crate) fn new(plan: &LimiterPlan, flaw: Flaw) -> Self {
        let (keys, hints) = (Arc::default(), Arc::default());
        Self { plan: plan.clone(), flaw, keys, hints, out: Mutex::default() }
    }

    pub(crate) fn pair(plan: &LimiterPlan, flaw: Flaw) -> [Self; 2] {
        let (one, mut other) = (Self::new(plan, flaw), Self::new(plan, flaw));
        if flaw != Flaw::SharesNothing {
            other.keys = Arc::clone(&one.keys);
        }
        if !matches!(flaw, Flaw::SharesNothing | Flaw::SharesNoHints) {
            other.hints = Arc::clone(&one.hints);
        }
        [one, other]
    }

    fn name(&self, key: &str) -> String {
        match self.flaw {
            Flaw::FoldsCase => key.to_lowercase(),
            Flaw::CutsKeys => key.chars().take(250).collect(),
            _ => key.to_owned(),
        }
    }

    fn rates(&self) -> [Option<RatePlan>; 3] {
        [self.plan.requests, self.plan.input_tokens, self.plan.output_tokens]
    }

    fn bounded(&self) -> bool {
        self.plan.in_flight.is_some() || self.rates().iter().any(Option::is_some)
    }

    /// The key as it is now: with what has come back, and without what has ended by itself.
    fn with<T>(&self, key: &str, run: impl FnOnce(&mut Key) -> T) -> T {
        let now = Instant::now();
        let mut keys = self.keys.lock();
        let key =
            keys.entry(self.name(key)).or_insert_with(|| Key { used: [0.0; 3], at: now, leases: Vec::new() });
        let elapsed = now - std::mem::replace(&mut key.at, now);
        for (used, rate) in key.used.iter_mut().zip(self.rates()) {
            let Some(rate) = rate else { continue };
            let back = elapsed.div_duration_f64(rate.period) * amount(rate.amount.get());
            *used = match self.flaw {
                Flaw::RefillsTwice => (*used - 2.0 * back).max(0.0),
                Flaw::RefillsNever => *used,
                _ => (*used - back).max(0.0),
            };
        }
        let ended: Vec<_> = key.leases.extract_if(.., |(.., ends)| *ends <= now).collect();
        if self.flaw == Flaw::ExpiryGivesBack {
            for (_, reserved, _) in ended {
                correct(key, reserved, [Some(0); 3]);
            }
        }
        run(key)
    }

    fn deferred(&self, key: &str) -> Option<Limited> {
        let name = if self.flaw == Flaw::HintsForAllKeys { String::new() } else { self.name(key) };
        let until = self.hints.lock().get(&name).copied()?;
        let rest = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())?;
        let ignored = match self.flaw {
            Flaw::IgnoresHints => true,
            Flaw::HintsNeedBounds => !self.bounded(),
            _ => false,
        };
        let reason = match self.flaw {
            Flaw::DeferredSaysRate => LimitReason::Rate,
            _ => LimitReason::Deferred,
        };
        let limited = match self.flaw {
            Flaw::DeferredHasNoHint => Limited::new(reason),
            _ => Limited::new(reason).with_retry_after(rest),
        };
        (!ignored).then_some(limited)
    }

    fn ask(&self, key: &mut Key, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        let flaw = self.flaw;
        let reservation = Reservation::new(if flaw == Flaw::ReservesUnseen { Cost::REQUEST } else { *cost });
        if flaw != Flaw::AskingTwiceTakesTwo && key.leases.iter().any(|(lease, ..)| *lease == ask.lease) {
            return Ok(reservation);
        }
        let limit = self.plan.in_flight.map_or(usize::MAX, |limit| limit.get() as usize);
        let limit = match flaw {
            Flaw::OneFewerInFlight => limit.saturating_sub(1).max(1),
            Flaw::BoundsTheUnbounded if !self.bounded() => 9,
            _ => limit,
        };
        let out = if flaw == Flaw::SharesNoFlight { *self.out.lock() } else { key.leases.len() };
        if out >= limit {
            return Err(Limited::new(LimitReason::InFlight));
        }
        let asked = amounts(cost);
        self.room(key, asked)?;
        if flaw != Flaw::ChecksThenActs {
            take(key, asked);
        }
        *self.out.lock() += 1;
        key.leases.push((ask.lease, asked, Instant::now() + self.hold(ask)));
        Ok(reservation)
    }

    /// Whether there is room in every rate.
    fn room(&self, key: &mut Key, asked: Amounts) -> Result<(), Limited> {
        let flaw = self.flaw;
        let rates = self.rates();
        let never = |(asked, rate): (Option<u64>, &Option<RatePlan>)| {
            rate.is_some_and(|rate| asked.unwrap_or(1) > rate.burst.get())
        };
        if asked.into_iter().zip(&rates).any(never) {
            let never = Limited::new(LimitReason::NeverFits);
            return Err(match flaw {
                Flaw::NeverFitsIsARate => Limited::new(LimitReason::Rate),
                Flaw::NeverFitsComesBack => never.with_retry_after(Duration::from_secs(1)),
                _ => never,
            });
        }
        for (place, rate) in rates.into_iter().enumerate() {
            let Some(rate) = rate else { continue };
            if asked[place].is_none() && flaw == Flaw::RefusesUnknown {
                return Err(Limited::new(REASONS[place]));
            }
            let more = if flaw == Flaw::OneMore { 1.0 } else { 0.0 };
            let missing =
                key.used[place] + amount(asked[place].unwrap_or(1)) - amount(rate.burst.get()) - more;
            if missing > 1e-6 {
                let reason = match flaw {
                    Flaw::NamesRequests => LimitReason::RequestRate,
                    Flaw::SaysInFlight => LimitReason::InFlight,
                    _ => REASONS[place],
                };
                let wait = rate.period.mul_f64(missing / amount(rate.amount.get()));
                let limited = Limited::new(reason);
                return Err(match flaw {
                    Flaw::NoHint => limited,
                    Flaw::HintTooShort => limited.with_retry_after(wait / 2),
                    Flaw::HintOfBurst => limited.with_retry_after(10 * rate.period),
                    _ => limited.with_retry_after(wait + Duration::from_millis(1)),
                });
            }
            if flaw == Flaw::TakesBeforeItRefuses {
                key.used[place] += amount(asked[place].unwrap_or_default());
            }
        }
        if flaw == Flaw::TakesBeforeItRefuses {
            correct(key, asked.map(|asked| asked.or(Some(0))), [Some(0); 3]);
        }
        Ok(())
    }

    fn hold(&self, ask: &Ask) -> Duration {
        let ages = Duration::from_secs(86_400 * 365);
        let own = self.plan.hold.filter(|_| self.flaw != Flaw::IgnoresOwnHold).unwrap_or(ages);
        match self.flaw {
            Flaw::HoldsForEver => ages,
            Flaw::IgnoresAskedHold | Flaw::IgnoresWhoLeaves => own,
            Flaw::LongHoldPanics => ask.hold.unwrap_or(own),
            _ => ask.hold.unwrap_or(own).min(ages),
        }
    }

    fn end(&self, key: &mut Key, lease: LeaseId, actual: Amounts) {
        let flaw = self.flaw;
        let place = key.leases.iter().position(|(held, ..)| *held == lease);
        let latest = place.is_some_and(|place| place + 1 == key.leases.len());
        let ended = match place {
            Some(place) => Some(key.leases.remove(place)),
            None if flaw == Flaw::FreesAnyPlace => key.leases.pop(),
            None => None,
        };
        let Some((_, reserved, _)) = ended else { return };
        *self.out.lock() -= 1;
        let mut actual = actual;
        for (actual, reserved) in actual.iter_mut().zip(reserved) {
            let was = reserved.unwrap_or_default();
            *actual = match (flaw, *actual) {
                (Flaw::UnknownBecomesZero, None) => Some(0),
                (Flaw::GivesNothingBack, Some(now)) => Some(now.max(was)),
                (Flaw::GivesBackTheLatestOnly, Some(now)) if !latest => Some(now.max(was)),
                (Flaw::ChargesNothingMore, Some(now)) if reserved.is_some() => Some(now.min(was)),
                (Flaw::ChargesToTheBurst, Some(now)) => Some(now.min(10)),
                (Flaw::UnknownIsFree, Some(_)) if reserved.is_none() => None,
                (_, actual) => actual,
            };
        }
        correct(key, reserved, actual);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sketch")]
fn amount(units: u64) -> f64 {
    units as f64
}

fn take(key: &mut Key, asked: Amounts) {
    for (used, asked) in key.used.iter_mut().zip(asked) {
        *used += amount(asked.unwrap_or_default());
    }
}

fn correct(key: &mut Key, reserved: Amounts, actual: Amounts) {
    for ((used, reserved), actual) in key.used.iter_mut().zip(reserved).zip(actual) {
        if let Some(actual) = actual {
            *used = (*used + amount(actual) - amount(reserved.unwrap_or_default())).max(0.0);
        }
    }
}

#[async_trait]
impl Limiter for Sketch {
    fn try_acquire(&self, key: &str, cost: &Cost) -> Option<Result<Reservation, Limited>> {
        let yes = Some(Ok(Reservation::new(*cost)));
        match self.flaw {
            // Whole batches.
            Flaw::TriesYes if cost.requests >= 10 => return yes,
            Flaw::TriesPastHints if !self.bounded() => return yes,
            Flaw::BoundsTheUnbounded => return None,
            _ => {}
        }
        if self.bounded() {
            return None;
        }
        self.deferred(key).map(Err).or(yes)
    }

    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        if let Some(limited) = self.deferred(key) {
            return Err(limited);
        }
        let answer = self.with(key, |key| self.ask(key, ask, cost));
        match self.flaw {
            Flaw::IgnoresWhoLeaves => tokio::task::yield_now().await,
            Flaw::ChecksThenActs if answer.is_ok() => {
                tokio::task::yield_now().await;
                self.with(key, |key| take(key, amounts(cost)));
            }
            _ => {}
        }
        answer
    }

    fn settle(&self, key: &str, lease: LeaseId, _: Reservation, actual: &Cost) {
        match self.flaw {
            Flaw::SettleNeedsRuntime => drop(tokio::spawn(async {})),
            Flaw::SettleBlocks => block(),
            _ => {}
        }
        if self.flaw != Flaw::SettleKeepsPlace {
            self.with(key, |key| self.end(key, lease, amounts(actual)));
        }
    }

    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>) {
        let nothing = [Some(0); 3];
        match (self.flaw, reservation) {
            (Flaw::NeedsRuntime, _) => drop(tokio::runtime::Handle::current()),
            (Flaw::AbandonBlocks, _) => block(),
            (Flaw::NamelessStaysHeld | Flaw::IgnoresWhoLeaves, None) => return,
            (Flaw::AbandonKeeps, _) => return self.with(key, |key| self.end(key, lease, [None; 3])),
            (Flaw::AbandonsAgain, Some(reservation)) => {
                return self.with(key, |key| {
                    key.leases.retain(|(held, ..)| *held != lease);
                    correct(key, amounts(&reservation.cost), nothing);
                });
            }
            _ => {}
        }
        self.with(key, |key| self.end(key, lease, nothing));
    }

    fn defer(&self, key: &str, delay: Duration) {
        let name = if self.flaw == Flaw::HintsForAllKeys { String::new() } else { self.name(key) };
        let delay = match self.flaw {
            Flaw::LongHintPanics => delay,
            Flaw::ZeroHintDefers if delay.is_zero() => Duration::from_secs(1),
            _ => delay.min(Duration::from_secs(86_400 * 365)),
        };
        match self.flaw {
            Flaw::DeferNeedsRuntime => drop(tokio::spawn(async {})),
            Flaw::DeferBlocks => block(),
            _ => {}
        }
        let until = Instant::now() + delay;
        let mut hints = self.hints.lock();
        let hint = hints.entry(name).or_insert(until);
        *hint = match self.flaw {
            Flaw::LatestHintWins => until,
            Flaw::ShortestHintWins => until.min(*hint),
            _ => until.max(*hint),
        };
    }

    async fn flush(&self) {
        if self.flaw == Flaw::FlushHangs {
            std::future::pending::<()>().await;
        }
    }
}
