//! The state machine as tables: at which second, what happens, what is answered, where it moves.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::*;

/// What happens to the call with this number.
#[derive(Clone, Copy)]
enum Do {
    Ask(u128),
    Succeed(u128),
    Fail(u128),
    Neutral(u128),
    Abandon(u128),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Then {
    Nothing,
    Admitted,
    Probe,
    OpenFor(u64),
    Taken,
    Moves(State),
    ProbeAfterMove,
}

use Do::{Abandon, Ask, Fail, Neutral, Succeed};
use Then::{Admitted, Moves, Nothing, OpenFor, Probe, ProbeAfterMove, Taken};

const CLOSED: Then = Moves(State::Closed);
const OPEN: Then = Moves(State::Open);

fn run(name: &str, rules: &Settings, table: &[(u64, Do, Then)]) {
    let mut machine = Machine::new(rules, 0, Time::ZERO);
    let mut epoch = 0;
    let mut admitted = HashMap::new();
    for (row, (second, action, expected)) in table.iter().enumerate() {
        let at = Moment { now: Duration::from_secs(*second).into(), epoch, roll: 0.0 };
        let mut settle = |call: u128, verdict: Verdict| {
            machine.settle(Some(LeaseId::from(call)), admitted[&call], verdict.into(), rules, at)
        };
        let (then, moved) = match *action {
            Ask(call) => {
                let (answer, moved) =
                    machine.acquire(&crate::lease::Ask::new(LeaseId::from(call)), rules, at);
                let then = match answer {
                    Ok(admission) => {
                        admitted.insert(call, admission.epoch);
                        match (admission.probe, &moved) {
                            (false, _) => Admitted,
                            (true, None) => Probe,
                            (true, Some(_)) => ProbeAfterMove,
                        }
                    }
                    Err(rejection) if rejection.reason == RejectReason::ProbesTaken => Taken,
                    Err(rejection) => OpenFor(rejection.retry_after.unwrap().as_secs()),
                };
                (then, moved)
            }
            Succeed(call) => then_moved(settle(call, Verdict::Success)),
            Fail(call) => then_moved(settle(call, Verdict::Failure)),
            Neutral(call) => then_moved(settle(call, Verdict::Neutral)),
            Abandon(call) => {
                machine.release(LeaseId::from(call), at.now);
                (Nothing, None)
            }
        };
        assert_eq!(then, *expected, "{name}, row {row}");
        if let Some(moved) = moved {
            assert!(moved.epoch > epoch, "{name}, row {row}: the epoch grows");
            assert_eq!(moved.cooldown.is_some(), moved.to == State::Open, "{name}, row {row}");
            epoch = moved.epoch;
        }
    }
}

fn then_moved(moved: Option<Box<Moved>>) -> (Then, Option<Box<Moved>>) {
    (moved.as_ref().map_or(Nothing, |moved| Moves(moved.to)), moved)
}

const TRIP: [(u64, Do, Then); 6] = [
    (0, Ask(1), Admitted),
    (0, Ask(2), Admitted),
    (0, Ask(3), Admitted),
    (0, Fail(1), Nothing),
    (0, Fail(2), Nothing),
    (0, Fail(3), OPEN),
];

fn run_tripped(name: &str, rules: &Settings, table: &[(u64, Do, Then)]) {
    run(name, rules, &[&TRIP, table].concat());
}

#[test]
fn one_probe() {
    let rules = Settings::default();
    run_tripped(
        "open until the cooldown ends",
        &rules,
        &[(0, Ask(9), OpenFor(120)), (119, Ask(9), OpenFor(1)), (120, Ask(9), ProbeAfterMove)],
    );
    run_tripped(
        "one probe, a success closes",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Ask(11), Taken),
            (121, Succeed(10), CLOSED),
            (121, Ask(12), Admitted),
        ],
    );
    run_tripped(
        "a failure opens for a whole cooldown",
        &rules,
        &[
            (130, Ask(10), ProbeAfterMove),
            (140, Fail(10), OPEN),
            (140, Ask(11), OpenFor(120)),
            (260, Ask(11), ProbeAfterMove),
        ],
    );
    run_tripped(
        "neutral and abandoned probes free the slot and decide nothing",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Neutral(10), Nothing),
            (120, Ask(11), Probe),
            (120, Abandon(11), Nothing),
            (120, Abandon(11), Nothing),
            (120, Ask(12), Probe),
            (120, Ask(13), Taken),
        ],
    );
    run_tripped(
        "the same lease takes one slot",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Ask(10), Probe),
            (120, Abandon(10), Nothing),
            (120, Ask(11), Probe),
        ],
    );
    run_tripped(
        "a lease ends once",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Abandon(10), Nothing),
            (120, Fail(10), Nothing),
            (120, Succeed(10), Nothing),
            (120, Ask(11), Probe),
        ],
    );
    run_tripped(
        "a leaked probe expires, and its verdict with it",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (719, Ask(11), Taken),
            (720, Ask(12), Probe),
            (720, Fail(10), Nothing),
            (720, Succeed(10), Nothing),
            (720, Ask(13), Taken),
            (721, Succeed(12), CLOSED),
        ],
    );
    run_tripped(
        "an expired verdict is ignored also where nobody took the slot",
        &rules,
        &[(120, Ask(10), ProbeAfterMove), (720, Succeed(10), Nothing), (720, Ask(11), Probe)],
    );
}

