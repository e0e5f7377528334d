//! Random programs against a plain model of a limiter: the same answers, to the nanosecond, step by step.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "common/rates.rs"]
mod rates;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Cost, InProcessLimiter, LimitReason, Limited, Limits, LocalQuota, LocalSlot, Quota, Rate, Slot,
};
use proptest::option::weighted;
use proptest::prelude::*;
use rates::{Bounds, Bucket, Model, amounts, bounds, cost};
use tokio::time::advance;

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
                let retry_after = retry_after.map(Duration::from_nanos);
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
                self.wait(wait - 1).await;
                // A hint may be over by then, and it is a rate that has no room, or the calls in flight.
                let (still, rest) = self.model.refusal(amounts(&all)).unwrap();
                assert!(rest == Some(1) || still == LimitReason::InFlight, "{still:?}");
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
        model: Model::new(setup.rates, setup.in_flight),
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
