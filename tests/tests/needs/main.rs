//! Where the project comes from: every claim that the documents of its two forerunners make, and the tests that prove it
//! here. The table is read off into `tests/NEEDS.md`; the modules that are no part of it hold tests that were missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod categories;
mod cited;
mod clocks;
mod need;
mod preempted;
mod quickstart;
mod sent;
mod table;
mod ways_in;

use std::collections::HashSet;
use std::{env, fs};

use need::{Need, Proof, render};

#[test]
fn every_claim_is_shown_by_tests_that_exist_or_says_why_not() {
    let mut faults = Vec::new();
    for Need { claim, proof, .. } in table::all() {
        let tests = proof.tests();
        if tests.is_empty() && matches!(proof, Proof::Tests(_) | Proof::Otherwise(..)) {
            faults.push(format!("no test: {claim}"));
        }
        if proof.reason().is_some_and(|reason| reason.trim().len() < 10) {
            faults.push(format!("no reason: {claim}"));
        }
        faults.extend(tests.iter().filter_map(|(path, name)| cited::fault(path, name)));
        if tests.iter().collect::<HashSet<_>>().len() < tests.len() {
            faults.push(format!("a test is named twice: {claim}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_claim_is_there_twice_or_breaks_its_line() {
    let needs = table::all();
    let mut seen = HashSet::new();
    for Need { claim, proof, section, .. } in &needs {
        assert!(seen.insert(claim.to_lowercase()), "twice: {claim}");
        for text in [claim, *section, proof.reason().unwrap_or_default()] {
            assert!(!text.contains(['\n', '|']) && text.trim() == text, "does not fit a cell: {text}");
        }
    }
    for source in need::Source::ALL {
        let sections: Vec<_> =
            needs.iter().filter(|need| need.source == source).map(|need| need.section).collect();
        let runs = sections.chunk_by(|one, next| one == next).count();
        assert_eq!(
            runs,
            sections.iter().collect::<HashSet<_>>().len(),
            "a section of {source:?} is torn apart"
        );
    }
}

/// Tests here are there for a claim.
#[test]
fn every_test_beside_the_table_is_named_in_it() {
    let folder = cited::root().join("tests/tests/needs");
    let needs = table::all();
    let named: HashSet<_> = needs.iter().flat_map(|need| need.proof.tests()).copied().collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("tests/tests/needs/{file}");
        let Ok(text) = fs::read_to_string(folder.join(&file)) else { continue };
        for test in cited::tests(&text).filter(|_| file != "main.rs") {
            assert!(named.contains(&(path.as_str(), test)), "no claim names {path}: {test}");
        }
    }
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = cited::root().join("tests/NEEDS.md");
    let expected = render(&table::all());
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "tests/NEEDS.md is behind the table, first at {differs:?}; write it anew with \
         `UPDATE=1 cargo test -p llm-tests --test needs`"
    );
}

/// What the checks above rest on.
#[test]
fn only_what_runs_is_a_test() {
    let text = "#[test]\nfn a() {}\n\n/// Says why.\n#[tokio::test(start_paused = true)]\n#[cfg(unix)]\nasync fn b() {\n}\n
fn helper() {}\n#[test]\n#[ignore]\nfn ignored() {}\n// #[test]\n// fn commented() {}\n
proptest! {\n    #[test]\n    fn c(seed in 0..9) {}\n}\n#[inline]\nfn d() {}\n#[test]\nconst X: u8 = 0;\nfn e() {}\n";
    assert_eq!(cited::tests(text).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(cited::fault("tests/tests/needs/main.rs", "only_what_runs_is_a_test").is_none());
    let here = "every_claim_is_shown_by_tests_that_exist_or_says_why_not";
    for (path, name) in [
        ("tests/tests/needs/main.rs", "fault"),
        ("tests/tests/needs/nowhere.rs", here),
        ("crates/adapters/fuzz/fuzz_targets/events.rs", here),
    ] {
        assert!(cited::fault(path, name).is_some(), "{path} {name}");
    }
}
