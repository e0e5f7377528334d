//! Connections: none to be had, and one that serves every call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use futures::future::{join, join_all};
use llm_adapters::HttpClient;
use llm_reliability::ResilientClient;
use llm_simulator::Wire;
use llm_tests::{
    Lab, Mode, SHORT, Strategy, ask, assert_received, assert_times, http, other, raw, secs, trail, within,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

/// Asks a host that cannot be reached, then one that can be, in every way at a time.
async fn unreachable(http: HttpClient, host: &str, kind: &str) {
    join_all(Mode::all().map(async |Mode { wire, strategy, stream }| {
        let lab = Lab::with(http.clone()).await;
        let client = ResilientClient::builder()
            .candidate(lab.candidate_at(wire, host, "gone", "key").stream(stream))
            .candidate(lab.candidate(other(wire), "rescue"))
            .build()
            .unwrap();
        let report = ask(&client, strategy, "Anyone?").await.report;
        let gone = format!("gone failed {kind} @connect");
        assert_eq!(trail(&report), [gone.as_str(), "rescue success @stream"], "{wire} {strategy:?}");
        assert_times(&report);
        assert_received(&lab.simulator, report.attempts(), &["gone", "rescue"]);
        assert_eq!(client.status().await[0].1.failures, 1, "it counts");
    }))
    .await;
}

#[tokio::test]
async fn a_refused_connection_is_told_as_one_that_nobody_received() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let host = format!("http://{}", closed.local_addr().unwrap());
    unreachable(http(secs(30)), &host, "connection").await;
}

#[tokio::test]
async fn a_host_without_tls_is_no_connection() {
    let plain = Lab::start().await;
    let host = format!("https://{}", plain.simulator.address());
    unreachable(http(secs(30)), &host, "connection").await;
    assert_eq!(plain.simulator.received_total(), 0);
}

#[tokio::test]
async fn connecting_has_a_clock_of_its_own() {
    // Accepts connections into its backlog, and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("https://{}", silent.local_addr().unwrap());
    unreachable(http(SHORT), &host, "timeout/connect").await;
}

/// A connection is used again only when its last answer was read to the very end, which lies behind the vendor's own
/// last word. Whoever stops there closes the connection and pays for a new one with every call: a TCP and a TLS
/// handshake, three round trips before the first token, and under load all the ports that the machine has.
#[tokio::test]
async fn one_connection_serves_all_calls_that_come_one_after_the_other() {
    for mode in Mode::all() {
        let lab = Lab::start().await;
        let asked = lab.candidate(mode.wire, "asked").stream(mode.stream);
        let client = ResilientClient::builder().candidate(asked).build().unwrap();
        for _ in 0..5 {
            let report = ask(&client, mode.strategy, "Again?").await.report;
            assert!(report.succeeded(), "{:?}", trail(&report));
            within(lab.simulator.wait_idle()).await;
            // The connection goes back to its pool in a task of its own, which gets its turn here. A call that is
            // quicker than that opens a second connection.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(lab.simulator.received("asked"), 5);
        assert_eq!(lab.simulator.connections(), 1, "{mode:?}");
    }
}

/// A whole answer in OpenAI's words, after which the connection might be used again.
const ANSWER: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}"#;

/// Answers one request on each connection, closes it, and returns when the client has closed it too.
async fn answer_and_close(listener: &TcpListener) {
    let (mut socket, _) = listener.accept().await.unwrap();
    raw::read_request(&mut socket).await;
    let length = format!("content-length: {}", ANSWER.len());
    raw::write_response(&mut socket, "application/json", &length, ANSWER).await;
    socket.shutdown().await.unwrap();
    raw::closed(&mut socket).await;
}

#[tokio::test]
async fn a_connection_that_the_provider_has_closed_costs_no_attempt() {
    for strategy in Strategy::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let lab = Lab::start().await;
        let asked = lab.candidate_at(Wire::OpenAi, &host, "asked", "key");
        let client = ResilientClient::builder().candidate(asked).build().unwrap();
        for _ in 0..3 {
            let (asked, ()) =
                within(join(ask(&client, strategy, "Again?"), answer_and_close(&listener))).await;
            assert_eq!(trail(&asked.report), ["asked success @stream"], "{strategy:?}");
        }
    }
}
