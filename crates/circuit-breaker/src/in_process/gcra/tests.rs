//! The bucket against its whole history: what went out, as it turned out to cost, and when.

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn n(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

/// One unit comes back each nanosecond.
fn each_nano(burst: u64) -> Run {
    Run::new(Rate::per_second(n(1_000_000_000)), burst)
}

#[derive(Debug, Clone)]
enum Step {
    /// A call asks.
    Take(Option<u64>),
    /// One of the calls that are out, counted from the oldest, has cost this; nothing if it never went out.
    Correct(usize, u64),
    Wait(u64),
}

fn steps(most: u64, longest: u64) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => proptest::option::weighted(0.9, 0..most).prop_map(Step::Take),
        3 => (any::<usize>(), prop_oneof![Just(0), 0..2 * most]).prop_map(|(call, actual)| Step::Correct(call, actual)),
        2 => (0..longest).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..80)
}

/// What was known of the cost at some time.
#[derive(Clone, Copy)]
struct Event {
    at: u64,
    cost: u64,
    /// The bucket agreed; a charge after the fact is not asked for.
    admitted: bool,
}

struct Call {
    mark: Mark,
    reserved: u64,
    event: usize,
}

/// Runs a program. The history is left as it turned out: a call stands in it with its final cost at the time at which
/// it was admitted, and what it cost beyond what was reserved at the time at which that became known.
struct Run {
    rate: Rate,
    burst: u64,
    gcra: Gcra,
    now: u64,
    out: Vec<Call>,
    history: Vec<Event>,
}

impl Run {
    fn new(rate: Rate, burst: u64) -> Self {
        Self {
            rate: rate.burst(n(burst)),
            burst,
            gcra: Gcra::default(),
            now: 0,
            out: Vec::new(),
            history: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Take(amount) => self.take(amount),
            Step::Correct(call, actual) if !self.out.is_empty() => {
                self.correct(call % self.out.len(), actual);
            }
            Step::Correct(..) => {}
            Step::Wait(nanos) => self.now += nanos,
        }
    }

    fn take(&mut self, amount: Option<u64>) {
        let before = self.gcra;
        let answer = self.gcra.check(&self.rate, amount, self.now);
        assert_eq!(self.gcra, before, "asking changes nothing");
        let fits_at = |now| before.check(&self.rate, amount, now).is_ok();
        match answer {
            Ok(()) => {
                let reserved = amount.unwrap_or(0);
                let mark = self.gcra.take(&self.rate, reserved, self.now);
                self.out.push(Call { mark, reserved, event: self.history.len() });
                self.history.push(Event { at: self.now, cost: reserved, admitted: true });
            }
            Err(Full::For(wait)) => {
                // At the end of all time there is nothing to try.
                let Some(then) = self.now.checked_add(wait).filter(|then| *then < u64::MAX) else { return };
                assert!(fits_at(then) && !fits_at(then - 1), "told {wait}");
            }
            Err(Full::Always) => assert!(amount.is_some_and(|amount| amount > self.burst)),
        }
    }

    /// In nanoseconds, how long it takes until all has come back.
    fn backlog(&self) -> u64 {
        match self.gcra.check(&self.rate, Some(self.burst), self.now) {
            Ok(()) => 0,
            Err(Full::For(wait)) => wait,
            Err(Full::Always) => unreachable!(),
        }
    }

    fn correct(&mut self, call: usize, actual: u64) {
        let Call { mark, reserved, event } = self.out.remove(call);
        let back = self.gcra.correct(&self.rate, mark, reserved, actual, self.now);
        self.out.iter_mut().for_each(|later| later.mark.moves_up(mark, back));
        self.history[event].cost = actual.min(reserved);
        if actual > reserved {
            self.history.push(Event { at: self.now, cost: actual - reserved, admitted: false });
        }
    }
}

