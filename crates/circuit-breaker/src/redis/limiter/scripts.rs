//! The limiter's scripts, what they are asked with, and what they answer.

use std::time::Duration;

use redis::{Value, from_redis_value};
use tokio::time::Instant;

use crate::limiter::Cost;
use crate::limits::{Limits, Rate, amounts};
use crate::redis::script::{Arg, Rules, Script, script};
use crate::refusal::{LimitReason, Limited};

/// What each of them touches: the account, what leases reserved, when they end, and which have ended.
const KEYS: &[&str] = &["l", "lh", "lc", "lx"];

pub(super) static LOOK: Script = script!(KEYS, "limiter/account.lua", "limiter/look.lua");
pub(super) static TAKE: Script = script!(KEYS, "limiter/account.lua", "limiter/take.lua");
pub(super) static END: Script = script!(KEYS, "limiter/account.lua", "limiter/end.lua");
pub(super) static DEFER: Script = script!(KEYS, "limiter/account.lua", "limiter/defer.lua");

/// The limits as every script takes them.
pub(super) fn rules(limits: &Limits) -> Rules {
    let rates = limits.rates().into_iter().flat_map(|rate| {
        let (burst, pace, most) =
            rate.map_or((0, 0.0, 0.0), |rate| (units(rate.largest()), pace(&rate), most(&rate)));
        [Arg::Number(burst), Arg::Real(pace), Arg::Real(most)]
    });
    let in_flight = Arg::Number(limits.in_flight.map_or(0, |calls| calls.get().into()));
    rates.chain([in_flight]).collect()
}

/// A cost by dimension, as it is written.
pub(super) fn written(cost: &Cost) -> [Arg; 3] {
    amounts(cost).map(|amount| amount.map_or(Arg::Word(""), |amount| Arg::Number(units(amount))))
}

/// Lua counts exactly so far, and a cent more.
fn units(amount: u64) -> u64 {
    amount.min(1 << 50)
}

/// Units that come back in a microsecond; negative where all come back at once.
#[expect(clippy::cast_precision_loss, reason = "a rate is an approximate thing beyond 53 bits")]
fn pace(rate: &Rate) -> f64 {
    let micros = rate.span_of_period().as_secs_f64() * 1e6;
    if micros <= 0.0 { -1.0 } else { rate.per_period() as f64 / micros }
}

/// One report keeps nobody away for longer than a day, or than the rate's period, or than the burst takes to come back.
#[expect(clippy::cast_precision_loss, reason = "as above")]
fn most(rate: &Rate) -> f64 {
    const DAY: f64 = 86_400e6;
    (pace(rate).max(0.0) * DAY).max(rate.per_period() as f64).max(rate.largest() as f64)
}

/// What the store says to a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) said: Result<(), Limited>,
    /// When the key may be used again that the service asked to leave alone.
    pub(super) deferred_until: Instant,
}

impl Answer {
    /// `None` where it is none of this version's.
    pub(super) fn read(value: Value) -> Option<Self> {
        let numbers: Vec<u64> = from_redis_value(value).ok()?;
        let &[said, reason, wait, deferred, ..] = numbers.as_slice() else { return None };
        let wait = Duration::from_micros(wait);
        let after = |reason| Limited::new(reason).with_retry_after(wait);
        let limited = match reason {
            1 => after(LimitReason::RequestRate),
            2 => after(LimitReason::InputTokenRate),
            3 => after(LimitReason::OutputTokenRate),
            4 => Limited::new(LimitReason::NeverFits),
            5 => after(LimitReason::Deferred),
            _ => Limited::new(LimitReason::InFlight),
        };
        let said = if said == 2 { Err(limited) } else { Ok(()) };
        Some(Self { said, deferred_until: Instant::now() + Duration::from_micros(deferred) })
    }
}