#[test]
fn late_results() {
    let rules = Settings::default();
    let table = [&[(0, Ask(4), Admitted), (0, Ask(5), Admitted)], TRIP.as_slice()].concat();
    let late = |name, rest: &[(u64, Do, Then)]| run(name, &rules, &[&table, rest].concat());
    late(
        "do not close or prolong an open circuit",
        &[(60, Succeed(4), Nothing), (60, Fail(5), Nothing), (60, Ask(9), OpenFor(60))],
    );
    late(
        "do not decide a half-open one",
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Succeed(4), Nothing),
            (120, Fail(5), Nothing),
            (120, Ask(11), Taken),
        ],
    );
    late(
        "do not count in the next closed state",
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Succeed(10), CLOSED),
            (120, Ask(11), Admitted),
            (120, Ask(12), Admitted),
            (120, Fail(11), Nothing),
            (120, Fail(12), Nothing),
            (120, Fail(4), Nothing),
            (120, Succeed(5), Nothing), // does not reset either
            (120, Ask(13), Admitted),
            (120, Fail(13), OPEN),
        ],
    );
    late(
        "of a probe do not decide the next half-open state",
        &[
            (120, Ask(10), ProbeAfterMove),
            (720, Ask(11), Probe),
            (720, Fail(11), OPEN),
            (840, Ask(12), ProbeAfterMove),
            (840, Fail(10), Nothing),
            (840, Succeed(11), Nothing),
            (840, Succeed(12), CLOSED),
        ],
    );
}

#[test]
fn closed() {
    let rules = Settings::default();
    let calls: Vec<_> = (1..=6).map(|call| (0, Ask(call), Admitted)).collect();
    let after = |name, rest: &[(u64, Do, Then)]| run(name, &rules, &[&calls, rest].concat());
    after(
        "a success starts the count again",
        &[
            (0, Fail(1), Nothing),
            (0, Fail(2), Nothing),
            (0, Succeed(3), Nothing),
            (0, Fail(4), Nothing),
            (0, Fail(5), Nothing),
            (0, Fail(6), OPEN),
        ],
    );
    after(
        "neutral verdicts and abandoned calls do not",
        &[
            (0, Fail(1), Nothing),
            (0, Neutral(2), Nothing),
            (0, Fail(3), Nothing),
            (0, Abandon(4), Nothing),
            (0, Fail(5), OPEN),
        ],
    );
    let once = rules.clone().failure_threshold(NonZeroU32::MIN).cooldown(Duration::MAX);
    run(
        "a cooldown without end",
        &once,
        &[(7, Ask(1), Admitted), (7, Fail(1), OPEN), (18_446_744_072, Ask(2), OpenFor(1))],
    );
}

#[test]
fn several_probes_and_no_bound() {
    let two = Settings::default().probes(NonZeroU32::new(2));
    run_tripped(
        "two probes, the first result decides",
        &two,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Ask(11), Probe),
            (120, Ask(12), Taken),
            (121, Succeed(11), CLOSED),
            (121, Fail(10), Nothing),
        ],
    );
    let keel = Settings::from(super::super::Preset::Keel);
    run_tripped(
        "without a bound, a success closes",
        &keel,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Ask(11), Probe),
            (120, Ask(12), Probe),
            (120, Neutral(10), Nothing),
            (120, Succeed(11), CLOSED),
            (120, Fail(12), Nothing),
        ],
    );
    run_tripped(
        "without a bound, a failure opens",
        &keel,
        &[
            (120, Ask(10), ProbeAfterMove),
            (120, Ask(11), Probe),
            (130, Fail(11), OPEN),
            (130, Succeed(10), Nothing),
            (130, Ask(12), OpenFor(120)),
        ],
    );
}