/// A bucket that knew from the start what each call would cost would have admitted all of them (Lindley's recursion:
/// the backlog after each is what was left of the one before, and itself).
fn assert_within_the_rate(history: &[Event], (period, amount): (u128, u128), burst: u64) {
    // In fractions of a nanosecond, so that nothing is rounded.
    let (mut backlog, mut last) = (0_u128, 0);
    for (index, event) in history.iter().enumerate() {
        let passed = u128::from(event.at - last) * amount;
        backlog = backlog.saturating_sub(passed) + u128::from(event.cost) * period;
        last = event.at;
        let allowed = u128::from(burst) * period;
        assert!(
            !event.admitted || backlog <= allowed,
            "event {index} at {}: {backlog} > {allowed}",
            event.at
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Whatever is settled, in whichever order and however late: in every interval that ends with an admission, no
    /// more went out than the burst and what comes back in that time.
    #[test]
    fn never_more_than_burst_and_rate(burst in 1..30_u64, steps in steps(35, 20)) {
        let mut run = each_nano(burst);
        for step in &steps {
            run.step(step);
        }
        assert_within_the_rate(&run.history, (1, 1), burst);
    }

    /// Where a unit takes no whole number of nanoseconds, and many units may take one.
    #[test]
    fn nothing_is_lost_to_rounding(
        (amount, period) in (1..2000_u64, 1..2000_u64),
        burst in 1..50_u64,
        steps in steps(60, 300),
    ) {
        let mut run = Run::new(Rate::new(n(amount), Duration::from_nanos(period)), burst);
        for step in &steps {
            run.step(step);
        }
        assert_within_the_rate(&run.history, (period.into(), amount.into()), burst);
    }

    /// Calls that never went out leave no trace, in whichever order they are given back, as long as no time passes.
    #[test]
    fn what_is_given_back_at_once_was_never_taken(order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let mut run = each_nano(80);
        run.take(Some(1));
        let before = run.gcra;
        let mut calls: Vec<_> = (0..8_u64).map(|cost| (run.gcra.take(&run.rate, cost, 0), cost)).collect();
        for call in order {
            let (mark, cost) = calls[call];
            let back = run.gcra.correct(&run.rate, mark, cost, 0, 0);
            for (later, _) in &mut calls {
                later.moves_up(mark, back);
            }
        }
        assert_eq!(run.gcra, before);
    }

    /// Nobody is starved: a bucket that is left alone until all of it has come back takes a whole burst, and one that
    /// never owed more than the burst does so after the time of the burst.
    #[test]
    fn what_is_left_alone_is_full(burst in 1..30_u64, steps in steps(31, 20)) {
        let mut run = each_nano(burst);
        let mut charges = 0;
        for step in &steps {
            run.step(step);
            charges = run.history.iter().filter(|event| !event.admitted).map(|event| event.cost).sum();
        }
        assert!(run.backlog() <= burst + charges);
        run.now += burst + charges;
        assert_eq!(run.backlog(), 0);
    }

    /// No number is too large.
    #[test]
    fn nothing_overflows(
        amounts in (large(), large()),
        period in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), large().prop_map(Duration::from_nanos)],
        costs in proptest::collection::vec((large(), 0..=u64::MAX, large()), 1..20),
    ) {
        let rate = Rate::new(n(amounts.0.max(1)), period).burst(n(amounts.1.max(1)));
        let mut gcra = Gcra::default();
        for (cost, actual, now) in costs {
            let fits = gcra.check(&rate, Some(cost), now);
            assert_eq!(fits == Err(Full::Always), cost > amounts.1.max(1));
            let mark = gcra.take(&rate, cost, now);
            gcra.correct(&rate, mark, cost, actual, now);
        }
    }
}

/// Numbers of all sizes, the largest above all.
fn large() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), 0..=u64::MAX, (0..64_u32).prop_map(|bits| 1 << bits)]
}

