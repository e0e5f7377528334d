//! The example `http_client` does what its first line says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use circuit_breaker::{
    Circuit, InProcessBreaker, InProcessLimiter, LimitReason, Limits, Quota, State, Verdict,
};

#[path = "../src/bin/http_client/client.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod client;
#[path = "../src/bin/http_client/server.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod server;

use client::{Client, Problem, retry_after};
use server::Reply;

async fn client(replies: impl IntoIterator<Item = Reply>) -> Client {
    Client {
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        base: server::start(replies).await.unwrap(),
        circuit: Circuit::new(Arc::new(InProcessBreaker::default()), "stock"),
        quota: Quota::new(Arc::new(InProcessLimiter::new(Limits::default())), "stock"),
    }
}

#[tokio::test]
async fn what_never_went_out_says_nothing_about_the_service() {
    let mut client = client([]).await;
    client.circuit.admit().await.unwrap().settle(Verdict::Failure);
    client.base = "no scheme".into();
    for _ in 0..5 {
        assert!(matches!(client.get("/stock/1").await, Err(Problem::Failed(error)) if error.is_builder()));
    }
    client.quota.defer(Duration::from_secs(60));
    let limited = client.get("/stock/1").await;
    assert!(matches!(limited, Err(Problem::Limited(limited)) if limited.reason == LimitReason::Deferred));
    let status = client.circuit.status().await;
    assert_eq!((status.state, status.failures), (State::Closed, 1));
}

/// Otherwise what is reserved would have to be given back.
#[tokio::test]
async fn the_breaker_is_asked_first() {
    let client = client([]).await;
    for _ in 0..3 {
        client.circuit.admit().await.unwrap().settle(Verdict::Failure);
    }
    client.quota.defer(Duration::from_secs(60));
    assert!(matches!(client.get("/stock/1").await, Err(Problem::Open { .. })));
}

#[tokio::test]
async fn a_service_that_does_not_say_how_long_is_left_alone_for_a_while() {
    let client = client([Reply::Status(429)]).await;
    assert!(matches!(client.get("/stock/1").await, Err(Problem::Refused(_))));
    assert!(matches!(client.get("/stock/1").await, Err(Problem::Limited(_))));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let date = |date| httpdate::fmt_http_date(date);
    let (hour, now) = (Duration::from_secs(3600), SystemTime::now());
    assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
    let delay = retry_after(&date(now + 2 * hour)).unwrap();
    assert!(hour < delay && delay <= 2 * hour, "{delay:?}");
    assert_eq!(retry_after(&date(now - hour)), Some(Duration::ZERO));
    for neither in ["", "soon", "-1", "1.5", "99999999999999999999"] {
        assert_eq!(retry_after(neither), None, "{neither}");
    }
}

#[test]
fn a_service_is_left_alone_when_it_fails_and_when_it_asks() {
    // Nobody listens there: whatever went through this proxy would fail.
    let output = Command::new(env!("CARGO_BIN_EXE_http_client"))
        .envs([("HTTP_PROXY", "http://127.0.0.1:9"), ("ALL_PROXY", "http://127.0.0.1:9")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();

    // What is asked for, what came of it, and the circuit; without the time, and without how long to stay away.
    let rows = told.lines().filter(|line| line.contains("  /"));
    let mut rows: Vec<_> = rows
        .map(|row| {
            let cells = row[9..].split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(|cell| cell.split(", try again in ").next().unwrap()).collect::<Vec<_>>().join(" | ")
        })
        .collect();
    // They are out at the same time, and may come back in any order.
    let last = rows.len() - 3;
    rows[last..].sort();
    let expected = [
        "/stock/1 | 200: 42 | closed",
        "/no/such | 404 Not Found | closed",
        "/stock/2 | 429 Too Many Requests | closed",
        "/stock/2 | not sent: deferred at the service's request | closed",
        "/stock/2 | 200: 42 | closed",
        "/stock/3 | 500 Internal Server Error | closed, 1 failed",
        "/stock/3 | 503 Service Unavailable | closed, 2 failed",
        "/stock/3 | timed out | open",
        "/stock/3 | not sent: circuit open | open",
        "/stock/3 | 503 Service Unavailable | open",
        "/stock/3 | not sent: circuit open | open",
        "/stock/5 | not sent: circuit half-open, its probes are out | half-open",
        "/stock/6 | not sent: circuit half-open, its probes are out | half-open",
        "/stock/4 | 200: 42 | closed",
        "/stock/5 | 200: 42 | closed",
        "/stock/9 | not sent: too many calls in flight | closed",
        "/stock/6 | 200: 42 | closed",
        "/stock/7 | 200: 42 | closed",
        "/stock/8 | 200: 42 | closed",
    ];
    assert_eq!(rows, expected, "{told}");
}
