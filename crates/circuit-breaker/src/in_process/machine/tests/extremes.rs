//! The shortest and the longest of everything.

use super::*;

const MAX: Duration = Duration::MAX;
/// The last second that a breaker's clock can tell.
const LAST: u64 = u64::MAX / 1_000_000_000;

#[test]
fn windows_of_no_length_and_without_end() {
    for (seconds, opens) in [(0, false), (u64::MAX, true)] {
        let rules = within(100, seconds, 2);
        let mut bench = Bench::new(&rules);
        bench.run("begins", &[(5, Breaks, Nothing)]);
        let then = bench.step(Duration::from_secs(100_000_000), Breaks);
        assert_eq!(then == OPEN, opens, "a window of {seconds} s");
    }
    let at_once = within(100, 0, 2);
    run("at the same moment", &at_once, &[(5, Breaks, Nothing), (5, Breaks, OPEN)]);
}

#[test]
fn a_count_that_is_never_full() {
    let rules = last(1, u32::MAX, u32::MAX);
    let mut bench = Bench::new(&rules);
    for _ in 0..1000 {
        bench.step(Duration::ZERO, Breaks);
    }
    bench.run("below its minimum", &[(0, Count, Then::Counts(1000, 1000, 0)), (0, Ask(1), Admitted)]);
}

#[test]
fn openings_without_number() {
    let seconds = Duration::from_secs;
    for (cooldown, longest, expected) in [
        (seconds(1), MAX, u64::from(u32::MAX)),
        (MAX, MAX, u64::MAX),
        (seconds(0), MAX, 0),
        (MAX, seconds(0), u64::MAX),
    ] {
        let rules = Settings::default().cooldown(cooldown).growing_to(longest);
        let longest = [32, 33, 34, 1000, u32::MAX].map(|openings| rules.cooldown_of(openings, 0.0).as_secs());
        assert!(longest.is_sorted() && longest.iter().all(|grown| *grown >= expected / 2), "{longest:?}");
        assert_eq!(longest[4], expected, "{cooldown:?}");
    }
    let nearly_one = 1.0 - f64::EPSILON / 2.0;
    let rules = Settings::default().cooldown(MAX).growing_to(MAX).jitter(percent(100));
    assert!(rules.cooldown_of(u32::MAX, nearly_one) < MAX);
    assert_eq!(rules.cooldown_of(u32::MAX, 0.0), MAX);
}

/// At the end of time nothing is right any more, but nothing breaks either.
#[test]
fn the_end_of_the_clock() {
    let longest = |rules: Settings| {
        rules.cooldown(MAX).growing_to(MAX).max_hold(MAX).longest_half_open(MAX).jitter(percent(1))
    };
    for rules in
        [Settings::default(), last(50, 4, 1), within(50, 10, 1), within(50, u64::MAX, 1), within(50, 0, 1)]
    {
        for rules in [rules.clone(), longest(rules)] {
            let mut bench = Bench::new(&rules);
            for (number, second) in [(1, 0), (2, LAST - 1), (3, LAST), (4, LAST)] {
                let at = Duration::from_secs(second);
                bench.ask(number, at);
                bench.machine.status(at.into());
                bench.machine.snapshot(at.into());
                if bench.admitted.contains_key(&number) {
                    bench.settle(number, Verdict::Failure.into(), at);
                }
            }
            for now in [MAX, Duration::from_nanos(u64::MAX)] {
                bench.ask(5, now);
                bench.step(now, Abandon(5));
                bench.step(now, Set(Mode::Disabled));
                bench.step(now, Set(Mode::Automatic));
                bench.step(now, Breaks);
                bench.machine.snapshot(now.into());
                bench.machine.is_clean(now.into());
                bench.machine.is_stale(MAX, now.into());
            }
        }
    }
}

#[test]
fn a_hold_of_any_length() {
    for (max_hold, asked, expected) in [
        (Duration::ZERO, None, Duration::from_millis(1)),
        (Duration::ZERO, Some(Duration::ZERO), Duration::from_millis(1)),
        (Duration::ZERO, Some(MAX), Duration::from_secs(24 * 3600)),
        (MAX, Some(MAX), MAX),
        (MAX, None, MAX),
    ] {
        assert_eq!(Settings::default().max_hold(max_hold).hold(asked), expected, "{max_hold:?}, {asked:?}");
    }
}
