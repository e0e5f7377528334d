//! A plain model of a limiter: every amount that was taken is on record, in whole ticks. And the costs and rates of
//! programs.

use circuit_breaker::{Cost, LimitReason};
use proptest::option::weighted;
use proptest::prelude::*;

pub(crate) const REASONS: [LimitReason; 3] =
    [LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];

/// So much in so much time, and how much at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) amount: u64,
    pub(crate) period: u64,
    pub(crate) burst: u64,
}

/// A bucket, the slow and obvious way: every amount that was taken, in the order in which they come back. In ticks, of
/// which a unit of time has `amount` and a unit of cost `period`.
pub(crate) struct Bucket {
    bounds: Bounds,
    taken: Vec<Taken>,
    /// What it would hold if it had known from the start what each call costs.
    hindsight: Vec<(u64, u64, bool)>,
}

struct Taken {
    call: usize,
    left: u128,
}

impl Bucket {
    fn span(&self, cost: u64) -> u128 {
        u128::from(cost) * u128::from(self.bounds.period)
    }

    fn wait(&mut self, time: u64) {
        let mut passed = u128::from(time) * u128::from(self.bounds.amount);
        for taken in &mut self.taken {
            let back = taken.left.min(passed);
            taken.left -= back;
            passed -= back;
        }
    }

    fn backlog(&self) -> u128 {
        self.taken.iter().map(|taken| taken.left).sum()
    }

    /// How long it takes until it fits.
    fn until_fit(&self, cost: Option<u64>) -> u64 {
        let over =
            (self.backlog() + self.span(cost.unwrap_or(1))).saturating_sub(self.span(self.bounds.burst));
        u64::try_from(over.div_ceil(u128::from(self.bounds.amount))).unwrap()
    }

    fn take(&mut self, call: usize, cost: u64, now: u64) {
        self.taken.push(Taken { call, left: self.span(cost) });
        self.hindsight.push((now, cost, true));
        assert_eq!(self.hindsight.len(), self.taken.len());
    }

    fn correct(&mut self, call: usize, reserved: u64, actual: u64, now: u64) {
        let too_much = self.span(reserved.saturating_sub(actual));
        let at = self.taken.iter().position(|taken| taken.call == call).unwrap();
        self.taken[at].left = self.taken[at].left.saturating_sub(too_much);
        self.hindsight[at].1 = actual.min(reserved);
        if actual > reserved {
            // A charge is nobody's to give back.
            self.taken.push(Taken { call: usize::MAX, left: self.span(actual - reserved) });
            self.hindsight.push((now, actual - reserved, false));
        }
    }

    /// In no interval that ends with an admission did more go out than the burst and what comes back meanwhile.
    pub(crate) fn assert_sound(&self) {
        let (mut backlog, mut last) = (0_u128, 0);
        for (at, cost, admitted) in &self.hindsight {
            backlog = backlog.saturating_sub(u128::from(at - last) * u128::from(self.bounds.amount));
            backlog += self.span(*cost);
            last = *at;
            assert!(!admitted || backlog <= self.span(self.bounds.burst), "at {at}");
        }
    }
}

/// A limiter.
pub(crate) struct Model {
    pub(crate) buckets: [Option<Bucket>; 3],
    in_flight: Option<usize>,
    pub(crate) calls: Vec<Call>,
    pub(crate) deferred_until: u64,
    pub(crate) now: u64,
}

pub(crate) struct Call {
    pub(crate) reserved: [Option<u64>; 3],
    pub(crate) expires: u64,
    pub(crate) ended: bool,
}

/// Why, and when to come back.
pub(crate) type Refusal = (LimitReason, Option<u64>);

impl Model {
    pub(crate) fn new(rates: [Option<Bounds>; 3], in_flight: Option<u32>) -> Self {
        let bucket = |bounds: Bounds| Bucket { bounds, taken: Vec::new(), hindsight: Vec::new() };
        Self {
            buckets: rates.map(|bounds| bounds.map(bucket)),
            in_flight: in_flight.map(|calls| calls as usize),
            calls: Vec::new(),
            deferred_until: 0,
            now: 0,
        }
    }

    pub(crate) fn wait(&mut self, time: u64) {
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.wait(time));
        self.now += time;
    }

    fn out(&self) -> usize {
        self.calls.iter().filter(|call| !call.ended && self.now < call.expires).count()
    }

    pub(crate) fn first_expiry(&self) -> u64 {
        let out = self.calls.iter().filter(|call| !call.ended && self.now < call.expires);
        out.map(|call| call.expires).min().unwrap()
    }

    /// Why it is refused; of several rates that take equally long, the last.
    pub(crate) fn refusal(&self, cost: [Option<u64>; 3]) -> Option<Refusal> {
        let rates = || self.buckets.iter().zip(cost).zip(REASONS);
        let rates = || rates().filter_map(|((bucket, cost), reason)| Some((bucket.as_ref()?, cost, reason)));
        if rates().any(|(bucket, cost, _)| cost.unwrap_or(1) > bucket.bounds.burst) {
            return Some((LimitReason::NeverFits, None));
        }
        if self.now < self.deferred_until {
            let waits = rates().map(|(bucket, cost, _)| bucket.until_fit(cost));
            let rest = waits.max().unwrap_or(0).max(self.deferred_until - self.now);
            return Some((LimitReason::Deferred, Some(rest)));
        }
        if self.in_flight.is_some_and(|bound| self.out() >= bound) {
            return Some((LimitReason::InFlight, None));
        }
        let waits = rates().map(|(bucket, cost, reason)| (bucket.until_fit(cost), reason));
        let (wait, reason) = waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)?;
        Some((reason, Some(wait)))
    }

    pub(crate) fn admit(&mut self, cost: [Option<u64>; 3], hold: u64) -> Result<usize, Refusal> {
        if let Some(refusal) = self.refusal(cost) {
            return Err(refusal);
        }
        for (bucket, cost) in self.buckets.iter_mut().zip(cost) {
            if let Some(bucket) = bucket {
                bucket.take(self.calls.len(), cost.unwrap_or(0), self.now);
            }
        }
        self.calls.push(Call { reserved: cost, expires: self.now + hold, ended: false });
        Ok(self.calls.len() - 1)
    }

    pub(crate) fn end(&mut self, call: usize, actual: [Option<u64>; 3]) {
        let Call { reserved, expires, ref mut ended } = self.calls[call];
        *ended = true;
        let late = self.now >= expires;
        for ((bucket, reserved), actual) in self.buckets.iter_mut().zip(reserved).zip(actual) {
            if let (Some(bucket), Some(actual)) = (bucket, actual) {
                let reserved = reserved.unwrap_or(0);
                // Nothing is given back of what has ended by itself.
                let actual = if late { actual.max(reserved) } else { actual };
                bucket.correct(call, reserved, actual, self.now);
            }
        }
    }
}

pub(crate) fn cost() -> impl Strategy<Value = Cost> {
    (0..4_u32, weighted(0.7, 0..14_u64), weighted(0.6, 0..14_u64)).prop_map(|(requests, input, output)| {
        let mut cost = Cost::REQUEST.with_requests(requests);
        (cost.input_tokens, cost.output_tokens) = (input, output);
        cost
    })
}

pub(crate) fn amounts(cost: &Cost) -> [Option<u64>; 3] {
    [Some(cost.requests.into()), cost.input_tokens, cost.output_tokens]
}

pub(crate) fn bounds(most: u64) -> impl Strategy<Value = Bounds> {
    (1..most, 1..2_000_000_u64, 1..most).prop_map(|(amount, period, burst)| Bounds { amount, period, burst })
}
