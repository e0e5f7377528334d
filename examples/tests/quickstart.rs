//! The main job as a stranger runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Command, Output};

fn quickstart(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(arguments);
    for name in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn it_shows_a_failover_and_a_fan_out_without_keys_or_a_network() {
    // Nobody listens there: whatever went through this proxy would fail.
    let output =
        quickstart(&[], &[("HTTP_PROXY", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9")]);
    let shown = stdout(&output);
    assert!(output.status.success(), "{shown}");
    for expected in [
        "0  anthropic:claude-busy  failed   overloaded (529)      transient  first token",
        "1  openai:gpt-silent      failed   timeout: first token  transient  first token",
        "2  groq:llama-steady      success",
        "1  anthropic:claude-throttled  deferred backpressure  rate limited (429)  backpressure",
        "2 of 3 answered",
    ] {
        assert!(shown.contains(expected), "`{expected}` is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "a pipe gets plain text");
}

#[test]
fn colours_come_when_they_are_wanted() {
    assert!(stdout(&quickstart(&[], &[("CLICOLOR_FORCE", "1")])).contains("\u{1b}[32m"));
    let plain = quickstart(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]);
    assert!(!stdout(&plain).contains('\u{1b}'));
}

#[test]
fn without_a_key_there_is_nothing_live() {
    let output = quickstart(&["--live"], &[("OPENAI_API_KEY", " ")]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    let missing = |variable| format!("the environment variable `{variable}` is not set or empty");
    let expected = format!(
        "quickstart: none of the models can be asked: anthropic:claude-haiku-4-5: {}; openai:gpt-5-mini: {}\n",
        missing("ANTHROPIC_API_KEY"),
        missing("OPENAI_API_KEY")
    );
    assert_eq!(error, expected);
}
