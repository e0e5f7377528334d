//! What hedging is to do for the first token, asserted on the simulation's own figures, whatever its seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../src/bin/hedging/simulation.rs"]
mod simulation;
#[path = "../src/bin/hedging/stages.rs"]
mod stages;
#[path = "../src/bin/hedging/tables.rs"]
mod tables;

use std::process::Command;

use llm_reliability::Policy;
use stages::{Summary, ordinary, outage, rows};

const SEEDS: [u64; 3] = [1, 2, 2026];

/// How many calls go by before nine hedges in vain have told that everyone is slow, and not only whom they were beside: at
/// most so many, where nothing was saved up and twenty calls pay for one.
const UNNOTICED: usize = 200;

fn policy(name: &str) -> Policy {
    rows().into_iter().find(|row| row.name == name).unwrap().policy
}

#[test]
fn the_99th_percentile_falls_by_three_fifths_for_a_twentieth_of_extra_calls() {
    for seed in SEEDS {
        let run = |name| {
            let outcomes = ordinary(seed, &policy(name), 15_000).unwrap();
            let summary = Summary::of(&outcomes.stages.concat());
            assert_eq!(
                outcomes.requests,
                summary.calls + summary.hedges,
                "{name}: what the candidates received"
            );
            summary
        };
        let (without, with) = (run("no hedging"), run("observed 0.95"));
        assert_eq!((without.calls, without.hedges), (15_000, 0));
        assert!(with.lower_than(&without) >= 60.0, "seed {seed}: {with:?} after {without:?}");
        assert!(with.extra() <= 5.0 && with.won > 100, "seed {seed}: {with:?}");
        assert!(
            with.p50 == without.p50 && with.p999 < without.p99,
            "seed {seed}: {with:?} after {without:?}"
        );
    }
}

#[test]
fn when_everyone_is_slow_hedges_stop_until_they_are_fast_again() {
    for (seed, name) in SEEDS.into_iter().zip(["observed 0.95", "after 1 s", "observed 0.95"]) {
        let stages = outage(seed, &policy(name), 3000).unwrap().stages;
        let [before, slow, after] = [0, 1, 2].map(|stage: usize| Summary::of(&stages[stage]));
        assert!(slow.p50 > 8 * before.p50, "seed {seed}: {slow:?}");
        assert!(slow.hedges <= 12, "seed {seed}: what could be saved up, and a little: {slow:?}");
        let later = stages[1].iter().skip(UNNOTICED).map(|call| call.hedges.len()).sum::<usize>();
        assert_eq!(later, 0, "seed {seed}: after it was noticed");
        let (first, last) = after.hedged.unwrap();
        assert!(first < 600 && last > 2500, "seed {seed}: {after:?}");
        assert!(2 * after.hedges > before.hedges && after.p99 < 2 * before.p99, "seed {seed}: {after:?}");
    }
}

#[test]
fn the_same_seed_prints_the_same_to_the_digit() {
    let print = |seed: &str| {
        let arguments = ["--seed", seed, "--calls", "1000"];
        let output = Command::new(env!("CARGO_BIN_EXE_hedging")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = print("7");
    assert_eq!(printed, print("7"));
    assert_eq!(printed, tables::text(7, 1000).unwrap());
    assert_ne!(printed.lines().skip(1).collect::<Vec<_>>(), print("8").lines().skip(1).collect::<Vec<_>>());
    for row in rows() {
        assert!(printed.lines().any(|line| line.starts_with(row.name)), "{printed}");
    }
}
