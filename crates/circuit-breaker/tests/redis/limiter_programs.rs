//! Random programs of two workers on a real server, against the plain model of a limiter: the same decisions, step by
//! step, and the same waits to a few microseconds.

#[path = "../common/rates.rs"]
mod rates;

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use circuit_breaker::{
    Ask, Cost, InProcessLimiter, LeaseId, LimitReason, Limited, Limiter, Limits, Rate, RedisLimiter,
    RedisStore, Reservation,
};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use redis::from_redis_value;
use tokio::time::Instant;

use super::programs_bench::{Bench, Sent, TODAY, programs};
use rates::{Bounds, Bucket, Model, REASONS, amounts, bounds, cost};

const KEY: &str = "key";
const WORKERS: usize = 2;
/// In microseconds, as all times here.
const MAX_HOLD: u64 = 3_000_000;
/// Waits are worked out in floating point.
const ABOUT: u64 = 2;

#[derive(Debug, Clone)]
struct Setup {
    rates: [Option<Bounds>; 3],
    in_flight: Option<u32>,
    /// What the estimator makes of unknown output.
    estimate: Option<u64>,
}

#[derive(Debug, Clone)]
enum Step {
    Ask {
        worker: usize,
        cost: Cost,
        hold: Option<u64>,
    },
    /// With the lease of a call that is out.
    AskAgain {
        call: usize,
    },
    /// Abandoned without an answer, and only then does the question arrive.
    AskTooLate {
        worker: usize,
        cost: Cost,
    },
    End {
        call: usize,
        how: How,
    },
    Defer {
        worker: usize,
        time: u64,
    },
    /// A report that has arrived arrives again.
    Again {
        which: usize,
    },
    Wait(u64),
}

#[derive(Debug, Clone)]
enum How {
    Settle(Cost),
    SettleAsReserved,
    Abandon { answered: bool },
    Leak,
}

fn setup() -> impl Strategy<Value = Setup> {
    // With longer periods a model's ticks are smaller than what is exact there.
    let bounds =
        |most| bounds(most).prop_map(|bounds| Bounds { period: bounds.period.div_ceil(8), ..bounds });
    let rates = (weighted(0.6, bounds(9)), weighted(0.6, bounds(40)), weighted(0.6, bounds(40)));
    let rest = (weighted(0.5, 1..4_u32), weighted(0.5, 0..9_u64));
    let setups = (rates, rest).prop_map(|((requests, input, output), (in_flight, estimate))| Setup {
        rates: [requests, input, output],
        in_flight,
        estimate,
    });
    // One without limits is not asked for each call.
    setups.prop_filter("limits", |setup| setup.in_flight.is_some() || setup.rates.iter().any(Option::is_some))
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..WORKERS;
    let how = prop_oneof![
        4 => cost().prop_map(How::Settle),
        2 => Just(How::SettleAsReserved),
        2 => any::<bool>().prop_map(|answered| How::Abandon { answered }),
        1 => Just(How::Leak),
    ];
    let hold = weighted(0.3, prop_oneof![1..MAX_HOLD, Just(u64::MAX)]);
    prop_oneof![
        12 => (worker(), cost(), hold).prop_map(|(worker, cost, hold)| Step::Ask { worker, cost, hold }),
        1 => any::<usize>().prop_map(|call| Step::AskAgain { call }),
        1 => (worker(), cost()).prop_map(|(worker, cost)| Step::AskTooLate { worker, cost }),
        8 => (any::<usize>(), how).prop_map(|(call, how)| Step::End { call, how }),
        2 => (worker(), 0..600_000_u64).prop_map(|(worker, time)| Step::Defer { worker, time }),
        2 => any::<usize>().prop_map(|which| Step::Again { which }),
        6 => prop_oneof![0..10_u64, 0..400_000_u64, 0..MAX_HOLD].prop_map(Step::Wait),
    ]
}

impl Setup {
    fn limiter(&self, store: &RedisStore) -> RedisLimiter {
        let rate = |bounds: Bounds| {
            let n = |number| NonZeroU64::new(number).unwrap();
            Rate::new(n(bounds.amount), Duration::from_micros(bounds.period)).burst(n(bounds.burst))
        };
        let mut limits = Limits::default();
        let [requests, input, output] = self.rates.map(|bounds| bounds.map(rate));
        (limits.requests, limits.input_tokens, limits.output_tokens) = (requests, input, output);
        limits.in_flight = self.in_flight.and_then(NonZeroU32::new);
        let local = InProcessLimiter::new(limits).max_hold(Duration::from_micros(MAX_HOLD));
        let local = match self.estimate {
            Some(tokens) => {
                local.estimator(move |_, cost| cost.with_output_tokens(cost.output_tokens.unwrap_or(tokens)))
            }
            None => local,
        };
        RedisLimiter::new(store, local)
    }

    fn estimated(&self, cost: &Cost) -> Cost {
        match self.estimate.filter(|_| cost.output_tokens.is_none()) {
            Some(tokens) => cost.with_output_tokens(tokens),
            None => *cost,
        }
    }
}

