//! The state machine as tables: at which second, what happens, what is answered, where it moves.

mod consecutive;
mod extremes;
mod modes;
mod rates;
mod reopening;

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::*;
use crate::settings::{Percent, Rates, Window};

/// What happens, to the call with this number where there is one.
#[derive(Clone, Copy, Debug)]
enum Do {
    Ask(u128),
    Succeed(u128),
    Fail(u128),
    /// Succeeds, after so many milliseconds.
    Last(u128, u64),
    Neutral(u128),
    Abandon(u128),
    /// A call is admitted, works, and is over.
    Works,
    /// A call is admitted, fails, and is over.
    Breaks,
    /// A call is admitted, works, took so many milliseconds, and is over.
    Drags(u64),
    Set(Mode),
    Count,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Then {
    Nothing,
    Admitted,
    Probe,
    OpenFor(u64),
    /// The circuit was half-open for too long, and is open for so many seconds.
    ReopenedFor(u64),
    ForcedOpen,
    Taken,
    Moves(State),
    ProbeAfterMove,
    /// Calls, failures, slow ones.
    Counts(u64, u64, u64),
}

use Do::{Abandon, Ask, Breaks, Count, Drags, Fail, Last, Neutral, Set, Succeed, Works};
use Then::{Admitted, Moves, Nothing, OpenFor, Probe, ProbeAfterMove, ReopenedFor, Taken};

const CLOSED: Then = Moves(State::Closed);
const OPEN: Then = Moves(State::Open);

type Row = (u64, Do, Then);

/// A machine, and what its shell knows.
struct Bench<'a> {
    machine: Machine,
    rules: &'a Settings,
    epoch: u64,
    roll: f64,
    admitted: HashMap<u128, u64>,
    /// For calls without a number.
    next: u128,
}

impl<'a> Bench<'a> {
    fn new(rules: &'a Settings) -> Self {
        let machine = Machine::new(rules, 0, Time::ZERO);
        Self { machine, rules, epoch: 0, roll: 0.0, admitted: HashMap::new(), next: 1 << 64 }
    }

    fn at(&self, now: impl Into<Time>) -> Moment {
        Moment { now: now.into(), epoch: self.epoch, roll: self.roll }
    }

    fn run(&mut self, name: &str, table: &[Row]) {
        for (row, &(second, action, expected)) in table.iter().enumerate() {
            let then = self.step(Duration::from_secs(second), action);
            assert_eq!(then, expected, "{name}, row {row}: at {second} s, {action:?}");
        }
    }

    fn step(&mut self, now: Duration, action: Do) -> Then {
        match action {
            Ask(call) => self.ask(call, now),
            Succeed(call) => self.settle(call, Verdict::Success.into(), now),
            Fail(call) => self.settle(call, Verdict::Failure.into(), now),
            Neutral(call) => self.settle(call, Verdict::Neutral.into(), now),
            Last(call, millis) => self.settle(call, lasted(millis), now),
            Abandon(call) => {
                self.machine.release(LeaseId::from(call), now.into());
                Nothing
            }
            Works => self.call(Verdict::Success.into(), now),
            Breaks => self.call(Verdict::Failure.into(), now),
            Drags(millis) => self.call(lasted(millis), now),
            Set(mode) => {
                let moved = self.machine.set_mode(mode, self.rules, self.at(now));
                moved.map_or(Nothing, |moved| self.moved(&moved))
            }
            Count => {
                let Counts { calls, failures, slow } = self.machine.snapshot(now.into()).counts;
                Then::Counts(calls, failures, slow)
            }
        }
    }

    fn ask(&mut self, call: u128, now: Duration) -> Then {
        let ask = crate::lease::Ask::new(LeaseId::from(call));
        let (answer, moved) = self.machine.acquire(&ask, self.rules, self.at(now));
        if let Some(moved) = &moved {
            self.moved(moved);
        }
        match (answer, moved) {
            (Ok(admission), moved) => {
                self.admitted.insert(call, admission.epoch);
                match (admission.probe, moved) {
                    (false, _) => Admitted,
                    (true, None) => Probe,
                    (true, Some(_)) => ProbeAfterMove,
                }
            }
            (Err(Rejection { reason: RejectReason::ProbesTaken, .. }), _) => Taken,
            (Err(Rejection { reason: RejectReason::ForcedOpen, .. }), _) => Then::ForcedOpen,
            (Err(rejection), None) => OpenFor(rejection.retry_after.unwrap().as_secs()),
            (Err(rejection), Some(_)) => ReopenedFor(rejection.retry_after.unwrap().as_secs()),
        }
    }

    fn settle(&mut self, call: u128, settlement: Settlement, now: Duration) -> Then {
        let (lease, epoch) = (LeaseId::from(call), self.admitted[&call]);
        let moved = self.machine.settle(Some(lease), epoch, settlement, self.rules, self.at(now));
        moved.map_or(Nothing, |moved| self.moved(&moved))
    }

    fn call(&mut self, settlement: Settlement, now: Duration) -> Then {
        self.next += 1;
        let call = self.next;
        assert_eq!(self.ask(call, now), Admitted);
        self.settle(call, settlement, now)
    }

    fn moved(&mut self, moved: &Moved) -> Then {
        assert!(moved.epoch > self.epoch, "the epoch grows: {moved:?}");
        let opened = moved.to == State::Open && moved.mode == Mode::Automatic;
        assert_eq!(moved.cooldown.is_some(), opened, "{moved:?}");
        self.epoch = moved.epoch;
        Moves(moved.to)
    }
}

fn lasted(millis: u64) -> Settlement {
    Settlement::new(Verdict::Success).with_latency(Duration::from_millis(millis))
}

fn run(name: &str, rules: &Settings, table: &[Row]) {
    Bench::new(rules).run(name, table);
}

const TRIP: [Row; 6] = [
    (0, Ask(1), Admitted),
    (0, Ask(2), Admitted),
    (0, Ask(3), Admitted),
    (0, Fail(1), Nothing),
    (0, Fail(2), Nothing),
    (0, Fail(3), OPEN),
];

fn run_tripped(name: &str, rules: &Settings, table: &[Row]) {
    run(name, rules, &[&TRIP, table].concat());
}

fn n(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

fn percent(share: u8) -> Percent {
    Percent::new(share).unwrap()
}

/// Opens at such a share of failures among the last so many calls, of at least so many.
fn last(share: u8, calls: u32, least: u32) -> Settings {
    let rates = Rates::failures(percent(share), Window::Calls(n(calls))).minimum_calls(n(least));
    Settings::default().trip(rates)
}

/// Opens at such a share of failures within so many seconds, of at least so many calls.
fn within(share: u8, seconds: u64, least: u32) -> Settings {
    let window = Window::Time(Duration::from_secs(seconds));
    Settings::default().trip(Rates::failures(percent(share), window).minimum_calls(n(least)))
}
