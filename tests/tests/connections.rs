//! Connections: none to be had, and one that serves every call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_adapters::HttpClient;
use llm_reliability::{ResilientClient, StreamMode};
use llm_simulator::Wire;
use llm_tests::{Lab, SHORT, Strategy, WIRES, ask, assert_received, assert_times, other, trail, within};
use tokio::net::{TcpListener, TcpSocket};

/// Asks a host that cannot be reached, then one that can be.
async fn unreachable(lab: &Lab, host: &str, kind: &str) {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for stream in [StreamMode::Auto, StreamMode::Never] {
                let received = lab.simulator.received_total();
                let client = ResilientClient::builder()
                    .candidate(lab.candidate_at(wire, host, "gone", "key").stream(stream))
                    .candidate(lab.candidate(other(wire), "rescue"))
                    .build()
                    .unwrap();
                let report = ask(&client, strategy, "Anyone?").await.report;
                let gone = format!("gone failed {kind} @connect");
                assert_eq!(trail(&report), [gone.as_str(), "rescue success @stream"], "{wire} {strategy:?}");
                assert_times(&report);
                assert_eq!(lab.simulator.received_total(), received + 1, "only the rescue was asked");
                assert_eq!(client.status().await[0].1.failures, 1, "it counts");
            }
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_as_one_that_nobody_received() {
    // Bound, so that nobody else gets the port, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let host = format!("http://{}", closed.local_addr().unwrap());
    unreachable(&Lab::start().await, &host, "connection").await;
}

#[tokio::test]
async fn a_host_without_tls_is_no_connection() {
    let lab = Lab::start().await;
    let host = format!("https://{}", lab.simulator.address());
    unreachable(&lab, &host, "connection").await;
}

#[tokio::test]
async fn connecting_has_a_clock_of_its_own() {
    // Accepts connections into its backlog, and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("https://{}", silent.local_addr().unwrap());
    let http = HttpClient::configure(|http| http.no_proxy().connect_timeout(SHORT)).unwrap();
    unreachable(&Lab::with(http).await, &host, "timeout/connect").await;
}

/// A connection is used again only when its last answer was read to the very end, which lies behind the vendor's own
/// last word. Whoever stops there closes the connection and pays for a new one with every call: a TCP and a TLS
/// handshake, three round trips before the first token, and under load all the ports that the machine has.
#[tokio::test]
async fn one_connection_serves_all_calls_that_come_one_after_the_other() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for stream in [StreamMode::Auto, StreamMode::Never] {
                let lab = Lab::start().await;
                let client = client(&lab, wire, stream);
                for _ in 0..5 {
                    let report = ask(&client, strategy, "Again?").await.report;
                    assert!(report.succeeded(), "{:?}", trail(&report));
                    within(lab.simulator.wait_idle()).await;
                }
                assert_eq!(lab.simulator.received("asked"), 5);
                assert_eq!(lab.simulator.connections(), 1, "{wire} {strategy:?} {stream:?}");
            }
        }
    }
}

fn client(lab: &Lab, wire: Wire, stream: StreamMode) -> ResilientClient {
    ResilientClient::builder().candidate(lab.candidate(wire, "asked").stream(stream)).build().unwrap()
}

#[tokio::test]
async fn a_connection_that_the_provider_has_closed_costs_no_attempt() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            // It says that it goes on and closes, as hosts do after a while of silence.
            let closing = llm_simulator::Behaviour::answer("Bye").header("connection", "close");
            lab.simulator.on("asked", closing);
            let client = client(&lab, wire, StreamMode::Auto);
            for _ in 0..3 {
                let report = ask(&client, strategy, "Again?").await.report;
                assert_eq!(trail(&report), ["asked success @stream"], "{wire} {strategy:?}");
                assert_received(&lab.simulator, &[], &[]);
            }
        }
    }
}
