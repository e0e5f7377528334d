//! Random programs: calls under a few keys that ask, are held, end, and may end late.

use std::collections::HashSet;

use fastrand::Rng;

use crate::ours::by_us;
use crate::program::{How, KEYS, Program, Seen, Step, by_keel};

const PROGRAMS: u64 = 3000;
const STEPS: usize = 40;
/// What ends later than the preset's hold of 600 seconds may be ignored; in eighths, no program takes as long.
const LONGEST: u32 = 599 * 8;

fn program(seed: u64, one_at_a_time: bool) -> Program {
    let mut random = Rng::with_seed(seed);
    let settings = random.bool().then(|| (random.u32(1..5), random.u32(0..100)));
    let cooldown = settings.map_or(120 * 8, |(_, cooldown)| cooldown);
    // Some programs fail seldom, and some stay with one key.
    let (failures, keys) = (random.u8(2..9), random.usize(1..=KEYS.len()));
    let mut left = LONGEST;
    let step = |_| match random.u8(..10) {
        0..5 => Step::Admit(KEYS[random.usize(..keys)]),
        5..8 => {
            let how = match random.u8(..10) {
                0 => [How::Neutral, How::Dropped][random.usize(..2)],
                roll if roll <= failures => How::Failure,
                _ => How::Success,
            };
            Step::End(random.usize(..4), how)
        }
        _ => {
            // The ends of cooldowns, above all.
            let moments = [0, 1, cooldown / 2, cooldown.saturating_sub(1), cooldown, random.u32(..=cooldown)];
            let count = moments[random.usize(..moments.len())].min(left);
            left -= count;
            Step::Wait(count)
        }
    };
    Program { settings, one_at_a_time, steps: (0..STEPS).map(step).collect() }
}

/// The first step after which the two see something else.
fn difference(ours: &[Seen], keels: &[Seen]) -> Option<usize> {
    assert_eq!(ours.len(), keels.len());
    ours.iter().zip(keels).position(|(ours, keels)| ours != keels)
}

struct Differs {
    program: Program,
    at: usize,
    ours: Seen,
    keels: Seen,
}

/// The first of these programs in which the two see something else, while keel does not hear of late results.
fn differs(programs: &[Program]) -> Option<Differs> {
    programs.iter().zip(by_keel(programs, true)).find_map(|(program, keels)| {
        let ours = by_us(program);
        let at = difference(&ours, &keels.seen)?;
        let (ours, keels) = (ours[at].clone(), keels.seen[at].clone());
        Some(Differs { program: program.clone(), at, ours, keels })
    })
}

/// Fails with a program as short as can be.
fn assert_same(programs: &[Program]) {
    let Some(mut shortest) = differs(programs) else { return };
    loop {
        let without = |step| {
            let mut program = shortest.program.clone();
            program.steps.truncate(shortest.at + 1);
            program.steps.remove(step);
            program
        };
        let shorter: Vec<_> = (0..=shortest.at).map(without).collect();
        match differs(&shorter) {
            Some(found) => shortest = found,
            None => break,
        }
    }
    let Differs { program, at, ours, keels } = shortest;
    panic!("after step {at} of {program:#?}\nours: {ours:?}\nkeel: {keels:?}");
}

#[test]
fn calls_whose_results_come_in_time_are_answered_alike() {
    let programs: Vec<_> = (0..PROGRAMS).map(|seed| program(seed, true)).collect();
    assert_same(&programs);
    let keels = by_keel(&programs, false);
    assert!(keels.iter().all(|keels| keels.late.is_empty()), "no result was late");
    // Not because nothing happened.
    for status in ["closed", "open", "half_open"] {
        let visited = |seen: &&Seen| seen.status.iter().any(|of_key| of_key == status);
        let visits = keels.iter().flat_map(|keels| &keels.seen).filter(visited).count();
        assert!(visits > 5000, "{status}: {visits}");
    }
    let refused = keels.iter().flat_map(|keels| &keels.seen).filter(|seen| seen.admitted == Some(false));
    assert!(refused.count() > 2000);
}

/// Any number of calls at a time. A breaker that never hears of late results answers like ours, which hears of them; and
/// keel, which counts them, goes on like ours until the first of them.
#[test]
fn late_results_are_all_that_tells_the_two_apart() {
    let programs: Vec<_> = (PROGRAMS..2 * PROGRAMS).map(|seed| program(seed, false)).collect();
    assert_same(&programs);
    let mut apart = 0;
    for (program, keels) in programs.iter().zip(by_keel(&programs, false)) {
        let first_late = keels.late.first().copied().unwrap_or(STEPS);
        let Some(at) = difference(&by_us(program), &keels.seen) else { continue };
        assert!(at >= first_late, "step {at} comes before the first late result, {first_late}: {program:#?}");
        apart += 1;
    }
    assert!(apart > 300, "late results that make a difference: {apart}");
}

#[test]
fn a_seed_makes_one_program() {
    let programs: HashSet<_> = (0..200).map(|seed| format!("{:?}", program(seed, false))).collect();
    assert_eq!(programs.len(), 200);
    assert_eq!(program(7, true).steps, program(7, false).steps);
}
