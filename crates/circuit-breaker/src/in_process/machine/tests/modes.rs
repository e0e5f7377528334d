//! What a person sets, and what that leaves behind.

use super::*;
use Then::Counts;

#[test]
fn each_mode_from_each_state() {
    let automatic = Mode::Automatic;
    let states: [(&str, Vec<Row>); 3] = [
        ("closed", vec![(0, Ask(7), Admitted), (0, Breaks, Nothing), (0, Breaks, Nothing)]),
        ("open", [&[(0, Ask(7), Admitted)], TRIP.as_slice()].concat()),
        ("half-open", [TRIP.as_slice(), &[(120, Ask(7), ProbeAfterMove)]].concat()),
    ];
    for (name, before) in states {
        let tables: [&[Row]; 3] = [
            &[
                (120, Set(Mode::ForcedOpen), OPEN),
                (120, Set(Mode::ForcedOpen), Nothing),
                (120, Ask(8), Then::ForcedOpen),
                (99_999, Ask(8), Then::ForcedOpen),
                (99_999, Succeed(7), Nothing),
                (99_999, Fail(7), Nothing),
                (99_999, Count, Counts(0, 0, 0)),
                (99_999, Set(automatic), CLOSED),
                (99_999, Fail(7), Nothing),
                (99_999, Count, Counts(0, 0, 0)),
                (99_999, Ask(9), Admitted),
            ],
            &[
                (120, Set(Mode::ForcedClosed), CLOSED),
                (120, Fail(7), Nothing),
                (120, Count, Counts(0, 0, 0)),
                (120, Ask(8), Admitted),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Count, Counts(4, 4, 0)),
                (120, Set(automatic), CLOSED),
                (120, Fail(8), Nothing),
                (120, Count, Counts(0, 0, 0)),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Breaks, OPEN),
            ],
            &[
                (120, Set(Mode::Disabled), CLOSED),
                (120, Fail(7), Nothing),
                (120, Ask(8), Admitted),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Breaks, Nothing),
                (120, Count, Counts(0, 0, 0)),
                (120, Set(Mode::ForcedOpen), OPEN),
                (120, Fail(8), Nothing),
                (120, Ask(9), Then::ForcedOpen),
                (120, Set(automatic), CLOSED),
                (120, Works, Nothing),
            ],
        ];
        for (number, table) in tables.into_iter().enumerate() {
            run(&format!("{name}, {number}"), &Settings::default(), &[&before, table].concat());
        }
    }
}

#[test]
fn a_window_begins_anew() {
    run(
        "what was counted while it was held closed opens nothing afterwards",
        &last(50, 4, 2),
        &[
            (0, Set(Mode::ForcedClosed), CLOSED),
            (0, Breaks, Nothing),
            (0, Breaks, Nothing),
            (0, Count, Counts(2, 2, 0)),
            (1, Set(Mode::Automatic), CLOSED),
            (1, Count, Counts(0, 0, 0)),
            (1, Breaks, Nothing),
            (1, Breaks, OPEN),
        ],
    );
}

#[test]
fn what_the_word_says() {
    let word = |machine: &Machine| Word::from(crate::in_process::cell::Summary::word(machine));
    for (mode, free) in [
        (Mode::Automatic, true),
        (Mode::ForcedOpen, false),
        (Mode::ForcedClosed, true),
        (Mode::Disabled, true),
    ] {
        let rules = Settings::default();
        let mut bench = Bench::new(&rules);
        bench.step(Duration::ZERO, Breaks);
        assert!(!word(&bench.machine).mute, "a success would change something");
        bench.step(Duration::ZERO, Set(mode));
        assert_eq!(word(&bench.machine).free, free, "{mode}");
        assert_eq!(word(&bench.machine).epoch, bench.epoch, "{mode}");
        if mode == Mode::Disabled {
            bench.step(Duration::ZERO, Breaks);
            assert!(word(&bench.machine).mute, "nothing is counted");
        }
    }
}

/// The time of a key that a person let go of begins then: what was admitted until then is told apart for as long as
/// ever.
#[test]
fn a_mode_that_ends_is_remembered_for_as_long_as_any_transition() {
    let rules = Settings::default();
    let mut bench = Bench::new(&rules);
    bench.step(Duration::ZERO, Set(Mode::ForcedOpen));
    let later = Duration::from_secs(100_000);
    bench.step(later, Set(Mode::Automatic));
    assert!(!bench.machine.is_quiet_for(rules.max_hold, later.into()));
    assert!(!bench.machine.is_quiet_for(rules.max_hold, (later + rules.max_hold * 9 / 10).into()));
    assert!(bench.machine.is_quiet_for(rules.max_hold, (later + rules.max_hold).into()));
}
