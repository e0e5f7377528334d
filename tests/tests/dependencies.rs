//! Who may depend on whom: the arrows of the architecture, read off `cargo tree`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::process::Command;

/// The names of everything that a crate pulls in for its users, itself left out.
fn tree(package: &str, options: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .args(options)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<_> =
        names.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package), "cargo tree did not list {package}");
    names.into_iter().filter(|name| name != package).collect()
}

const NETWORK: [&str; 6] = ["reqwest", "hyper", "rustls", "redis", "axum", "h2"];
const OURS: [&str; 6] =
    ["llm-protocol", "circuit-breaker", "llm-reliability", "llm-adapters", "llm-client", "llm-simulator"];

fn ours(tree: &BTreeSet<String>) -> Vec<&str> {
    OURS.into_iter().filter(|name| tree.contains(*name)).collect()
}

fn assert_without(package: &str, tree: &BTreeSet<String>, names: &[&str]) {
    for name in names {
        assert!(!tree.contains(*name), "{package} pulls in {name}");
    }
}

#[test]
fn the_protocol_knows_nobody_and_needs_no_runtime() {
    let tree = tree("llm-protocol", &[]);
    assert_eq!(ours(&tree), [""; 0]);
    assert_without("llm-protocol", &tree, &NETWORK);
    assert_without("llm-protocol", &tree, &["tokio", "futures", "parking_lot"]);
}

#[test]
fn the_breaker_knows_nobody_and_is_useful_without_language_models() {
    for options in [&[][..], &["--all-features"]] {
        assert_eq!(ours(&tree("circuit-breaker", options)), [""; 0]);
    }
    let bare = tree("circuit-breaker", &["--no-default-features"]);
    assert_without("circuit-breaker", &bare, &["tokio", "parking_lot"]);
    let tree = tree("circuit-breaker", &[]);
    assert_without("circuit-breaker", &tree, &NETWORK);
    assert_without("circuit-breaker", &tree, &["mockall", "futures"]);
}

#[test]
fn stores_are_for_those_who_ask_for_them() {
    for package in ["circuit-breaker", "llm-reliability", "llm-adapters", "llm-client"] {
        assert_without(package, &tree(package, &[]), &["redis"]);
    }
    let redis = tree("circuit-breaker", &["--features", "redis-cluster"]);
    assert!(redis.contains("redis"));
    assert_without("circuit-breaker with Redis", &redis, &["rustls", "native-tls"]);
    let tls = tree("circuit-breaker", &["--features", "redis-tls"]);
    assert!(tls.contains("aws-lc-rs"));
    // With two providers of cryptography, rustls would not know which one to take.
    assert_without("circuit-breaker with TLS", &tls, &["ring"]);
    let memcached = tree("circuit-breaker", &["--features", "memcached"]);
    assert_without("circuit-breaker with Memcached", &memcached, &["redis", "url"]);
}

#[test]
fn the_strategies_know_no_vendor_and_no_store() {
    let tree = tree("llm-reliability", &[]);
    assert_eq!(ours(&tree), ["llm-protocol", "circuit-breaker"]);
    assert_without("llm-reliability", &tree, &NETWORK);
}

#[test]
fn the_adapters_know_the_protocol_alone() {
    assert_eq!(ours(&tree("llm-adapters", &["--no-default-features"])), ["llm-protocol"]);
    assert_eq!(ours(&tree("llm-adapters", &[])), ["llm-protocol"]);
    let bare = tree("llm-adapters", &["--no-default-features", "--features", "openai,anthropic"]);
    assert_without("llm-adapters", &bare, &["rustls", "native-tls", "aws-lc-rs"]);
}

#[test]
fn the_client_is_where_they_meet_and_the_simulator_stands_alone() {
    assert_eq!(
        ours(&tree("llm-client", &[])),
        ["llm-protocol", "circuit-breaker", "llm-reliability", "llm-adapters"]
    );
    assert_eq!(ours(&tree("llm-simulator", &[])), [""; 0]);
}
