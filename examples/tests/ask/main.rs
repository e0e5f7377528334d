//! `ask` as a program, against a simulator: exit codes, what it prints, and the shape of its report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod harness;
mod report;
mod schedules;
mod shared;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use llm_simulator::{Behaviour, Ended, Simulator};
use serde_json::Value;

use crate::harness::{KEY, ask, candidates, command, done, keys, refused, trail};
use crate::report::TOP;

#[tokio::test]
async fn streamed_text_comes_before_the_report() {
    let simulator = Simulator::start().await.unwrap();
    let done = trail(&simulator, &["--strategy", "failover", "--stream", "--json", "--", "Hi"]).await;
    assert_eq!((done.code, done.out.lines().next(), done.out.lines().count()), (0, Some("Hello there"), 2));
    assert_eq!(done.report()["response"]["text"], "Hello there");
    let plain = trail(&simulator, &["--stream", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str(), plain.err.as_str()), (0, "Hello there\n", ""));
}

#[tokio::test]
async fn an_answer_is_printed_alone() {
    let simulator = Simulator::start().await.unwrap();
    let done = trail(&simulator, &["--strategy", "failover", "--", "Hi"]).await;
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "Hello there\n", ""));
}

#[tokio::test]
async fn a_cut_stream_is_interrupted() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("cut", Behaviour::answer("one two three").close_after(2));
    let config = candidates(&simulator, &[("openai", "cut"), ("anthropic", "spare")]);
    let done = ask(&config, &["--strategy", "failover", "--stream", "--json", "--", "Hi"]).await;
    assert_eq!(done.code, 1);
    let (text, _) = done.out.split_once("\n{").unwrap();
    assert!(text.starts_with("one two"), "{text:?}");
    let report = done.report();
    assert_eq!((&report["ended"], &report["succeeded"]), (&"interrupted".into(), &false.into()));
    assert_eq!(report["attempts"][0]["outcome"], "interrupted");
    assert_eq!(report["attempts"][0]["partial"]["text"], text);
    assert!(report["response"].is_null());
    assert_eq!(simulator.received("spare"), 0);

    let plain = ask(&config, &["--stream", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str()), (1, format!("{text}\n").as_str()));
    assert!(
        plain.err.starts_with("ask: the answer was cut\n  openai:cut: interrupted after "),
        "{}",
        plain.err
    );

    let collected = ask(&config, &["--", "Hi"]).await;
    assert_eq!(collected.code, 0, "what nobody has seen can fail over: {}", collected.err);
}

#[tokio::test]
async fn a_cut_stream_starts_anew_where_that_is_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("cut", Behaviour::answer("one two three").close_after(2));
    simulator.on("spare", Behaviour::answer("four five six"));
    let candidates = candidates(&simulator, &[("openai", "cut"), ("anthropic", "spare")]);
    let config = format!("[failover]\nrestart_on_cut = true\n{candidates}");
    let done = ask(&config, &["--stream", "--json", "--", "Hi"]).await;
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!((done.code, lines.len(), lines[1]), (0, 3, "four five six"), "{}", done.out);
    assert!(lines[0].starts_with("one two"), "{}", done.out);
    assert_eq!(done.err, "ask: the answer was cut, and another candidate starts anew\n");
    let report = done.report();
    assert_eq!(
        (&report["ended"], &report["response"]["text"]),
        (&"answered".into(), &"four five six".into())
    );
    assert_eq!(report["attempts"][0]["partial"]["text"], lines[0]);
}

#[tokio::test]
async fn no_answer_is_explained() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("bad", Behaviour::status(401).error_message(format!("Incorrect API key provided: {KEY}")));
    simulator.on("full", Behaviour::status(429).header("retry-after", "30"));
    let config = candidates(&simulator, &[("openai", "bad"), ("anthropic", "full")]);
    for strategy in ["failover", "fan_out"] {
        let done = ask(&config, &["--strategy", strategy, "--", "Hi"]).await;
        assert_eq!((done.code, done.out.as_str()), (1, ""));
        let lines: Vec<_> = done.err.lines().collect();
        assert_eq!(lines.len(), 3, "{}", done.err);
        assert!(lines[0].starts_with("ask: "), "{}", done.err);
        assert!(
            lines[1].starts_with("  openai:bad: failed after ") && lines[1].contains("***"),
            "{}",
            lines[1]
        );
        assert!(lines[2].starts_with("  anthropic:full: deferred_backpressure after "), "{}", lines[2]);

        let json = ask(&config, &["--strategy", strategy, "--json", "--", "Hi"]).await;
        assert_eq!((json.code, &json.report()["succeeded"]), (1, &false.into()));
    }
}

