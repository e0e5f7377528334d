//! The house rules that no compiler checks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    // Without the way through this package, whose name would count as part of every path.
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

/// Every file below `folder` with this extension, build output left out.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root(), "rs", &mut found);
    assert!(found.len() > 50, "only {} source files found", found.len());
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!") || first.starts_with("#![doc"),
            "{} starts with `{first}`",
            path.display()
        );
    }
}

#[test]
fn no_source_file_has_outgrown_its_idea() {
    for (path, text) in sources() {
        let is_test = |part: Component<'_>| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs"));
        let limit = if path.components().any(is_test) { 600 } else { 330 };
        assert!(text.lines().count() <= limit, "{} has {} lines", path.display(), text.lines().count());
    }
}

#[test]
fn every_crate_has_a_readme_that_starts_with_an_example() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let readme = entry.unwrap().path().join("README.md");
        let text = fs::read_to_string(&readme).unwrap_or_else(|_| panic!("{} is missing", readme.display()));
        let example = text.find("```rust").unwrap_or_else(|| panic!("{} has no example", readme.display()));
        let table = text.find("\n|").unwrap_or(usize::MAX);
        assert!(example < table, "{}: the example comes first", readme.display());
    }
}
