//! Random programs against a plain model of a limiter: the same answers, to the nanosecond, step by step.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Cost, InProcessLimiter, LimitReason, Limited, Limits, LocalQuota, LocalSlot, Quota, Rate, Slot,
};
use proptest::option::weighted;
use proptest::prelude::*;
use tokio::time::advance;

const REASONS: [LimitReason; 3] =
    [LimitReason::RequestRate, LimitReason::InputTokenRate, LimitReason::OutputTokenRate];

/// So much in so many nanoseconds, and how much at once.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    amount: u64,
    period: u64,
    burst: u64,
}

/// A bucket, the slow and obvious way: every amount that was taken, in the order in which they come back. In ticks, of
/// which a nanosecond has `amount` and a unit `period`.
struct Bucket {
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

    fn wait(&mut self, nanos: u64) {
        let mut passed = u128::from(nanos) * u128::from(self.bounds.amount);
        for taken in &mut self.taken {
            let back = taken.left.min(passed);
            taken.left -= back;
            passed -= back;
        }
    }

    fn backlog(&self) -> u128 {
        self.taken.iter().map(|taken| taken.left).sum()
    }

    /// In nanoseconds, how long it takes until it fits.
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
    fn assert_sound(&self) {
        let (mut backlog, mut last) = (0_u128, 0);
        for (at, cost, admitted) in &self.hindsight {
            backlog = backlog.saturating_sub(u128::from(at - last) * u128::from(self.bounds.amount));
            backlog += self.span(*cost);
            last = *at;
            assert!(!admitted || backlog <= self.span(self.bounds.burst), "at {at}");
        }
    }
}

struct Model {
    buckets: [Option<Bucket>; 3],
    in_flight: Option<usize>,
    calls: Vec<Call>,
    deferred_until: u64,
    now: u64,
}

struct Call {
    reserved: [Option<u64>; 3],
    expires: u64,
    ended: bool,
}

type Refusal = (LimitReason, Option<Duration>);

impl Model {
    fn new(setup: &Setup) -> Self {
        let bucket = |bounds: Bounds| Bucket { bounds, taken: Vec::new(), hindsight: Vec::new() };
        Self {
            buckets: setup.rates.map(|bounds| bounds.map(bucket)),
            in_flight: setup.in_flight.map(|calls| calls as usize),
            calls: Vec::new(),
            deferred_until: 0,
            now: 0,
        }
    }

