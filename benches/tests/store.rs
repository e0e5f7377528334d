//! The benchmark of shared stores runs: every row does what it should, and is printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_store")).args(arguments).output().unwrap()
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
        let figure = match row.split('/').next() {
            Some("frozen") => line.iter().position(|cell| *cell == "before").unwrap() + 1,
            Some("looks") => 1,
            _ => 2,
        };
        assert!(line[figure].parse::<f64>().unwrap() > 0.0, "{row}: {line:?}");
        assert!(text.contains(&format!("   {row}: ")), "what is in the number of {row}");
    }
    for judged in
        ["p50 <= 1.1 x floor: ", "calls >= 0.9 x floor: ", "<= 300 ns: ", "no call asks: ", "p99 < 2 ms: "]
    {
        assert!(text.contains(judged), "{judged} is not judged:\n{text}");
    }
}

/// However long it takes: while it stands still calls are answered without it, and afterwards with it.
#[test]
fn a_store_that_stands_still_is_left_alone() {
    let text = printed(&["--quick", "--markdown", "frozen/asking"]);
    let part = |name: &str| {
        let mut lines = text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let cells = lines.find(|cells| cells.get(2) == Some(&name)).unwrap();
        [cells[3], cells[4]].map(|cell| cell.parse::<u32>().unwrap())
    };
    let [calls, without] = part("without");
    assert!(calls > 0 && calls == without, "{text}");
    let [calls, without] = part("thawed");
    assert!(calls > without, "{text}");
}

#[test]
fn a_filter_brings_along_what_its_rows_are_compared_with() {
    let list = printed(&["--list", "ours/probe", "view/one"]);
    assert_eq!(
        list.lines().collect::<Vec<_>>(),
        ["floor/look-up", "local/one", "view/one", "floor/probe", "ours/probe"]
    );
    let text = printed(&["--quick", "--markdown", "ours/ask"]);
    assert!(text.contains("| ours/ask ") && text.contains("| floor/ask "), "{text}");
    assert!(!text.contains("ours/take") && !text.contains("frozen"), "{text}");
}

#[test]
fn what_cannot_be_done_is_an_error() {
    for (arguments, told) in [
        (&["--quick", "ours/aks"][..], "no row's name contains \"ours/aks\""),
        (&["--quick", "--rounds", "5"], "cannot be used with"),
        (&["--quick", "--episodes", "5"], "cannot be used with"),
        (&["--count", "ours/aks"], "there is no such row"),
    ] {
        let output = run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(told), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
