//! Whether a test that is named exists: in a file that is compiled, under an attribute that has it run.

use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).canonicalize().unwrap()
}

/// What keeps this from being a test that runs, if anything does.
pub fn fault(path: &str, name: &str) -> Option<String> {
    let Ok(text) = fs::read_to_string(root().join(path)) else { return Some(format!("there is no {path}")) };
    if !is_compiled(&root().join(path)) {
        return Some(format!("no module has {path} as a part"));
    }
    match &tests(&text).filter(|test| *test == name).collect::<Vec<_>>()[..] {
        [] => Some(format!("{path} has no test `{name}`")),
        [_] => None,
        _ => Some(format!("{path} has several tests `{name}`")),
    }
}

/// The names of the tests in a file, those within `proptest!` too.
pub fn tests(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let named = move |at: usize| {
        let words = lines[at].trim_start_matches("pub ").trim_start_matches("async ");
        let (name, _) = words.strip_prefix("fn ")?.split_once('(')?;
        // Attributes and comments may come in any order; whatever else ends the item before.
        let above = lines[..at].iter().rev();
        let attributes: Vec<_> = above
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .filter(|line| line.starts_with("#["))
            .collect();
        let runs = |line: &&&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let ignored = attributes.iter().any(|line| line.starts_with("#[ignore"));
        (attributes.iter().any(runs) && !ignored).then_some(name)
    };
    (0..text.lines().count()).filter_map(named)
}

/// Whether the compiler comes by: a target of its own, or a module of a file that is compiled.
fn is_compiled(path: &Path) -> bool {
    let (folder, stem) = (path.parent().unwrap(), name(&path.with_extension("")));
    // `tests/name.rs` and `tests/name/main.rs` are found by themselves.
    let is_package = |folder: &Path| folder.with_file_name("Cargo.toml").exists();
    let is_target = match (name(folder).as_str(), stem.as_str()) {
        ("src", "lib" | "main") => true,
        ("tests", _) if is_package(folder) => true,
        (_, "main") => folder.parent().is_some_and(|above| name(above) == "tests" && is_package(above)),
        _ => false,
    };
    // A module is called like its file, or like the folder of its `mod.rs`.
    let (module, beside) = match stem.as_str() {
        "mod" => (name(folder), folder.parent().unwrap()),
        _ => (stem, folder),
    };
    let declares = |parent: &PathBuf| {
        let text = fs::read_to_string(parent).unwrap_or_default();
        let declared =
            text.lines().any(|line| line.trim().trim_start_matches("pub ") == format!("mod {module};"));
        declared && parent != path && is_compiled(parent)
    };
    let parents = ["lib.rs", "main.rs", "mod.rs"].map(|parent| beside.join(parent));
    is_target || parents.iter().chain([&beside.with_extension("rs")]).any(declares)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