struct Held {
    call: usize,
    worker: usize,
    lease: LeaseId,
    asked: Cost,
    reservation: Reservation,
}

struct Run<'a> {
    bench: &'a Bench,
    setup: &'a Setup,
    workers: Vec<RedisLimiter>,
    model: Model,
    held: Vec<Held>,
    sent: Vec<Sent>,
    start: u64,
}

impl Run<'_> {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Ask { worker, cost, hold } => _ = self.ask(worker, cost, hold).await,
            Step::AskAgain { call } if !self.held.is_empty() => {
                let at = call % self.held.len();
                self.ask_again(at).await;
            }
            Step::AskTooLate { worker, cost } => {
                let (lease, limiter) = (LeaseId::new(), &self.workers[worker]);
                limiter.abandon(KEY, lease, None);
                limiter.flush().await;
                limiter.acquire(KEY, &Ask::new(lease), &cost).await.unwrap_err();
            }
            Step::End { call, how } if !self.held.is_empty() => {
                let held = self.held.swap_remove(call % self.held.len());
                self.end(held, &how).await;
            }
            Step::AskAgain { .. } | Step::End { .. } => {}
            Step::Defer { worker, time } => self.defer(worker, time).await,
            Step::Again { which } => {
                if !self.sent.is_empty() {
                    self.bench.again(&self.sent[which % self.sent.len()]).await;
                }
            }
            Step::Wait(time) => self.wait(time),
        }
        // A question is not repeated whose answer was heard; what is longer tells of an end, what is shorter of a hint.
        self.sent.extend(self.bench.sent().await.into_iter().filter(|sent| sent.arguments() != 17));
    }

    fn wait(&mut self, time: u64) {
        self.model.wait(time);
        self.bench.pass(Duration::from_micros(time));
    }

    async fn ask(&mut self, worker: usize, asked: Cost, hold: Option<u64>) -> Result<(), Limited> {
        let lease = LeaseId::new();
        let mut ask = Ask::new(lease);
        ask.hold = hold.map(Duration::from_micros);
        assert_eq!(self.workers[worker].try_acquire(KEY, &asked), None);
        let real = self.workers[worker].acquire(KEY, &ask, &asked).await;
        let (call, reservation) = self.compare(&asked, hold, real)?;
        self.held.push(Held { call, worker, lease, asked, reservation });
        Ok(())
    }

    fn compare(
        &mut self,
        asked: &Cost,
        hold: Option<u64>,
        real: Result<Reservation, Limited>,
    ) -> Result<(usize, Reservation), Limited> {
        let estimated = self.setup.estimated(asked);
        // No hold is shorter than a millisecond, nor longer than a day.
        let hold = hold.unwrap_or(MAX_HOLD).clamp(1000, 24 * 3600 * 1_000_000);
        let expected = self.model.admit(amounts(&estimated), hold);
        match (real, expected) {
            (Ok(reservation), Ok(call)) => {
                assert_eq!((reservation.cost, reservation.degraded), (estimated, false));
                Ok((call, reservation))
            }
            (Err(limited), Err((reason, retry_after))) => {
                let micros = limited.retry_after.map(|wait| u64::try_from(wait.as_micros()).unwrap());
                let close = match (micros, retry_after) {
                    (Some(real), Some(model)) => real.abs_diff(model) <= ABOUT,
                    (real, model) => real == model,
                };
                assert!(close, "{limited:?}, expected {retry_after:?}");
                // Of rates that take equally long, it may be either.
                let either = REASONS.contains(&reason) && REASONS.contains(&limited.reason);
                assert!(limited.reason == reason || either, "{limited:?}, expected {reason:?}");
                assert!(!limited.degraded);
                Err(limited)
            }
            (real, expected) => panic!("{real:?}, expected {expected:?}"),
        }
    }

    async fn ask_again(&mut self, at: usize) {
        let Held { call, worker, lease, asked, reservation } = self.held[at];
        let again = self.workers[worker].acquire(KEY, &Ask::new(lease), &asked).await;
        if self.model.now < self.model.calls[call].expires {
            assert_eq!(again, Ok(reservation), "it is out already");
            return;
        }
        let asked_anew = self.compare(&asked, None, again);
        self.held.swap_remove(at);
        if let Ok((call, reservation)) = asked_anew {
            self.held.push(Held { call, worker, lease, asked, reservation });
        }
    }

    async fn end(&mut self, held: Held, how: &How) {
        let Held { call, worker, lease, reservation, .. } = held;
        let limiter = &self.workers[worker];
        match how {
            How::Settle(actual) => {
                limiter.settle(KEY, lease, reservation, actual);
                self.model.end(call, amounts(actual));
            }
            How::SettleAsReserved => {
                limiter.settle(KEY, lease, reservation, &reservation.cost);
                self.model.end(call, amounts(&reservation.cost));
            }
            How::Abandon { answered } => {
                for _ in 0..2 {
                    limiter.abandon(KEY, lease, answered.then_some(reservation));
                }
                self.model.end(call, [Some(0); 3]);
            }
            // It ends by itself, and nobody else does it.
            How::Leak => {}
        }
        limiter.flush().await;
    }

    async fn defer(&mut self, worker: usize, time: u64) {
        let before = Instant::now();
        self.workers[worker].defer(KEY, Duration::from_micros(time));
        self.workers[worker].flush().await;
        // It counts from when it was told, in real time.
        let late = u64::try_from(before.elapsed().as_micros()).unwrap() + 1;
        let names: Vec<String> = from_redis_value(self.bench.run(&["KEYS", "*:l"]).await).unwrap();
        let Some(name) = names.first() else { return };
        let until: Option<u64> = from_redis_value(self.bench.run(&["HGET", name, "d"]).await).unwrap();
        let until = until.map_or(0, |until| until.saturating_sub(self.start));
        let latest = (self.model.now + time).max(self.model.deferred_until);
        let earliest = (self.model.now + time).saturating_sub(late).max(self.model.deferred_until);
        assert!((earliest..=latest).contains(&until), "{until}, expected {earliest} to {latest}");
        self.model.deferred_until = until;
    }

    /// Nobody is starved: whoever comes when told to gets through, as soon as nothing else is out.
    async fn come_to_rest(&mut self) {
        let burst = |at: usize| self.setup.rates[at].map(|bounds: Bounds| bounds.burst);
        let mut all = Cost::REQUEST.with_requests(burst(0).map_or(1, |most| u32::try_from(most).unwrap()));
        (all.input_tokens, all.output_tokens) = (burst(1).or(Some(1)), burst(2).or(Some(1)));
        for attempt in 0.. {
            assert!(attempt < 100, "it does not come to rest");
            let Err(Limited { reason, retry_after, .. }) = self.ask(0, all, None).await else { break };
            match (retry_after, self.held.pop()) {
                (Some(wait), held) => {
                    self.held.extend(held);
                    // And whoever comes too early does not.
                    let wait = u64::try_from(wait.as_micros()).unwrap();
                    self.wait(wait.saturating_sub(ABOUT + 1));
                    if self.ask(0, all, None).await.is_ok() {
                        break;
                    }
                    self.wait(wait.min(ABOUT + 1));
                }
                (None, Some(held)) => self.end(held, &How::SettleAsReserved).await,
                (None, None) => {
                    assert_eq!(reason, LimitReason::InFlight);
                    self.wait(self.model.first_expiry() - self.model.now);
                }
            }
        }
    }
}

