//! The benchmark of the strategies runs: every row does what it should, and is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn strategies(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strategies")).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = strategies(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Without keel, which has to be installed.
#[test]
fn every_row_runs_and_is_printed() {
    let (list, text) = (printed(&["--list"]), printed(&["--quick"]));
    let rows: Vec<_> = list.lines().collect();
    assert!(rows.len() > 15 && !list.contains("keel"), "{list}");
    for row in rows {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let lines: Vec<_> = lines.filter(|line| line.first() == Some(&row)).collect();
        let [line] = &lines[..] else { panic!("{row} is not printed once:\n{text}") };
        assert_eq!(line[1], "1", "{row} with one thread");
        assert!(line[2].parse::<f64>().unwrap() > 0.0, "{row}: {line:?}");
        assert!(text.contains(&format!("   {row}: ")), "what is in the number of {row}");
    }
}

#[test]
fn keel_is_there_for_those_who_ask_for_it() {
    let list = printed(&["--list", "--keel", "ours/happy"]);
    assert!(list.lines().any(|row| row == "keel/happy"), "it comes along as a peer: {list}");
    let output = strategies(&["--list", "keel/happy"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("no row's name contains \"keel/happy\""), "{told}");
}
