//! How many probes decide, how long a circuit stays open, and how long half-open.

use super::*;
use Then::Counts;

fn opened(name: &str, rules: &Settings, table: &[Row]) {
    run(name, rules, &[&[(0, Breaks, Nothing), (0, Breaks, OPEN)], table].concat());
}

#[test]
fn with_rates_all_probes_decide_together() {
    let three = last(50, 2, 2).probes(Some(n(3)));
    opened(
        "three go out in all, and the last of their results decides",
        &three,
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Fail(1), Nothing),
            (120, Count, Counts(1, 1, 0)),
            (121, Ask(3), Probe),
            (121, Ask(4), Taken), // though only two are out
            (121, Succeed(2), Nothing),
            (121, Ask(4), Taken),
            (122, Succeed(3), CLOSED),
        ],
    );
    opened(
        "the share decides, not the last",
        &three,
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Ask(3), Probe),
            (120, Fail(1), Nothing),
            (120, Fail(2), Nothing),
            (125, Succeed(3), OPEN),
            (125, Ask(4), OpenFor(120)),
        ],
    );
    opened(
        "one that says nothing makes room for another",
        &three,
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Ask(3), Probe),
            (120, Neutral(1), Nothing),
            (120, Abandon(2), Nothing),
            (120, Ask(4), Probe),
            (120, Ask(5), Probe),
            (120, Ask(6), Taken),
        ],
    );
    opened(
        "one that is lost does so when its hold ends, and has no say then",
        &three,
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Ask(3), Probe),
            (121, Succeed(2), Nothing),
            (121, Succeed(3), Nothing),
            (719, Ask(4), Taken),
            (720, Ask(4), Probe),
            (720, Fail(1), Nothing),
            (720, Ask(5), Taken),
            (720, Succeed(4), CLOSED),
        ],
    );
    opened(
        "results of one half-open state do not count in the next",
        &three,
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Ask(3), Probe),
            (120, Fail(1), Nothing),
            (120, Fail(2), Nothing),
            (120, Fail(3), OPEN),
            (240, Ask(4), ProbeAfterMove),
            (240, Count, Counts(0, 0, 0)),
            (240, Ask(5), Probe),
            (240, Ask(6), Probe),
            (240, Succeed(4), Nothing),
            (240, Succeed(5), Nothing),
            (240, Succeed(6), CLOSED),
        ],
    );
    opened(
        "without a bound the first result decides",
        &last(50, 2, 2).probes(None),
        &[
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Ask(3), Probe),
            (120, Succeed(2), CLOSED),
            (120, Fail(1), Nothing),
            (120, Count, Counts(0, 0, 0)),
        ],
    );
}

#[test]
fn a_cooldown_grows_until_the_circuit_closes() {
    let one = Settings::default().failure_threshold(n(1)).cooldown(Duration::from_secs(10));
    let reopen = |from: u64, until: u64, call: u128| {
        [
            (from, Ask(99), OpenFor(until - from)),
            (until, Ask(call), ProbeAfterMove),
            (until, Fail(call), OPEN),
        ]
    };
    let grown = [
        &[(0, Breaks, OPEN)],
        reopen(0, 10, 1).as_slice(),
        &reopen(10, 30, 2),
        &reopen(30, 70, 3),
        &reopen(70, 115, 4),
        &[
            (115, Ask(99), OpenFor(45)),
            (160, Ask(5), ProbeAfterMove),
            (160, Succeed(5), CLOSED),
            (160, Breaks, OPEN),
            (160, Ask(99), OpenFor(10)),
        ],
    ]
    .concat();
    run("doubled each time, up to the longest", &one.clone().growing_to(Duration::from_secs(45)), &grown);
    let steps = [(0, 10, 1), (10, 20, 2), (20, 30, 3)].map(|(from, until, call)| reopen(from, until, call));
    let fixed = [&[(0, Breaks, OPEN)], steps.as_flattened()].concat();
    run("the same each time", &one, &fixed);
    run("a longest that is shorter", &one.growing_to(Duration::from_secs(3)), &fixed);
}

#[test]
fn a_jitter_takes_off_its_share_at_most() {
    let whole = Duration::from_secs(100);
    for (share, roll, expected) in [
        (20, 0.0, 100.0),
        (20, 0.5, 90.0),
        (20, 0.999_999, 80.000_02),
        (100, 0.25, 75.0),
        (100, 0.999_999, 0.000_1),
        (1, 0.5, 99.5),
    ] {
        let rules = Settings::default().failure_threshold(n(1)).cooldown(whole).jitter(percent(share));
        let mut bench = Bench::new(&rules);
        bench.roll = roll;
        assert_eq!(bench.step(Duration::ZERO, Breaks), OPEN);
        let left = bench.machine.status(Time::ZERO).retry_after.unwrap();
        assert!((left.as_secs_f64() - expected).abs() < 0.000_1, "{share} % of {roll}: {left:?}");
    }
}

#[test]
fn half_open_for_too_long() {
    let rules = Settings::default().longest_half_open(Duration::from_secs(30));
    run_tripped(
        "the first call after that opens it again, whatever its probes are doing",
        &rules,
        &[
            (120, Ask(10), ProbeAfterMove),
            (149, Ask(11), Taken),
            (150, Ask(11), ReopenedFor(120)),
            (151, Succeed(10), Nothing),
            (151, Ask(11), OpenFor(119)),
            (270, Ask(11), ProbeAfterMove),
            (270, Succeed(10), Nothing),
            (271, Succeed(11), CLOSED),
        ],
    );
    run_tripped(
        "as long as nobody asks, a probe still decides",
        &rules,
        &[(120, Ask(10), ProbeAfterMove), (500, Succeed(10), CLOSED)],
    );
    run_tripped(
        "it grows like any other opening",
        &rules.clone().growing_to(Duration::MAX),
        &[(120, Ask(10), ProbeAfterMove), (150, Ask(11), ReopenedFor(240))],
    );
    let keel = Settings::from(crate::Preset::Keel).longest_half_open(Duration::from_secs(30));
    run_tripped(
        "without a bound on probes too",
        &keel,
        &[(120, Ask(10), ProbeAfterMove), (149, Ask(11), Probe), (150, Ask(12), ReopenedFor(120))],
    );
    run_tripped(
        "no cooldown: one call is turned away, and the next goes out",
        &rules.cooldown(Duration::ZERO),
        &[(0, Ask(10), ProbeAfterMove), (30, Ask(11), ReopenedFor(0)), (30, Ask(12), ProbeAfterMove)],
    );
}
