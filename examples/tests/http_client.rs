//! The example `http_client` does what its first line says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

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
