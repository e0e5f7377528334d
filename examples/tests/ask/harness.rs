//! Runs `ask` against a simulator.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use llm_simulator::{Behaviour, Simulator, Usage};
use serde_json::Value;

pub(crate) const KEY: &str = "sk-hunter2-hunter2";

pub(crate) const PRICE: &str =
    "price = { currency = 'USD', input_per_1m = '0.80', output_per_1m = '4.00' }\n";

/// A configuration file of this text.
pub(crate) fn file(text: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ask-{}-{number}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// `[[candidate]]`s at the simulator, by provider and model.
pub(crate) fn candidates(simulator: &Simulator, models: &[(&str, &str)]) -> String {
    let candidate = |(provider, model): &(&str, &str)| {
        let version = if *provider == "anthropic" { "" } else { "/v1" };
        format!(
            "[[candidate]]\nprovider = '{provider}'\nmodel = '{model}'\nbase_url = '{}{version}'\n\
             api_key_env = 'ASK_KEY'\n{PRICE}",
            simulator.base_url()
        )
    };
    models.iter().map(candidate).collect()
}

pub(crate) fn command(config: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ask"));
    command.arg("--config").arg(file(config)).args(arguments).env("ASK_KEY", KEY).env("ASK_EMPTY", "");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(self.out.lines().last().unwrap()).unwrap()
    }
}

/// Runs `ask`, and sees to what holds of every run.
pub(crate) async fn ask(config: &str, arguments: &[&str]) -> Done {
    let mut command = command(config, arguments);
    done(tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap())
}

pub(crate) fn done(output: Output) -> Done {
    let done = Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    for text in [&done.out, &done.err] {
        assert!(!text.contains("hunter2") && !text.contains("panicked"), "{text}");
    }
    done
}

pub(crate) async fn refused(config: &str, arguments: &[&str], part: &str) {
    let done = ask(config, arguments).await;
    assert_eq!((done.code, done.out.as_str()), (2, ""), "{}", done.err);
    assert!(done.err.starts_with("ask: ") && done.err.contains(part), "{}", done.err);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
}

pub(crate) fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The overloaded one, the silent one, and the one that answers.
pub(crate) async fn trail(simulator: &Simulator, arguments: &[&str]) -> Done {
    simulator.on("busy", Behaviour::status(529));
    simulator.on("silent", Behaviour::stall());
    let usage = Usage::new(18, 27);
    simulator.on("well", Behaviour::answer("Hello there").usage(usage).model_id("well-2026"));
    // Only the silent one is given up soon: the others answer as fast as the machine lets them.
    let asked = candidates(simulator, &[("anthropic", "busy"), ("openai", "silent")]);
    let last = candidates(simulator, &[("groq", "well")]);
    let silent = "timeouts.first_token = '200ms'\n";
    ask(&format!("timeouts.first_token = '60s'\n{asked}{silent}{last}"), arguments).await
}