/// What is given back never undoes what has come back by itself, and no one else's cost.
#[test]
fn what_has_come_back_is_not_given_back_again() {
    // Reserved at 0, found at this time to have cost nothing; what is then still on the way of a bucket of 20.
    for (given_back_at, backlog) in [(0, 0), (4, 0), (10, 0), (30, 0)] {
        let mut run = each_nano(20);
        run.take(Some(10));
        run.now = given_back_at;
        run.correct(0, 0);
        assert_eq!(run.backlog(), backlog, "alone, at {given_back_at}");
    }
    // The same with another call of 10 right behind it, which comes back only after it.
    for (given_back_at, backlog) in [(0, 10), (4, 10), (10, 10), (15, 5)] {
        let mut run = each_nano(20);
        run.take(Some(10));
        run.take(Some(10));
        run.now = given_back_at;
        run.correct(0, 0);
        assert_eq!(run.backlog(), backlog, "before another, at {given_back_at}");
    }
    // Full again long ago, and then emptied by another: that one's cost is not given back to the first.
    let mut run = each_nano(10);
    run.take(Some(10));
    run.now = 10;
    run.take(Some(10));
    run.correct(0, 0);
    assert_eq!(run.gcra.check(&run.rate, Some(1), 10), Err(Full::For(1)));
}

/// The last that was taken is the first that is given back, as where calls are nested.
#[test]
fn a_return_does_not_cost_those_before_it_theirs() {
    let mut run = each_nano(20);
    run.take(Some(10));
    run.take(Some(10));
    run.correct(1, 0);
    run.correct(0, 0);
    assert_eq!(run.backlog(), 0);
}

#[test]
fn a_debt_is_paid_off_before_anything_fits() {
    let mut run = each_nano(10);
    run.take(Some(4));
    run.correct(0, 25);
    for (amount, wait) in [(Some(0), 15), (None, 16), (Some(1), 16), (Some(10), 25)] {
        assert_eq!(run.gcra.check(&run.rate, amount, 0), Err(Full::For(wait)), "{amount:?}");
    }
    assert_eq!(run.gcra.check(&run.rate, Some(11), 0), Err(Full::Always), "also while it waits");
}

#[test]
fn a_burst_goes_out_at_once_whatever_the_numbers() {
    // How many units of a bucket may go out at once, one by one, out of 100 that ask.
    let at_once = |rate: Rate, burst: u64| {
        let mut run = Run::new(rate, burst);
        (0..100).for_each(|_| run.take(Some(1)));
        run.out.len()
    };
    let never = Duration::MAX;
    let thousand_years = Duration::from_secs(1000 * 365 * 24 * 3600);
    for (rate, burst, expected) in [
        (Rate::new(n(1), never), 1, 1),
        (Rate::new(n(10), never), 10, 10),
        (Rate::new(n(10), never), 3, 3),
        (Rate::new(n(1), never), 10, 10),
        (Rate::new(n(10), thousand_years), 10, 10),
        (Rate::per_minute(n(1)), u64::MAX, 100),
        (Rate::new(n(u64::MAX), never), u64::MAX, 100),
        (Rate::new(n(1), Duration::ZERO), 1, 100),
        (Rate::per_second(n(u64::MAX)), 1, 1),
        (Rate::per_second(n(u64::MAX)), u64::MAX, 100),
        (Rate::per_second(n(3)), 3, 3),
        (Rate::per_minute(n(7)), 7, 7),
        (Rate::per_minute(n(70)), 69, 69),
    ] {
        assert_eq!(at_once(rate, burst), expected, "{rate:?}, {burst} at once");
    }
    let spent = {
        let mut run = Run::new(Rate::new(n(10), never), 10);
        run.take(Some(10));
        run.gcra.check(&run.rate, Some(1), 365 * 24 * 3600 * 1_000_000_000)
    };
    assert!(matches!(spent, Err(Full::For(_))), "a year later: {spent:?}");
}
