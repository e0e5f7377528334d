//! What comes late or never, and clients that do not wait for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::time::Duration;

use common::{Asker, WIRES, events, read, read_until, within};
use llm_simulator::{Behaviour, Ended, Host, Simulator, Wire};
use tokio::time::{Instant, timeout};

const SHORT: Duration = Duration::from_millis(60);
/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(100_000);

async fn start(behaviour: Behaviour) -> (Simulator, Asker) {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", behaviour);
    let asker = Asker::new(&simulator);
    (simulator, asker)
}

/// What ends that which comes before the first token.
fn opening(wire: Wire) -> &'static str {
    if wire == Wire::OpenAi { "\"role\":\"assistant\"" } else { "\"ping\"}\n\n" }
}

fn keep_alive(wire: Wire) -> &'static str {
    if wire == Wire::OpenAi { ": keep-alive\n\n" } else { "event: ping\n" }
}

#[tokio::test]
async fn a_client_that_gives_up_is_noticed_while_nothing_is_sent() {
    for behaviour in
        [Behaviour::stall(), Behaviour::default().delay(FOR_EVER), Behaviour::status(500).delay(FOR_EVER)]
    {
        let (simulator, asker) = start(behaviour).await;
        for wire in WIRES {
            for stream in [false, true] {
                let before = simulator.received("m");
                {
                    let request = asker.request(wire, "m", stream).send();
                    let mut request = std::pin::pin!(request);
                    tokio::select! {
                        answered = &mut request => panic!("{answered:?}"),
                        () = simulator.wait_received("m", before + 1) => {}
                    }
                    assert_eq!(simulator.open_requests(), 1);
                    assert_eq!(simulator.requests("m")[before].ended, Ended::Open);
                }
                within(simulator.wait_idle()).await;
                assert_eq!(simulator.requests("m")[before].ended, Ended::Disconnected);
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_gives_up_is_noticed_in_mid_stream() {
    for behaviour in [
        Behaviour::answer("one two").stall_after(1),
        Behaviour::answer("one two").token_delay(FOR_EVER),
        Behaviour::answer("one two").reasoning("one").text_delay(FOR_EVER),
    ] {
        let (simulator, asker) = start(behaviour).await;
        for wire in WIRES {
            let mut response = asker.send(wire, "m", true).await.unwrap();
            let so_far = read_until(&mut response, "\"one\"").await;
            assert!(!so_far.contains("two"));
            assert_eq!(simulator.open_requests(), 1);
            drop(response);
            within(simulator.wait_idle()).await;
        }
        assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Disconnected));
        within(simulator.wait_until(|simulator| simulator.open_connections() == 0)).await;
    }
}

#[tokio::test]
async fn headers_and_opening_come_before_a_slow_first_token() {
    let (simulator, asker) = start(Behaviour::answer("one").first_token(FOR_EVER)).await;
    for (wire, names) in [
        (Wire::OpenAi, [""].as_slice()),
        (Wire::Anthropic, ["message_start", "content_block_start", "ping"].as_slice()),
    ] {
        let mut response = asker.send(wire, "m", true).await.unwrap();
        let so_far = read_until(&mut response, opening(wire)).await;
        assert!(so_far.ends_with("\n\n"));
        let found: Vec<String> = events(&so_far).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, names);
        assert!(timeout(SHORT, response.chunk()).await.is_err(), "something came before the first token");
    }
    drop(simulator);
}

#[tokio::test]
async fn delays_end() {
    for behaviour in [
        Behaviour::answer("one").delay(SHORT),
        Behaviour::answer("one").first_token(SHORT),
        Behaviour::answer("one").first_token(SHORT).keep_alive(Duration::from_millis(7)),
        Behaviour::answer("one").reasoning("hm").text_delay(SHORT),
        Behaviour::answer("on e").token_delay(SHORT),
    ] {
        let (_simulator, asker) = start(behaviour.clone()).await;
        for wire in WIRES {
            for stream in [true, false] {
                let begun = Instant::now();
                let seen = asker.ask(wire, "m", stream).await;
                assert!(begun.elapsed() >= SHORT, "{behaviour:?}");
                assert!(seen.whole);
                if stream {
                    assert!(seen.terminated());
                    assert_eq!(seen.deltas().concat().replace(' ', ""), "one");
                } else {
                    assert!(seen.json().is_object()); // white space before it or not
                }
            }
        }
    }
}

#[tokio::test]
async fn secret_reasoning_is_waited_for_where_it_is_sent() {
    for (behaviour, wire, waits) in [
        (Behaviour::default().host(Host::OpenRouter), Wire::OpenAi, true),
        (Behaviour::default(), Wire::Anthropic, true),
        (Behaviour::default(), Wire::OpenAi, false),
    ] {
        let delay = if waits { SHORT } else { FOR_EVER };
        let (_simulator, asker) =
            start(behaviour.text("one").redacted_reasoning("hush").text_delay(delay)).await;
        for stream in [true, false] {
            let begun = Instant::now();
            assert!(asker.ask(wire, "m", stream).await.whole);
            assert!(!waits || begun.elapsed() >= SHORT, "{wire} {stream}");
        }
    }
}

#[tokio::test]
async fn keep_alives_and_nothing_else() {
    let (_simulator, asker) = start(Behaviour::keep_alives_only(Duration::from_millis(5))).await;
    for wire in WIRES {
        let mut response = asker.send(wire, "m", true).await.unwrap();
        let mut so_far = String::new();
        while so_far.matches(keep_alive(wire)).count() < 3 {
            let chunk = within(response.chunk()).await.unwrap().unwrap();
            so_far.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert_eq!(so_far.matches("data: {\"id\"").count() + so_far.matches("message_start\n").count(), 1);
        // An answer that is not streamed is kept alive by white space.
        let mut response = asker.send(wire, "m", false).await.unwrap();
        let chunk = within(response.chunk()).await.unwrap().unwrap();
        assert!(chunk.iter().all(u8::is_ascii_whitespace));
    }
}

#[tokio::test]
async fn keep_alives_go_on_while_a_stream_stalls() {
    let behaviour = Behaviour::answer("one two").stall_after(1).keep_alive(Duration::from_millis(5));
    let (_simulator, asker) = start(behaviour).await;
    for wire in WIRES {
        let mut response = asker.send(wire, "m", true).await.unwrap();
        let mut so_far = read_until(&mut response, "\"one\"").await;
        while so_far.split("\"one\"").nth(1).unwrap().matches(keep_alive(wire)).count() < 3 {
            let chunk = within(response.chunk()).await.unwrap().unwrap();
            so_far.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(!so_far.contains("two"));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_stalls_in_mid_body() {
    let (simulator, asker) = start(Behaviour::answer("one").stall_after(0)).await;
    for wire in WIRES {
        let mut response = asker.send(wire, "m", false).await.unwrap();
        let chunk = within(response.chunk()).await.unwrap().unwrap();
        assert!(chunk.starts_with(b"{"));
        assert!(timeout(SHORT, response.chunk()).await.is_err());
    }
    within(simulator.wait_idle()).await;
    assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Disconnected));
}

#[tokio::test]
async fn dripped_events_arrive_whole() {
    let (simulator, asker) = start(Behaviour::answer("one two").drip(16, Duration::from_micros(100))).await;
    for wire in WIRES {
        let mut response = asker.send(wire, "m", true).await.unwrap();
        let chunk = within(response.chunk()).await.unwrap().unwrap();
        assert_eq!(chunk.len(), 16);
        drop(response);
        let seen = read(asker.send(wire, "m", true).await.unwrap()).await;
        assert!(seen.terminated());
        assert_eq!(seen.deltas(), ["one", " two"]);
        assert!(asker.ask(wire, "m", false).await.json().is_object());
    }
    within(simulator.wait_idle()).await;
}

#[tokio::test]
async fn dropping_the_simulator_closes_everything() {
    let (simulator, asker) = start(Behaviour::answer("one two").stall_after(1)).await;
    let mut response = asker.send(Wire::OpenAi, "m", true).await.unwrap();
    read_until(&mut response, "\"one\"").await;
    drop(simulator);
    assert!(!read(response).await.whole);
    // The task of the listener ends a moment later.
    within(async { while asker.request(Wire::OpenAi, "m", false).send().await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_stopped_simulator_has_closed_its_port() {
    let (simulator, asker) = start(Behaviour::stall()).await;
    let client = asker.request(Wire::OpenAi, "m", false);
    let pending = tokio::spawn(client.send());
    within(simulator.wait_received("m", 1)).await;
    let address = simulator.address();
    within(simulator.stop()).await;
    assert!(pending.await.unwrap().is_err());
    let again = Simulator::bind(address).await.expect("the port is free again");
    assert_eq!(again.address(), address);
}