    fn wait(&mut self, nanos: u64) {
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.wait(nanos));
        self.now += nanos;
    }

    fn out(&self) -> usize {
        self.calls.iter().filter(|call| !call.ended && self.now < call.expires).count()
    }

    fn first_expiry(&self) -> u64 {
        let out = self.calls.iter().filter(|call| !call.ended && self.now < call.expires);
        out.map(|call| call.expires).min().unwrap()
    }

    /// Why it is refused; of several rates that take equally long, the last.
    fn refusal(&self, cost: [Option<u64>; 3]) -> Option<Refusal> {
        let rates = || self.buckets.iter().zip(cost).zip(REASONS);
        let rates = || rates().filter_map(|((bucket, cost), reason)| Some((bucket.as_ref()?, cost, reason)));
        if rates().any(|(bucket, cost, _)| cost.unwrap_or(1) > bucket.bounds.burst) {
            return Some((LimitReason::NeverFits, None));
        }
        if self.now < self.deferred_until {
            let waits = rates().map(|(bucket, cost, _)| bucket.until_fit(cost));
            let rest = waits.max().unwrap_or(0).max(self.deferred_until - self.now);
            return Some((LimitReason::Deferred, Some(Duration::from_nanos(rest))));
        }
        if self.in_flight.is_some_and(|bound| self.out() >= bound) {
            return Some((LimitReason::InFlight, None));
        }
        let waits = rates().map(|(bucket, cost, reason)| (bucket.until_fit(cost), reason));
        let (wait, reason) = waits.max_by_key(|(wait, _)| *wait).filter(|(wait, _)| *wait > 0)?;
        Some((reason, Some(Duration::from_nanos(wait))))
    }

    fn admit(&mut self, cost: [Option<u64>; 3], hold: u64) -> Result<usize, Refusal> {
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

    fn end(&mut self, call: usize, actual: [Option<u64>; 3]) {
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

#[derive(Debug, Clone)]
struct Setup {
    rates: [Option<Bounds>; 3],
    in_flight: Option<u32>,
    /// What the estimator makes of unknown output.
    estimate: Option<u64>,
    /// Whether somebody holds on to the key.
    handle: bool,
}

impl Setup {
    fn limiter(&self) -> InProcessLimiter {
        let rate = |bounds: Bounds| {
            let n = |number| NonZeroU64::new(number).unwrap();
            Rate::new(n(bounds.amount), Duration::from_nanos(bounds.period)).burst(n(bounds.burst))
        };
        let mut limits = Limits::default();
        let [requests, input, output] = self.rates.map(|bounds| bounds.map(rate));
        (limits.requests, limits.input_tokens, limits.output_tokens) = (requests, input, output);
        limits.in_flight = self.in_flight.and_then(NonZeroU32::new);
        let limiter = InProcessLimiter::new(limits).max_hold(Duration::from_nanos(MAX_HOLD));
        match self.estimate {
            Some(tokens) => limiter.estimator(move |key, cost| {
                assert_eq!(key, "key");
                cost.with_output_tokens(cost.output_tokens.unwrap_or(tokens))
            }),
            None => limiter,
        }
    }
}

const MAX_HOLD: u64 = 3_000_000;

#[derive(Debug, Clone)]
enum Step {
    Admit { cost: Cost, hold: Option<u64>, by_handle: bool },
    End { call: usize, how: How },
    Defer { nanos: u64, by_handle: bool },
    Wait(u64),
}

#[derive(Debug, Clone)]
enum How {
    Settle(Cost),
    DropDispatched,
    Drop,
    Leak,
}

fn cost() -> impl Strategy<Value = Cost> {
    (0..4_u32, weighted(0.7, 0..14_u64), weighted(0.6, 0..14_u64)).prop_map(|(requests, input, output)| {
        let mut cost = Cost::REQUEST.with_requests(requests);
        (cost.input_tokens, cost.output_tokens) = (input, output);
        cost
    })
}

fn amounts(cost: &Cost) -> [Option<u64>; 3] {
    [Some(cost.requests.into()), cost.input_tokens, cost.output_tokens]
}

fn bounds(most: u64) -> impl Strategy<Value = Bounds> {
    (1..most, 1..2_000_000_u64, 1..most).prop_map(|(amount, period, burst)| Bounds { amount, period, burst })
}

fn setup() -> impl Strategy<Value = Setup> {
    let rates = (weighted(0.6, bounds(9)), weighted(0.6, bounds(40)), weighted(0.6, bounds(40)));
    let rest = (weighted(0.5, 1..4_u32), weighted(0.5, 0..9_u64), any::<bool>());
    (rates, rest).prop_map(|((requests, input, output), (in_flight, estimate, handle))| Setup {
        rates: [requests, input, output],
        in_flight,
        estimate,
        handle,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        4 => cost().prop_map(How::Settle),
        2 => Just(How::DropDispatched),
        2 => Just(How::Drop),
        1 => Just(How::Leak),
    ];
    let hold = weighted(0.3, prop_oneof![1..MAX_HOLD, Just(u64::MAX)]);
    prop_oneof![
        6 => (cost(), hold, any::<bool>())
            .prop_map(|(cost, hold, by_handle)| Step::Admit { cost, hold, by_handle }),
        4 => (any::<usize>(), how).prop_map(|(call, how)| Step::End { call, how }),
        1 => (0..600_000_u64, any::<bool>()).prop_map(|(nanos, by_handle)| Step::Defer { nanos, by_handle }),
        3 => prop_oneof![0..10_u64, 0..400_000_u64, 0..MAX_HOLD].prop_map(Step::Wait),
    ]
}

enum Held<'a> {
    Slot(Slot),
    Local(LocalSlot<'a>),
}

impl Held<'_> {
    fn cost(&self) -> Cost {
        match self {
            Self::Slot(slot) => *slot.cost(),
            Self::Local(slot) => *slot.cost(),
        }
    }

    fn end(mut self, how: &How) {
        match (&mut self, how) {
            (Self::Slot(slot), How::DropDispatched) => slot.dispatched(),
            (Self::Local(slot), How::DropDispatched) => slot.dispatched(),
            _ => {}
        }
        match (self, how) {
            (Self::Slot(slot), How::Settle(actual)) => slot.settle(actual),
            (Self::Local(slot), How::Settle(actual)) => slot.settle(actual),
            (held, How::Leak) => std::mem::forget(held),
            (held, How::Drop | How::DropDispatched) => drop(held),
        }
    }
}

struct Run<'a> {
    quota: Quota,
    handle: Option<&'a LocalQuota>,
    model: Model,
    held: Vec<(usize, Held<'a>)>,
}

impl<'a> Run<'a> {
    async fn step(&mut self, setup: &Setup, step: &Step) {
        match step {
            Step::Admit { cost, hold, by_handle } => self.admit(setup, cost, *hold, *by_handle).await,
            Step::End { call, how } if !self.held.is_empty() => {
                let (call, held) = self.held.swap_remove(call % self.held.len());
                let reserved = self.model.calls[call].reserved;
                match how {
                    How::Settle(actual) => self.model.end(call, amounts(actual)),
                    How::DropDispatched => self.model.end(call, reserved),
                    How::Drop => self.model.end(call, [Some(0); 3]),
                    // It ends by itself, and nobody else does it.
                    How::Leak => {}
                }
                held.end(how);
            }
            Step::End { .. } => {}
            Step::Defer { nanos, by_handle } => {
                self.model.deferred_until = self.model.deferred_until.max(self.model.now + nanos);
                match self.handle.filter(|_| *by_handle) {
                    Some(handle) => handle.defer(Duration::from_nanos(*nanos)),
                    None => self.quota.defer(Duration::from_nanos(*nanos)),
                }
            }
            Step::Wait(nanos) => self.wait(*nanos).await,
        }
    }

    async fn wait(&mut self, nanos: u64) {
        self.model.wait(nanos);
        advance(Duration::from_nanos(nanos)).await;
    }

    async fn admit(&mut self, setup: &Setup, cost: &Cost, hold: Option<u64>, by_handle: bool) {
        let bounded = setup.in_flight.is_some() || setup.rates.iter().any(Option::is_some);
        let mut estimated = *cost;
        if bounded && estimated.output_tokens.is_none() {
            estimated.output_tokens = setup.estimate;
        }
        let asked = hold.map(|nanos| nanos.min(24 * 3600 * 1_000_000_000));
        // No hold is shorter than a millisecond.
        let expected = self.model.admit(amounts(&estimated), asked.unwrap_or(MAX_HOLD).max(1_000_000));
        let real = self.ask(cost, hold, by_handle).await;
        match (real, expected) {
            (Ok(slot), Ok(call)) => {
                assert_eq!(slot.cost(), estimated);
                self.held.push((call, slot));
            }
            (Err(limited), Err((reason, retry_after))) => {
                assert_eq!((limited.reason, limited.retry_after), (reason, retry_after));
            }
            (real, expected) => panic!("{:?}, expected {expected:?}", real.map(|slot| slot.cost())),
        }
    }

    async fn ask(&self, cost: &Cost, hold: Option<u64>, by_handle: bool) -> Result<Held<'a>, Limited> {
        let hold = hold.map(Duration::from_nanos);
        match (self.handle.filter(|_| by_handle), hold) {
            (Some(handle), None) => handle.admit(*cost).map(Held::Local),
            (Some(handle), Some(hold)) => handle.admit_for(*cost, hold).map(Held::Local),
            (None, None) => self.quota.admit(*cost).await.map(Held::Slot),
            (None, Some(hold)) => self.quota.admit_for(*cost, hold).await.map(Held::Slot),
        }
    }

    /// Nobody is starved: in the end everything fits again, and nothing before its time.
    async fn come_to_rest(&mut self, setup: &Setup) {
        let burst = |at: usize| setup.rates[at].map(|bounds: Bounds| bounds.burst);
        let mut all = Cost::REQUEST.with_requests(burst(0).map_or(1, |most| u32::try_from(most).unwrap()));
        (all.input_tokens, all.output_tokens) = (burst(1).or(Some(1)), burst(2).or(Some(1)));
        while let Some((reason, retry_after)) = self.model.refusal(amounts(&all)) {
            self.admit(setup, &all, None, false).await;
            if let Some(wait) = retry_after {
                let wait = u64::try_from(wait.as_nanos()).unwrap();
                self.wait(wait - 1).await;
                // A hint may be over by then, and it is a rate that has no room, or the calls in flight.
                let (still, rest) = self.model.refusal(amounts(&all)).unwrap();
                assert!(rest == Some(Duration::from_nanos(1)) || still == LimitReason::InFlight, "{still:?}");
                self.admit(setup, &all, None, true).await;
                self.wait(1).await;
                continue;
            }
            assert_eq!(reason, LimitReason::InFlight);
            match self.held.pop() {
                Some((call, slot)) => {
                    self.model.end(call, self.model.calls[call].reserved);
                    slot.end(&How::DropDispatched);
                }
                // The others were leaked.
                None => self.wait(self.model.first_expiry() - self.model.now).await,
            }
        }
        self.admit(setup, &all, None, false).await;
    }
}

async fn run(setup: &Setup, steps: &[Step]) {
    let limiter = Arc::new(setup.limiter());
    let handle = setup.handle.then(|| limiter.quota("key"));
    let mut run = Run {
        quota: Quota::new(limiter.clone(), "key"),
        handle: handle.as_ref(),
        model: Model::new(setup),
        held: Vec::new(),
    };
    for step in steps {
        run.step(setup, step).await;
    }
    run.come_to_rest(setup).await;
    run.model.buckets.iter().flatten().for_each(Bucket::assert_sound);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn random_programs_agree_with_the_model(setup in setup(), steps in proptest::collection::vec(step(), 1..120)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(&setup, &steps));
    }
}
