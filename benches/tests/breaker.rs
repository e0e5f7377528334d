//! The benchmarks run: every row does what it should, and is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

fn breaker(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_breaker")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of tables that begin with this name.
fn lines<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|line| line.first() == Some(&name)).collect()
}

#[test]
fn every_row_runs_and_is_printed() {
    let (list, text) = (breaker(&["--list"]), breaker(&["--quick"]));
    let rows: Vec<_> = list.lines().collect();
    assert!(rows.len() > 30, "{list}");
    for row in rows {
        let [line] = &lines(&text, row)[..] else { panic!("{row} is not printed once:\n{text}") };
        assert_eq!(line[1], "1", "{row} with one thread");
        assert!(line[2].parse::<f64>().unwrap() > 0.0, "{row}: {line:?}");
        assert!(text.contains(&format!("   {row}: ")), "what is in the number of {row}");
    }
    assert!(text.contains("<= 5 ns: "), "targets are judged: {text}");
}

#[test]
fn a_filter_and_markdown() {
    let text = breaker(&["--quick", "--markdown", "ours/handle"]);
    assert!(
        text.contains("| ours/handle ")
            && text.contains("| floor/loads ")
            && text.contains("| failsafe/one ")
    );
    assert!(!text.contains("governor"), "{text}");
}

/// Where there is no Valgrind, it says so and is content.
#[test]
fn instructions_are_counted() {
    let text = breaker(&["--instructions", "floor/loads", "floor/count"]);
    if text.contains("valgrind is not installed") {
        return;
    }
    let count = |row| lines(&text, row)[0][1].parse::<f64>().unwrap();
    for row in ["floor/loads", "floor/count"] {
        assert!((2.0..2_000.0).contains(&count(row)), "{text}");
    }
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let cases: [(&[&str], &str); 5] = [
        (&["--quick", "ours/handel"], "no row's name contains \"ours/handel\""),
        (&["--list", "ours/handel"], "ours/handle"),
        (&["--quick", "--rounds", "5"], "cannot be used with"),
        (&["--quick", "--slice", "5"], "cannot be used with"),
        (&["--instructions", "--rounds", "5"], "cannot be used with"),
    ];
    for (arguments, told) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_breaker")).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(told), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