#[tokio::test]
async fn who_is_limited_is_passed_over_and_the_report_says_why_and_until_when() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("down", Behaviour::status(503));
    simulator.on("well", Behaviour::answer("Hello there"));
    let team = |model| format!("{}quota_key = 'team'\n", candidates(&simulator, &[("openai", model)]));
    let last = candidates(&simulator, &[("anthropic", "well")]);
    let limits = "[limits.team]\nrequests_per_minute = 1\n";
    let config = format!("{limits}{}{}{last}", team("down"), team("other"));
    let done = ask(&config, &["--json", "--", "Hi"]).await;
    let report = done.report();
    assert_eq!((done.code, &report["response"]["model_key"]), (0, &"anthropic:well".into()), "{}", done.err);
    let outcomes: Vec<_> = report["attempts"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "preempted_limited", "success"]);
    let limited = &report["attempts"][1];
    assert_eq!((&limited["reason"], &limited["phase"]), (&"request_rate".into(), &Value::Null));
    let rest = limited["retry_after_ms"].as_f64().unwrap();
    assert!(rest > 0.0 && rest <= 60_000.0, "{rest}");
    assert_eq!((simulator.received("down"), simulator.received("other")), (1, 0));

    let config = format!("[limits.team]\ninput_tokens_per_minute = 1\n{}", team("well"));
    let plain = ask(&config, &["--", "Longer than four bytes"]).await;
    let expected = "ask: no candidate answered\n  openai:well: preempted_limited: \
                    costs more than the limit ever holds\n";
    assert_eq!((plain.code, plain.err.as_str()), (1, expected));

    let rated = format!("[breaker]\nfailure_rate = 50\nwindow_calls = 20\njitter = 10\n{last}");
    assert_eq!(ask(&rated, &["--", "Hi"]).await.code, 0);
}

#[tokio::test]
async fn fan_out_prints_every_answer_under_its_key() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::answer("First"));
    simulator.on("b", Behaviour::status(503));
    simulator.on("c", Behaviour::answer("Third\n"));
    let config = candidates(&simulator, &[("openai", "a"), ("openai", "b"), ("anthropic", "c")]);
    let plain = ask(&config, &["--strategy", "fan_out", "--", "Hi"]).await;
    assert_eq!((plain.code, plain.out.as_str()), (0, "openai:a:\nFirst\n\nanthropic:c:\nThird\n"));

    let done = ask(&config, &["--strategy", "fan_out", "--json", "--", "Hi"]).await;
    let report = done.report();
    let mut expected = BTreeSet::from(TOP);
    expected.insert("responses");
    assert_eq!((done.code, keys(&report)), (0, expected));
    assert_eq!((&report["strategy"], &report["ended"]), (&"fan_out".into(), &"quorum_met".into()));
    assert!(report["response"].is_null() && report["quorum"].is_object());
    assert_eq!(report["responses"][1]["model_key"], "anthropic:c");
    let ordinals: Vec<_> =
        report["attempts"].as_array().unwrap().iter().map(|it| it["ordinal"].as_u64()).collect();
    assert_eq!(ordinals, [Some(0), Some(1), Some(2)]);
}

