//! What comes after the end of an answer, or does not come, takes nothing from the answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use futures::future::join;
use llm_reliability::{ResilientClient, Timeouts};
use llm_simulator::Wire;
use llm_tests::{Lab, SHORT, Strategy, ask, assert_times, raw, trail, within};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const FINISHED: &str = concat!(
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"All of it\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
);

const DONE: &str = "data: [DONE]\n\n";

const STOPPED: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"All of it\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

/// What the connection does after the last event.
#[derive(Clone, Copy, Debug)]
enum Then {
    Silence,
    Reset,
    Close,
}

/// Asks a provider that sends these events, and never says that its body is at its end.
async fn answered(wire: Wire, strategy: Strategy, events: &str, then: Then) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let lab = Lab::start().await;
    let asked = lab.candidate_at(wire, &host, "asked", "key");
    let client = ResilientClient::builder()
        .candidate(asked.timeouts(Timeouts::new().idle(SHORT)))
        .candidate(lab.candidate(wire, "never asked"))
        .build()
        .unwrap();
    let provider = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        raw::read_request(&mut socket).await;
        let chunk = format!("{:x}\r\n{events}\r\n", events.len());
        raw::write_response(&mut socket, "text/event-stream", "transfer-encoding: chunked", &chunk).await;
        match then {
            Then::Silence => {}
            Then::Reset => return socket.set_zero_linger().unwrap(),
            Then::Close => socket.shutdown().await.unwrap(),
        }
        raw::closed(&mut socket).await;
    };
    let (asked, ()) = within(join(ask(&client, strategy, "Is that all?"), provider)).await;
    let named = format!("{wire} {strategy:?} {then:?} after {:?}", events.lines().last());
    assert_eq!(trail(&asked.report), ["asked success @stream"], "{named}: {:?}", asked.report);
    assert_eq!(asked.text, "All of it", "{named}");
    assert_times(&asked.report);
    assert_eq!(client.status().await[0].1.failures, 0, "{named}");
    assert_eq!(lab.simulator.received_total(), 0, "{named}: nobody else was asked");
}

#[tokio::test]
async fn an_answer_with_its_terminal_marker_is_whole_whatever_the_connection_does_then() {
    for strategy in Strategy::ALL {
        for then in [Then::Silence, Then::Reset, Then::Close] {
            answered(Wire::Anthropic, strategy, STOPPED, then).await;
            answered(Wire::OpenAi, strategy, &[FINISHED, DONE].concat(), then).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_has_finished_and_is_never_said_to_be_done_is_whole() {
    for strategy in Strategy::ALL {
        for then in [Then::Silence, Then::Reset, Then::Close] {
            answered(Wire::OpenAi, strategy, FINISHED, then).await;
        }
    }
}

/// Lets everything else that can go on go on.
async fn turn() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Many hosts write their terminal marker and the end of the body apart. A client that does not wait for the second
/// has to close the connection, and makes a new one for every call.
#[tokio::test]
async fn a_connection_is_used_again_also_when_the_end_of_the_body_comes_after_that_of_the_answer() {
    for (wire, events) in [(Wire::Anthropic, STOPPED.to_owned()), (Wire::OpenAi, [FINISHED, DONE].concat())] {
        for strategy in Strategy::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host = format!("http://{}", listener.local_addr().unwrap());
            let lab = Lab::start().await;
            let asked = lab.candidate_at(wire, &host, "asked", "key");
            let client = ResilientClient::builder().candidate(asked).build().unwrap();
            let mut socket = None;
            for _ in 0..3 {
                let provider = async {
                    if socket.is_none() {
                        let accepted = listener.accept().await.unwrap().0;
                        // The end of the body shall not wait for what comes before it to be acknowledged.
                        accepted.set_nodelay(true).unwrap();
                        socket = Some(accepted);
                    }
                    let socket = socket.as_mut().unwrap();
                    raw::read_request(socket).await;
                    let chunk = format!("{:x}\r\n{events}\r\n", events.len());
                    let framing = "transfer-encoding: chunked";
                    raw::write_response(socket, "text/event-stream", framing, &chunk).await;
                    turn().await;
                    socket.write_all(b"0\r\n\r\n").await.unwrap();
                };
                let (asked, ()) = within(join(ask(&client, strategy, "Again?"), provider)).await;
                assert_eq!(trail(&asked.report), ["asked success @stream"], "{wire} {strategy:?}");
                turn().await;
            }
        }
    }
}
