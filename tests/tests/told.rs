//! What providers tell beside their answers reaches the attempts, also of those that failed: request ids and tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use futures::future::join_all;
use llm_protocol::Usage;
use llm_reliability::{Attempt, Candidate, Price, ResilientClient, StreamMode, Timeouts};
use llm_simulator::{Behaviour, Usage as Counted, Wire};
use llm_tests::{Lab, SHORT, Strategy, WIRES, ask, id_header, ms, short, within};

/// The only attempt at a model that behaves like this.
async fn attempt(
    wire: Wire,
    strategy: Strategy,
    behaviour: Behaviour,
    with: impl Fn(Candidate) -> Candidate,
) -> Attempt {
    let lab = Lab::start().await;
    lab.simulator.on("asked", behaviour);
    let client = ResilientClient::builder().candidate(with(lab.candidate(wire, "asked"))).build().unwrap();
    let report = ask(&client, strategy, "Well?").await.report;
    within(lab.simulator.wait_idle()).await;
    let [attempt] = report.attempts() else { panic!("one attempt, not {report:?}") };
    attempt.clone()
}

fn clocks(candidate: Candidate) -> Candidate {
    candidate.timeouts(Timeouts::new().first_token(SHORT).idle(SHORT))
}

#[tokio::test]
async fn the_provider_s_id_of_the_request_is_told_however_it_ended() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let answered = [
                Behaviour::answer("Fine"),
                Behaviour::answer("Fine").ignore_stream(),
                Behaviour::empty(),
                Behaviour::status(529),
                Behaviour::status(429),
                Behaviour::status(400),
                Behaviour::error_body(500),
                Behaviour::html(),
                Behaviour::keep_alives_only(ms(10)),
                Behaviour::answer("Half of it").stall_after(1),
                Behaviour::answer("Half of it").close_after(1),
                Behaviour::answer("Half of it").truncate_after(1),
                Behaviour::answer("Half of it").error_after(1, 529),
            ];
            let answered = answered.map(|behaviour| (behaviour, Some("req-17")));
            let unanswered = [Behaviour::stall(), Behaviour::reset()].map(|behaviour| (behaviour, None));
            join_all(answered.into_iter().chain(unanswered).map(async |(behaviour, id)| {
                let told = behaviour.header(id_header(wire), "req-17");
                let attempt = attempt(wire, strategy, told, clocks).await;
                assert_eq!(attempt.request_id.as_deref(), id, "{wire} {strategy:?} {}", short(&attempt));
            }))
            .await;
        }
    }
}

#[tokio::test]
async fn whole_answers_tell_the_id_of_their_request_too() {
    for wire in WIRES {
        for behaviour in [
            Behaviour::answer("Fine"),
            Behaviour::empty(),
            Behaviour::status(529),
            Behaviour::error_body(529),
            Behaviour::html(),
            Behaviour::answer("Half of it").close_after(1),
            Behaviour::answer("Half of it").truncate_after(1),
        ] {
            let told = behaviour.header(id_header(wire), "req-17");
            let whole = |candidate: Candidate| candidate.stream(StreamMode::Never);
            let attempt = attempt(wire, Strategy::Failover, told, whole).await;
            assert_eq!(attempt.request_id.as_deref(), Some("req-17"), "{wire} {}", short(&attempt));
        }
    }
}

fn counted() -> Counted {
    Counted { cache_read_tokens: 100, ..Counted::new(18, 27) }
}

fn usage(output: u64, reasoning: Option<u64>, cache_write: Option<u64>) -> Usage {
    Usage {
        input_tokens: Some(18),
        output_tokens: Some(output),
        cache_read_tokens: Some(100),
        cache_write_tokens: cache_write,
        reasoning_tokens: reasoning,
    }
}

#[tokio::test]
async fn tokens_are_counted_in_one_way_for_all_vendors() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for stream in [StreamMode::Auto, StreamMode::Never] {
                let told = Behaviour::answer("Fine").usage(counted());
                let attempt = attempt(wire, strategy, told, |candidate| candidate.stream(stream)).await;
                // What a vendor has no word for is unknown, and not zero.
                let expected = match wire {
                    Wire::OpenAi => usage(27, Some(0), None),
                    _ => usage(27, None, Some(0)),
                };
                assert_eq!(attempt.usage, Some(expected), "{wire} {strategy:?} {stream:?}");
                assert_eq!(attempt.usage.unwrap().total(), Some(145));
            }
        }
    }
}

#[tokio::test]
async fn a_cut_answer_costs_what_its_vendor_had_told_by_then() {
    let priced = |candidate: Candidate| {
        clocks(candidate).price(Price::new("USD", "10".parse().unwrap(), "100".parse().unwrap()))
    };
    for (strategy, outcome) in [(Strategy::Failover, "failed"), (Strategy::FailoverStream, "interrupted")] {
        for (name, cut) in [
            ("truncated", Behaviour::answer("Half of it").close_after(1)),
            ("timeout/idle", Behaviour::answer("Half of it").stall_after(1)),
            ("overloaded", Behaviour::answer("Half of it").error_after(1, 529)),
        ] {
            let cut = cut.usage(counted());
            // Anthropic counts the input and the first token when it begins.
            let told = attempt(Wire::Anthropic, strategy, cut.clone(), priced).await;
            assert_eq!(short(&told), format!("asked {outcome} {name} @stream"));
            assert_eq!(told.usage, Some(usage(1, None, Some(0))), "{name}");
            // 18 of input, 100 of cached input at a tenth, and 1 of output.
            assert_eq!(told.cost.unwrap().total.normalize().to_string(), "0.00038", "{name}");
            // OpenAI counts at the end.
            let untold = attempt(Wire::OpenAi, strategy, cut, priced).await;
            assert_eq!(short(&untold), format!("asked {outcome} {name} @stream"));
            assert_eq!(untold.usage, None, "{name}: unknown is not zero");
            assert!(untold.cost.is_none(), "{name}");
        }
    }
}