#[tokio::test]
async fn bad_input_is_one_clear_line() {
    let simulator = Simulator::start().await.unwrap();
    let good = candidates(&simulator, &[("openai", "well")]);
    let hi = ["--", "Hi"];
    refused("[[candidate]", &hi, ".toml: line 1, ").await;
    refused("[failover]\nhedge = 1", &hi, "line 2, column 1: unknown field `hedge`").await;
    refused(
        &format!("[failover]\nhedge_budget = 10\n{good}"),
        &hi,
        "`failover.hedge_budget` does nothing without `hedge_after`",
    )
    .await;
    refused("[failover]\nhedge_after = 'p30'", &hi, "line 2, column 15: \"p30\" is no duration").await;
    refused(
        &format!("[fan_out]\nquorum = 2\n{good}"),
        &hi,
        "`fan_out.quorum` is 2, and there can be no more answers than 1",
    )
    .await;
    refused(
        &format!("[fan_out]\nseats = ['openai:well', 'openai:wall']\n{good}"),
        &hi,
        "`fan_out.seats[1]` is the id of no candidate: there is `openai:well`",
    )
    .await;
    refused(
        &format!("[breaker]\nfailure_rate = 50\n{good}"),
        &hi,
        "`breaker.failure_rate` is a share of the calls in a window",
    )
    .await;
    refused(
        &format!("[limits.x]\nin_flight = 1\n{good}"),
        &hi,
        "`limits.x` is the quota key of no candidate",
    )
    .await;
    refused(&format!("[store]\nredis = 'x'\n{good}"), &hi, "`store.redis` is of no use: not the URL of a")
        .await;
    refused(
        &format!("[store]\nredis = 'redis://:{KEY}@127.0.0.1:1'\n{good}"),
        &hi,
        "`store.redis` has a user or a password in it",
    )
    .await;
    refused(&format!("[store]\nredis_env = 'ASK_MISSING'\n{good}"), &hi, "variable `ASK_MISSING`").await;
    refused(&format!("[store]\nmemcached = 'h:1'\n{good}"), &hi, "`store.memcached` does nothing without")
        .await;
    refused(&format!("{good}weight = 1"), &hi, "`candidate[0].weight` does nothing without").await;
    refused("", &hi, "there are no candidates").await;
    refused(&format!("{good}{good}"), &hi, "two candidates are called `openai:well`").await;
    refused("[[candidate]]\nprovider = 'acme'\nmodel = 'm'", &hi, "there is no provider `acme`").await;
    refused("[[candidate]]\nprovider = 'gemini'\nmodel = 'm'", &hi, "is not built yet").await;
    refused(&good.replace("ASK_KEY", "ASK_EMPTY"), &hi, "variable `ASK_EMPTY`").await;
    refused(&good.replace("ASK_KEY", "ASK_MISSING"), &hi, "variable `ASK_MISSING`").await;
    refused(&good.replace("ASK_KEY", KEY), &hi, "api_key_env` is not the name").await;
    refused(&good, &["--strategy", "fan_out", "--stream", "--", "Hi"], "--stream is for failover").await;
    refused(&good, &["--", " "], "the request is empty").await;
    refused(&good, &[], "the request is empty").await;
    assert_eq!(simulator.received_total(), 0);

    for key in [
        "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
        "d41d8cd98f00b204e9800998ecf8427e",
        "9e107d9d372bb6826bd81d3542a419d6",
        "tgp_v1_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        let config = good.replace("ASK_KEY", key);
        refused(&config, &hi, "candidate[0]").await;
        assert!(!ask(&config, &hi).await.err.contains(key), "{key}");
    }
    for name in ["id", "model", "provider"] {
        let config = format!("candidate = [{{ provider = 'p', model = 'm', {name} = \"a\\nb\" }}]");
        let config = match name {
            "provider" => config.replace("provider = 'p', ", ""),
            "model" => config.replace("model = 'm', ", ""),
            _ => config,
        };
        refused(&config, &hi, &format!("`candidate[0].{name}` has a control character in it")).await;
    }

    refused(&good, &["--strategy", "hope"], "invalid value 'hope' for '--strategy").await;
    refused(&good, &["--strategy", "a\n\x1bb"], "invalid value 'a").await;
    refused(&good, &["--unknown"], "unexpected argument '--unknown' found").await;
    refused(&good, &["no dashes"], "unexpected argument 'no dashes' found").await;
    refused(&good, &["--json", "--json"], "'--json' cannot be used multiple times").await;
    let nothing = done(Command::new(env!("CARGO_BIN_EXE_ask")).output().unwrap());
    assert_eq!((nothing.code, nothing.err.lines().count()), (2, 1));
    assert!(
        nothing.err.starts_with("ask: ") && nothing.err.contains("--config <FILE.toml>"),
        "{}",
        nothing.err
    );
    let missing =
        Command::new(env!("CARGO_BIN_EXE_ask")).args(["--config", "/no/such.toml", "--", "Hi"]).output();
    let missing = done(missing.unwrap());
    assert_eq!((missing.code, missing.err.lines().count()), (2, 1));
    assert!(missing.err.starts_with("ask: cannot read /no/such.toml: "), "{}", missing.err);
}

#[test]
fn help_is_no_error() {
    for (argument, part) in [("--help", "--strategy <STRATEGY>"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let done = done(Command::new(env!("CARGO_BIN_EXE_ask")).arg(argument).output().unwrap());
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert!(done.out.contains(part), "{}", done.out);
    }
}

#[tokio::test]
async fn the_prompt_can_come_from_standard_input() {
    let simulator = Simulator::start().await.unwrap();
    let config = candidates(&simulator, &[("openai", "well")]);
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command(&config, &[]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all("Grüße,\nask\n\n".as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert_eq!(done(output.await.unwrap()).code, 0);
    assert_eq!(simulator.requests("well")[0].body["messages"][0]["content"], "Grüße,\nask");
}

#[tokio::test]
async fn a_reader_who_leaves_ends_the_call_without_a_word() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on(
        "long",
        Behaviour::answer("word ".repeat(2000)).token_delay(std::time::Duration::from_millis(10)),
    );
    let config = candidates(&simulator, &[("openai", "long")]);
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command(&config, &["--stream", "--", "Hi"]).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let done = done(output.await.unwrap());
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    simulator.wait_idle().await;
    assert_eq!(simulator.requests("long")[0].ended, Ended::Disconnected);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_that_cannot_be_written_is_no_success() {
    let simulator = Simulator::start().await.unwrap();
    let config = candidates(&simulator, &[("openai", "well")]);
    let output = tokio::task::spawn_blocking(move || {
        let full = File::options().write(true).open("/dev/full").unwrap();
        command(&config, &["--", "Hi"]).stdout(full).output().unwrap()
    });
    let done = done(output.await.unwrap());
    assert_eq!(done.code, 1);
    assert!(done.err.starts_with("ask: cannot write the answer: "), "{}", done.err);
}