async fn run(bench: &Bench, stores: &[RedisStore], setup: &Setup, steps: Vec<Step>) {
    bench.forget_all().await;
    bench.set(TODAY);
    let mut run = Run {
        bench,
        setup,
        workers: stores.iter().map(|store| setup.limiter(store)).collect(),
        model: Model::new(setup.rates, setup.in_flight),
        held: Vec::new(),
        sent: Vec::new(),
        start: bench.now(),
    };
    for step in steps {
        run.step(step).await;
    }
    run.come_to_rest().await;
    run.model.buckets.iter().flatten().for_each(Bucket::assert_sound);
    bench.entries().await;
    assert_eq!(bench.events(), []);
    assert_eq!(bench.errors().await, 0);
}

#[test]
fn random_programs_of_two_limiters_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::start());
    let stores = [(); WORKERS].map(|()| bench.store("programs"));
    let program = (setup(), proptest::collection::vec(step(), 1..120));
    let result = TestRunner::new(programs(120)).run(&program, |(setup, steps)| {
        runtime.block_on(run(&bench, &stores, &setup, steps));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// What is given back of one call brings those after it forward, and so there is less of them left to give back.
#[tokio::test]
async fn what_came_back_is_not_given_back() {
    let bench = Bench::start().await;
    let number = |number| NonZeroU64::new(number).unwrap();
    let rate = Rate::new(number(1), Duration::from_secs(1)).burst(number(20));
    let limits = Limits::default().input_tokens(rate);
    let limiter = RedisLimiter::new(&bench.store("programs"), InProcessLimiter::new(limits));
    let cost = |tokens| Cost::REQUEST.with_input_tokens(tokens);
    let take = async |tokens| {
        let ask = Ask::new(LeaseId::new());
        limiter.acquire(KEY, &ask, &cost(tokens)).await.map(|reservation| (ask.lease, reservation))
    };
    let (first, second) = (take(6).await.unwrap(), take(6).await.unwrap());
    take(6).await.unwrap();
    limiter.settle(KEY, first.0, first.1, &cost(0));
    limiter.flush().await;
    bench.pass(Duration::from_secs(4));
    // Of the six that moved up to the front, four have come back by themselves.
    limiter.settle(KEY, second.0, second.1, &cost(0));
    limiter.flush().await;
    assert_eq!(take(15).await.unwrap_err().retry_after, Some(Duration::from_secs(1)));
    take(14).await.unwrap();
}
