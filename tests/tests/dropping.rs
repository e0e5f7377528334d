//! Dropping a call: at every moment it ends the request that is under way, and is visible once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use futures::StreamExt;
use llm_protocol::StreamEvent;
use llm_reliability::circuit_breaker::State;
use llm_reliability::{Candidate, Outcome, ResilientClient};
use llm_simulator::{Behaviour, Ended, Wire};
use llm_tests::{Lab, Seen, WIRES, id_header, ms, other, polled, reached, short, until, within};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

const STRATEGIES: [&str; 3] = ["failover", "failover_stream", "fan_out"];

/// So many polls that whatever comes at once has come.
const MANY: usize = 60;

/// A call by this strategy, read to its end.
async fn call(client: &ResilientClient, strategy: &str) {
    match strategy {
        "failover" => drop(client.failover("Hello?").await.unwrap()),
        "failover_stream" => {
            let mut stream = client.failover_stream("Hello?").await.unwrap();
            while stream.next().await.is_some() {}
        }
        _ => drop(client.fan_out("Hello?").await.unwrap()),
    }
}

fn client(candidates: impl IntoIterator<Item = Candidate>) -> (ResilientClient, Seen) {
    let (observer, seen) = Seen::observer();
    (ResilientClient::builder().candidates(candidates).observer(observer).build().unwrap(), seen)
}

/// A client whose first candidate behaves like this. In a fan-out it is the only one, so that there is one request.
fn lab_client(lab: &Lab, wire: Wire, strategy: &str, behaviour: &Behaviour) -> (ResilientClient, Seen) {
    lab.simulator.on("asked", behaviour.clone());
    let second = (strategy != "fan_out").then(|| lab.candidate(other(wire), "never asked"));
    client([lab.candidate(wire, "asked")].into_iter().chain(second))
}

/// The request was given up; nobody else was asked, and nothing is held against anyone.
async fn assert_given_up(lab: &Lab, client: &ResilientClient) {
    within(lab.simulator.wait_until(|simulator| {
        simulator.requests("asked").iter().any(|request| request.ended != Ended::Open)
    }))
    .await;
    let endings: Vec<_> = lab.simulator.requests("asked").iter().map(|request| request.ended).collect();
    assert_eq!(endings, [Ended::Disconnected]);
    assert_eq!(lab.simulator.received_total(), 1, "nobody else was asked");
    assert_eq!(lab.simulator.open_requests(), 0);
    for (key, status) in client.status().await {
        assert_eq!((status.state, status.failures), (State::Closed, 0), "{key}");
    }
}

#[tokio::test]
async fn dropped_while_it_connects() {
    for wire in WIRES {
        for strategy in STRATEGIES {
            // Accepts, and never says a word of TLS: connecting takes until the handshake is over.
            let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host = format!("https://{}", silent.local_addr().unwrap());
            let lab = Lab::start().await;
            let second = (strategy != "fan_out").then(|| lab.candidate(other(wire), "never asked"));
            let (client, seen) =
                client([lab.candidate_at(wire, &host, "asked", "key")].into_iter().chain(second));
            let accepted = within(until(silent.accept(), call(&client, strategy))).await;
            assert_eq!(seen.trail(), ["asked cancelled @connect"], "{wire} {strategy}");
            // What it had begun to say, and then the end of the connection.
            let (mut socket, _) = accepted.unwrap();
            let _ = within(socket.read_to_end(&mut Vec::new())).await;
            assert_eq!(lab.simulator.received_total(), 0, "nobody else was asked");
        }
    }
}

#[tokio::test]
async fn dropped_while_the_headers_are_awaited() {
    for wire in WIRES {
        for strategy in STRATEGIES {
            let lab = Lab::start().await;
            let (client, seen) = lab_client(&lab, wire, strategy, &Behaviour::stall());
            let asked = lab.simulator.wait_received("asked", 1);
            within(until(asked, call(&client, strategy))).await;
            assert_eq!(seen.trail(), ["asked cancelled @first_token"], "{wire} {strategy}");
            assert_given_up(&lab, &client).await;
        }
    }
}

#[tokio::test]
async fn dropped_before_the_first_token() {
    for wire in WIRES {
        for strategy in STRATEGIES {
            let lab = Lab::start().await;
            let silent = Behaviour::keep_alives_only(ms(1)).header(id_header(wire), "req-17");
            let (client, seen) = lab_client(&lab, wire, strategy, &silent);
            assert!(within(polled(MANY, call(&client, strategy))).await.is_none());
            let attempts = seen.attempts();
            assert_eq!(attempts.iter().map(short).collect::<Vec<_>>(), ["asked cancelled @first_token"]);
            assert_eq!(attempts[0].request_id.as_deref(), Some("req-17"), "the headers had come");
            assert_given_up(&lab, &client).await;
        }
    }
}

#[tokio::test]
async fn dropped_in_the_middle_of_an_answer() {
    for wire in WIRES {
        for strategy in STRATEGIES {
            let lab = Lab::start().await;
            let talking = Behaviour::answer("and on ".repeat(10_000)).token_delay(ms(2));
            let (client, seen) = lab_client(&lab, wire, strategy, &talking);
            assert!(within(polled(MANY, call(&client, strategy))).await.is_none());
            assert_eq!(seen.trail(), ["asked cancelled @stream"], "{wire} {strategy}");
            assert_given_up(&lab, &client).await;
        }
    }
}

