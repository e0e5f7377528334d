//! Failures in a row: closed, open, half-open, and what comes late.

use super::*;

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
    let keel = Settings::from(crate::Preset::Keel);
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
