//! What a limiter keeps of one key. Pure: what happens, and when, are arguments.

use std::time::Duration;

use crate::in_process::cell::Summary;
use crate::in_process::clock::Time;
use crate::in_process::gcra::{Full, Gcra, Mark};
use crate::in_process::leases::Leases;
use crate::lease::LeaseId;
use crate::limiter::{Cost, Reservation};
use crate::limits::{DIMENSIONS, Limits, REASONS, Rate, amounts};
use crate::refusal::{LimitReason, Limited};

/// One key's rates, calls in flight, and retry hint.
#[derive(Debug, Clone)]
pub(super) struct Account {
    limits: Limits,
    rates: [Gcra; DIMENSIONS],
    out: Leases<Holding>,
    deferred_until: Time,
    /// Two threads may read the clock in one order and come here in the other. Time does not go back.
    latest: Time,
}

/// What a call in flight has reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Holding {
    reserved: [u64; DIMENSIONS],
    marks: [Mark; DIMENSIONS],
}

impl Account {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rates: Default::default(),
            out: Leases::default(),
            deferred_until: Time::ZERO,
            latest: Time::ZERO,
        }
    }

    /// A call asks for leave, until `expires` at the latest. Every bound has to have room for it, or none is touched.
    pub(super) fn acquire(
        &mut self,
        lease: LeaseId,
        cost: Cost,
        now: Time,
        expires: Time,
    ) -> Result<Reservation, Limited> {
        let now = self.at(now);
        if self.out.is_held(lease, now) {
            return Ok(Reservation::new(cost));
        }
        let (at, amounts) = (now.as_nanos(), amounts(&cost));
        let rate = self.room_in_rates(amounts, at);
        if let Err(limited @ Limited { reason: LimitReason::NeverFits, .. }) = rate {
            return Err(limited);
        }
        if let Some(deferred) = self.deferral(now) {
            // When it is over, the rates may still have no room.
            let wait = rate.err().and_then(|limited| limited.retry_after);
            return Err(Limited { retry_after: deferred.retry_after.max(wait), ..deferred });
        }
        if let Some(limit) = self.limits.in_flight
            && !self.out.has_room(usize::try_from(limit.get()).unwrap_or(usize::MAX), now)
        {
            return Err(Limited::new(LimitReason::InFlight));
        }
        rate?;
        if !self.limits.is_unbounded() {
            let reserved = amounts.map(Option::unwrap_or_default);
            let mut holding = Holding { reserved, ..Holding::default() };
            let taken = holding.marks.iter_mut().zip(reserved);
            for ((rate, gcra), (mark, amount)) in self.limits.rates().iter().zip(&mut self.rates).zip(taken) {
                if let Some(rate) = rate {
                    *mark = gcra.take(rate, amount, at);
                }
            }
            self.out.hold(lease, holding, now, expires);
        }
        Ok(Reservation::new(cost))
    }

    /// Why there is no room, if there is none in one rate or another: the one that takes longest says when.
    fn room_in_rates(&self, amounts: [Option<u64>; DIMENSIONS], now: u64) -> Result<(), Limited> {
        let rates = self.limits.rates();
        let each = rates.iter().zip(&self.rates).zip(amounts).zip(REASONS);
        let full = each.filter_map(|(((rate, gcra), amount), reason)| {
            Some((gcra.check(rate.as_ref()?, amount, now).err()?, reason))
        });
        let longest = full.max_by_key(|(full, _)| match full {
            Full::For(wait) => (0, *wait),
            Full::Always => (1, 0),
        });
        match longest {
            None => Ok(()),
            Some((Full::For(wait), reason)) => {
                Err(Limited::new(reason).with_retry_after(Duration::from_nanos(wait)))
            }
            Some((Full::Always, _)) => Err(Limited::new(LimitReason::NeverFits)),
        }
    }

    /// The call under `lease`, which reserved this, has cost that; what is not known of it stays as reserved. Where the lease
    /// has ended by itself, what was too little is charged all the same, and nothing is given back.
    pub(super) fn settle(&mut self, lease: LeaseId, reserved: &Cost, actual: &Cost, now: Time) {
        if !self.end(lease, amounts(actual), now) {
            let at = self.at(now).as_nanos();
            let each = self.limits.rates().into_iter().zip(&mut self.rates);
            for ((rate, gcra), (reserved, actual)) in
                each.zip(amounts(reserved).into_iter().zip(amounts(actual)))
            {
                if let (Some(rate), Some(actual)) = (rate, actual) {
                    gcra.charge(&rate, actual.saturating_sub(reserved.unwrap_or_default()), at);
                }
            }
        }
    }

    /// The call under `lease` never went out.
    pub(super) fn abandon(&mut self, lease: LeaseId, now: Time) {
        self.end(lease, [Some(0); DIMENSIONS], now);
    }

    /// Ends a lease that is held still, and says whether it was.
    fn end(&mut self, lease: LeaseId, actual: [Option<u64>; DIMENSIONS], now: Time) -> bool {
        let now = self.at(now);
        let Some(Holding { reserved, marks }) = self.out.end(lease, now) else { return false };
        let rates = self.limits.rates();
        let each = rates.iter().zip(&mut self.rates).zip(marks).zip(reserved).zip(actual).enumerate();
        for (dimension, ((((rate, gcra), mark), reserved), actual)) in each {
            let (Some(rate), Some(actual)) = (rate, actual) else { continue };
            let back = gcra.correct(rate, mark, reserved, actual, now.as_nanos());
            if back > 0 {
                let others = self.out.each_mut().filter_map(|holding| holding.marks.get_mut(dimension));
                others.for_each(|other| other.moves_up(mark, back));
            }
        }
        true
    }

    /// All rates are full again and no hint is followed; calls in flight stay so, and have nothing left to give back.
    pub(super) fn reset(&mut self) {
        (self.rates, self.deferred_until) = (Default::default(), Time::ZERO);
        self.out.each_mut().for_each(|holding| holding.marks = Default::default());
    }

    fn at(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    pub(super) fn defer(&mut self, until: Time) {
        self.deferred_until = self.deferred_until.max(until);
    }

    /// The refusal of a key that was asked to be left alone. A time that has passed is forgotten.
    pub(super) fn deferral(&mut self, now: Time) -> Option<Limited> {
        if self.deferred_until <= now {
            self.deferred_until = Time::ZERO;
            return None;
        }
        let rest = self.deferred_until.since(now);
        Some(Limited::new(LimitReason::Deferred).with_retry_after(rest))
    }

    /// It is as if its key had never been heard of.
    pub(super) fn is_idle(&self, now: Time) -> bool {
        let full = |(rate, gcra): (&Option<Rate>, &Gcra)| {
            rate.is_none_or(|rate| gcra.is_full(&rate, now.as_nanos()))
        };
        self.deferred_until <= now
            && self.limits.rates().iter().zip(&self.rates).all(full)
            && !self.out.any(now)
    }
}

/// One when a call may go out that holds nothing.
impl Summary for Account {
    fn word(&self) -> u64 {
        u64::from(self.limits.is_unbounded() && self.deferred_until == Time::ZERO)
    }
}