#[tokio::test]
async fn dropping_a_stream_that_has_begun_ends_its_request() {
    for wire in WIRES {
        for into_report in [false, true] {
            let lab = Lab::start().await;
            let (client, seen) =
                lab_client(&lab, wire, "failover_stream", &Behaviour::answer("Half of it").stall_after(1));
            let mut stream = within(client.failover_stream("Hello?")).await.unwrap();
            while !matches!(within(stream.next()).await, Some(Ok(StreamEvent::Text(_)))) {}
            assert!(seen.attempts().is_empty(), "it goes on");
            assert_eq!(lab.simulator.open_requests(), 1);
            if into_report {
                let report = stream.into_report();
                assert_eq!(report.ended(), llm_reliability::Ended::Interrupted);
                assert_eq!(
                    report.attempts().iter().map(short).collect::<Vec<_>>(),
                    ["asked cancelled @stream"]
                );
            } else {
                drop(stream);
            }
            assert_eq!(seen.trail(), ["asked cancelled @stream"], "{wire}");
            assert_given_up(&lab, &client).await;
        }
    }
}

#[tokio::test]
async fn every_seat_of_a_fan_out_that_is_dropped_ends() {
    let lab = Lab::start().await;
    lab.simulator.on("silent", Behaviour::stall());
    lab.simulator.on("chatty", Behaviour::keep_alives_only(ms(1)));
    lab.simulator.on("talking", Behaviour::answer("and on ".repeat(10_000)).token_delay(ms(2)));
    let (client, seen) = client([
        lab.candidate(Wire::OpenAi, "silent"),
        lab.candidate(Wire::Anthropic, "chatty"),
        lab.candidate(Wire::OpenAi, "talking"),
    ]);
    assert!(within(polled(MANY * 4, client.fan_out("Hello?"))).await.is_none());
    let mut trail = seen.trail();
    trail.sort();
    assert_eq!(
        trail,
        ["chatty cancelled @first_token", "silent cancelled @first_token", "talking cancelled @stream"]
    );
    within(lab.simulator.wait_idle()).await;
    assert_eq!(lab.simulator.received_total(), 3);
    assert!(lab.simulator.all_requests().iter().all(|request| request.ended == Ended::Disconnected));
}

/// Drops a call of two candidates that fail and one that answers after the first poll, after the second, and so on,
/// until it has ended by then.
async fn dropped_at_every_poll(strategy: &str) {
    for wire in WIRES {
        let mut phases = BTreeSet::new();
        for polls in 0.. {
            assert!(polls < 500, "{wire} {strategy} never ends");
            match dropped_after(polls, wire, strategy).await {
                Some(dropped_in) => phases.extend(dropped_in),
                None => break,
            }
        }
        assert_eq!(Vec::from_iter(phases), ["connect", "first_token", "stream"], "{wire} {strategy}");
    }
}

#[tokio::test]
async fn a_failover_may_be_dropped_at_every_poll() {
    dropped_at_every_poll("failover").await;
}

#[tokio::test]
async fn a_failover_stream_may_be_dropped_at_every_poll() {
    dropped_at_every_poll("failover_stream").await;
}

#[tokio::test]
async fn a_fan_out_may_be_dropped_at_every_poll() {
    dropped_at_every_poll("fan_out").await;
}

/// In which phases the requests were that were under way; `None` when the call had ended by itself.
async fn dropped_after(polls: usize, wire: Wire, strategy: &str) -> Option<Vec<&'static str>> {
    let lab = Lab::start().await;
    let simulator = &lab.simulator;
    // Each in small pieces, so that there are many moments.
    simulator.on("overloaded", Behaviour::status(529).drip(40, ms(1)));
    let thinking = Behaviour::default().reasoning("one two three four").token_delay(ms(1));
    simulator.on("cut", thinking.close_after(0));
    simulator.on("good", Behaviour::answer("one two three four five six seven").token_delay(ms(1)));
    let (client, seen) = client([
        lab.candidate(wire, "overloaded"),
        lab.candidate(other(wire), "cut"),
        lab.candidate(wire, "good"),
    ]);
    let ended = within(polled(polls, call(&client, strategy))).await.is_some();
    // With the client and its connections everything ends that was under way.
    drop((client, lab.http));
    within(simulator.wait_until(|simulator| simulator.open_connections() == 0)).await;
    within(simulator.wait_idle()).await;

    let attempts = seen.attempts();
    let at = format!(
        "{wire} {strategy} after {polls} polls: {:?}",
        attempts.iter().map(short).collect::<Vec<_>>()
    );
    let cancelled: Vec<_> =
        attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Cancelled)).collect();
    // An answer that was whole by then is one, whoever had stopped reading.
    let last = attempts.iter().filter(|attempt| attempt.succeeded()).count() + cancelled.len();
    match strategy {
        _ if polls == 0 => assert!(attempts.is_empty(), "{at}"),
        "fan_out" => assert_eq!(attempts.len(), 3, "{at}: each seat is seen once"),
        _ => assert_eq!(last, 1, "{at}: the one that was under way is seen once"),
    }
    assert!(!ended || cancelled.is_empty(), "{at}");
    for model in ["overloaded", "cut", "good"] {
        let (received, told) = (simulator.received(model), reached(&attempts, model));
        // A request that was cut off on its way is told of and never arrived.
        let lost = reached(cancelled.iter().copied(), model);
        assert!((told - lost..=told).contains(&received), "{at}: {model} received {received}");
        assert!(simulator.requests(model).iter().all(|request| request.ended != Ended::Open), "{at}");
    }
    let phases = cancelled.iter().map(|attempt| attempt.phase.unwrap().as_str());
    (!ended).then(|| phases.collect())
}
