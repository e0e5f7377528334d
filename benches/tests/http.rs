//! The benchmark over HTTP runs: every row does what it should, and is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_http")).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The cells of the line that begins with this name.
fn cells<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines: Vec<_> = lines.filter(|line| line.first() == Some(&name)).collect();
    let [line] = &lines[..] else { panic!("{name} is not printed once:\n{text}") };
    line.clone()
}

#[test]
fn every_row_runs_and_is_printed() {
    let (list, text) = (printed(&["--list"]), printed(&["--quick"]));
    let rows: Vec<_> = list.lines().collect();
    assert!(rows.len() > 20, "{list}");
    for row in rows {
        let line = cells(&text, row);
        let held = row.ends_with("/silent") || row.ends_with("/stalled");
        let figure = line[if held { 1 } else { 2 }];
        assert!(figure.parse::<f64>().unwrap() > 0.0, "{row}: {line:?}");
        assert!(text.contains(&format!("   {row}: ")), "what is in the number of {row}");
    }
    for judged in
        ["CPU <= 1.1 x peer: ", "p99 <= peer + 20 µs: ", "KiB <= 1.1 x peer: ", "closed <= 100 ms: "]
    {
        assert!(text.contains(judged), "{judged} is not judged:\n{text}");
    }
}

#[test]
fn a_filter_brings_along_what_its_rows_are_compared_with() {
    let list = printed(&["--list", "ours/429-json", "ours/stalled"]);
    assert_eq!(
        list.lines().collect::<Vec<_>>(),
        ["hand/429-json", "ours/429-json", "hand/stalled", "ours/stalled"]
    );
    let text = printed(&["--quick", "--markdown", "ours/json"]);
    assert!(text.contains("| ours/json ") && text.contains("| hand/json "), "{text}");
    // The names, as a figure can be 429.
    assert!(!text.contains("/stalled") && !text.contains("/429"), "{text}");
}

#[test]
fn what_cannot_be_done_is_an_error() {
    for (arguments, told) in [
        (&["--quick", "ours/jsn"][..], "no row's name contains \"ours/jsn\""),
        (&["--quick", "--rounds", "5"], "cannot be used with"),
        (&["--hold", "ours/silent"], "required arguments"),
        (&["--count", "ours/jsn"], "there is no such row"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(told), "{arguments:?}: {text}");
    }
}
