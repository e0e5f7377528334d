//! The example `tools` does what its first line says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

#[test]
fn the_second_vendor_answers_with_what_the_first_has_asked_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_tools")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "  [anthropic:claude-haiku-4-5 success @stream]",
        "model: Let me look both up.",
        r#"model: weather({"city":"Ulm"}) -> 24 °C, sunny"#,
        r#"model: weather({"city":"Bonn"}) -> 21 °C, clouds"#,
        "  [anthropic:claude-haiku-4-5 failed overloaded @first_token]",
        "  [openai:gpt-5-mini success @stream]",
        "model: In Ulm: 24 °C, and 21 °C in Bonn.",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}
