//! Shares of the calls in a window.

use super::*;
use Then::Counts;

#[test]
fn the_last_calls() {
    run(
        "nothing is concluded from fewer than the minimum",
        &last(50, 10, 4),
        &[
            (0, Breaks, Nothing),
            (0, Breaks, Nothing),
            (0, Breaks, Nothing),
            (0, Count, Counts(3, 3, 0)),
            (0, Breaks, OPEN),
            (1, Ask(1), OpenFor(119)),
        ],
    );
    run(
        "the call that completes the minimum may be one that works",
        &last(50, 10, 4),
        &[(0, Breaks, Nothing), (0, Works, Nothing), (0, Breaks, Nothing), (0, Works, OPEN)],
    );
    run(
        "just below the share",
        &last(51, 4, 4),
        &[
            (0, Breaks, Nothing),
            (0, Works, Nothing),
            (0, Breaks, Nothing),
            (0, Works, Nothing),
            (0, Breaks, Nothing), // the first failure has left
            (0, Count, Counts(4, 2, 0)),
            (0, Breaks, OPEN),
        ],
    );
    run(
        "the oldest leaves, however long ago the others were",
        &last(100, 3, 3),
        &[
            (0, Works, Nothing),
            (0, Breaks, Nothing),
            (0, Breaks, Nothing),
            (9_999_999, Count, Counts(3, 2, 0)),
            (9_999_999, Breaks, OPEN),
        ],
    );
    run(
        "a window smaller than the minimum concludes when it is full",
        &last(100, 2, 50),
        &[(0, Breaks, Nothing), (0, Breaks, OPEN)],
    );
    run("one of a hundred", &last(1, 100, 1), &[(0, Works, Nothing), (0, Breaks, OPEN)]);
    run("no failure is no share", &last(1, 100, 1), &[(0, Works, Nothing), (0, Works, Nothing)]);
    run(
        "neutral verdicts and abandoned calls are not in it",
        &last(100, 2, 2),
        &[
            (0, Ask(1), Admitted),
            (0, Ask(2), Admitted),
            (0, Breaks, Nothing),
            (0, Neutral(1), Nothing),
            (0, Abandon(2), Nothing),
            (0, Count, Counts(1, 1, 0)),
            (0, Breaks, OPEN),
        ],
    );
}

#[test]
fn the_last_seconds() {
    run(
        "it moves on in steps of a tenth, and forgets a step at a time",
        &within(100, 10, 9),
        &[
            (0, Breaks, Nothing),
            (1, Breaks, Nothing),
            (1, Works, Nothing),
            (9, Count, Counts(3, 2, 0)),
            (10, Count, Counts(2, 1, 0)),
            (11, Count, Counts(0, 0, 0)),
        ],
    );
    run(
        "what has left does not count",
        &within(50, 10, 2),
        &[
            (0, Breaks, Nothing),
            (10, Works, Nothing),
            (10, Works, Nothing),
            (11, Breaks, Nothing),
            (12, Breaks, OPEN),
        ],
    );
    run(
        "after a long silence it begins anew",
        &within(100, 10, 2),
        &[(3, Breaks, Nothing), (1_000_000_000, Breaks, Nothing), (1_000_000_009, Breaks, OPEN)],
    );
    run(
        "the minimum has to come within it",
        &within(100, 10, 3),
        &[
            (0, Breaks, Nothing),
            (9, Breaks, Nothing),
            (18, Breaks, Nothing),
            (18, Count, Counts(2, 2, 0)),
            (18, Breaks, OPEN),
        ],
    );
}

/// Whatever the length, a result stays for nine tenths of it at least, and is gone when it is over.
#[test]
fn a_result_stays_for_about_the_window() {
    for (length, at) in [(1_000, 0), (1_000, 99), (7_777, 3), (60_000, 59_999), (3, 1), (1, 0)] {
        let window = Window::Time(Duration::from_nanos(length));
        let rules = Settings::default().trip(Rates::failures(percent(100), window));
        let at = Duration::from_nanos(at);
        let mut bench = Bench::new(&rules);
        bench.step(at, Breaks);
        let counts =
            |after: u64| bench.machine.snapshot((at + Duration::from_nanos(after)).into()).counts.calls;
        let tenth = (length / 10).max(1);
        assert_eq!(counts(9 * tenth - tenth.min(length)), 1, "{length}");
        assert_eq!(counts(9 * tenth), 1, "{length}, nine tenths later");
        assert_eq!(counts((10 * tenth).max(length)), 0, "{length}, over");
    }
}

#[test]
fn slow_calls() {
    let window = Window::Calls(n(4));
    let second = Duration::from_secs(1);
    let slow = Rates::slow(second, percent(50), window).minimum_calls(n(4));
    run(
        "from the limit on a call is slow",
        &Settings::default().trip(slow),
        &[
            (0, Drags(999), Nothing),
            (0, Drags(1000), Nothing),
            (0, Drags(0), Nothing),
            (0, Count, Counts(3, 0, 1)),
            (0, Drags(9000), OPEN),
        ],
    );
    run(
        "failures are not looked at",
        &Settings::default().trip(slow),
        &[(0, Breaks, Nothing), (0, Breaks, Nothing), (0, Breaks, Nothing), (0, Breaks, Nothing)],
    );
    let both = Rates::failures(percent(75), window).slow_calls(second, percent(75)).minimum_calls(n(4));
    run(
        "a share is reached by itself, not together with another",
        &Settings::default().trip(both),
        &[
            (0, Breaks, Nothing),
            (0, Breaks, Nothing),
            (0, Drags(1000), Nothing),
            (0, Drags(1000), Nothing),
            (0, Count, Counts(4, 2, 2)),
            (0, Drags(1000), OPEN),
        ],
    );
    run(
        "slow probes open it again",
        &Settings::default().trip(slow).probes(Some(n(2))),
        &[
            (0, Drags(1000), Nothing),
            (0, Drags(1000), Nothing),
            (0, Drags(1000), Nothing),
            (0, Drags(1000), OPEN),
            (120, Ask(1), ProbeAfterMove),
            (120, Ask(2), Probe),
            (120, Last(1, 10), Nothing),
            (121, Last(2, 1000), OPEN),
        ],
    );
}

#[test]
fn late_results() {
    run(
        "do not enter a window that began after them",
        &last(50, 2, 2).probes(Some(n(1))),
        &[
            (0, Ask(1), Admitted),
            (0, Ask(2), Admitted),
            (0, Ask(3), Admitted),
            (0, Breaks, Nothing),
            (0, Breaks, OPEN),
            (60, Succeed(1), Nothing),
            (120, Ask(9), ProbeAfterMove),
            (120, Fail(2), Nothing),
            (120, Count, Counts(0, 0, 0)),
            (121, Succeed(9), CLOSED),
            (121, Fail(3), Nothing),
            (121, Count, Counts(0, 0, 0)),
        ],
    );
}
