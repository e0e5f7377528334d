//! The example `shared_state` shows what it says it does: it exits with 0 only if that took place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Stdio};

/// What was told between two titles: who said what, or what was remarked, without the times.
fn told(story: &str, title: &str) -> Vec<String> {
    let scene = story.split("\n\n").find(|scene| scene.trim_start().lines().next().unwrap().contains(title));
    let lines = scene.unwrap_or_else(|| panic!("{title:?} is not in {story}")).trim_start().lines().skip(1);
    lines.map(|line| line[9..].to_owned()).collect()
}

#[test]
fn workers_share_a_circuit_and_survive_each_other_and_the_store() {
    let output = Command::new(env!("CARGO_BIN_EXE_shared_state")).stdin(Stdio::null()).output().unwrap();
    let story = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{story}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(story.lines().last(), Some("         all of this took place as it says"), "{story}");

    let begin = told(&story, "four workers");
    for name in ["ann", "bob", "cem", "dee"] {
        assert!(begin.contains(&format!("{name}  answered")), "{story}");
        let open = format!("{name}  not sent: circuit open");
        assert!(told(&story, "trips the circuit for all").contains(&open), "{story}");
    }
    let waiting = told(&story, "one, not four");
    let remark = waiting.last().unwrap();
    let probe = remark.split_once(" is the probe").unwrap().0;
    let taken = waiting.iter().filter(|line| line.ends_with("its probes are out")).count();
    assert_eq!((taken, waiting.iter().any(|line| line.contains("answered"))), (3, false), "{story}");

    let killed = told(&story, &format!("{probe} is killed"));
    assert!(killed.iter().all(|line| !line.starts_with(&format!("{probe}  "))), "{story}");
    assert!(killed.last().unwrap().contains(" took over after "), "{story}");
    let alone = told(&story, "Redis is killed");
    assert_eq!(
        alone.iter().filter(|line| line.ends_with("answered, without the store")).count(),
        3,
        "{story}"
    );
    assert!(alone.iter().any(|line| line.contains("(the store is lost: ")), "{story}");
    let back = told(&story, "Redis is started again");
    assert_eq!(back.iter().filter(|line| line.ends_with("  answered")).count(), 3, "{story}");
    assert!(back.iter().any(|line| line.ends_with("(the store is back)")), "{story}");
}
