//! Streams that break before their first token, in the middle, and after all of the text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_reliability::StreamMode;
use llm_simulator::{Behaviour, Fault as Break, Wire};
use llm_tests::{Fault, Mode, Strategy, WIRES, run};

const TEXT: &str = "Half an answer";

/// What can break a stream, and as which kind of error that is told.
const BREAKS: [(&str, Break, &str); 9] = [
    ("reset", Break::Reset, "truncated"),
    ("closed", Break::Close, "truncated"),
    ("ended without its end", Break::Truncate, "truncated"),
    ("no JSON", Break::Malformed, "protocol"),
    ("no UTF-8", Break::InvalidUtf8, "protocol"),
    ("an event without an end", Break::EndlessEvent, "protocol"),
    ("overloaded", Break::Error(529), "overloaded"),
    ("broken", Break::Error(500), "server"),
    ("throttled", Break::Error(429), "rate_limited"),
];

fn row(name: String, behaviour: Behaviour, kind: &str, text: &'static str) -> Fault {
    let outcome = if kind == "rate_limited" { "deferred_backpressure" } else { "failed" };
    let phase = if text.is_empty() { "first_token" } else { "stream" };
    let ends: &'static str = format!("{outcome} {kind} @{phase}").leak();
    let streamed: &'static str = format!("interrupted {kind} @{phase}").leak();
    Fault::new(name.leak(), behaviour, ends).streamed(if text.is_empty() { ends } else { streamed }, text)
}

fn rows() -> Vec<Fault> {
    let mut rows = Vec::new();
    for (name, fault, kind) in BREAKS {
        let broken = |deltas| Behaviour::answer(TEXT).fault_after(deltas, fault);
        rows.push(row(format!("{name}, before the first token"), broken(0), kind, ""));
        let thinking = broken(0).reasoning("Let me see");
        rows.push(row(format!("{name}, after reasoning"), thinking, kind, ""));
        rows.push(row(format!("{name}, in the middle"), broken(1), kind, "Half"));
        // All of the text has come, and still nothing says that it is all.
        rows.push(row(format!("{name}, at the end"), broken(9), kind, TEXT));
    }
    let endless = Behaviour::answer(TEXT).fault_after(1, Break::Endless);
    rows.push(row("text without an end".to_owned(), endless, "protocol", "Half again again").open_ended());
    rows
}

async fn broken(wire: Wire, strategy: Strategy) {
    run(Mode { wire, strategy, stream: StreamMode::Auto }, rows()).await;
}

#[tokio::test]
async fn failover_never_takes_a_broken_stream_for_an_answer() {
    for wire in WIRES {
        broken(wire, Strategy::Failover).await;
    }
}

#[tokio::test]
async fn failover_stream_keeps_what_came_and_asks_nobody_else_after_the_first_token() {
    for wire in WIRES {
        broken(wire, Strategy::FailoverStream).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_said_to_be_done_without_a_finish_reason_is_cut() {
    let events = concat!(
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Half\"},\"finish_reason\":null}]}\n\n",
        "data: [DONE]\n\n",
    );
    let behaviour = Behaviour::default().body(events).header("content-type", "text/event-stream");
    for strategy in Strategy::ALL {
        let row = row("done".to_owned(), behaviour.clone(), "truncated", "Half");
        run(Mode { wire: Wire::OpenAi, strategy, stream: StreamMode::Auto }, vec![row]).await;
    }
}

/// What breaks a whole answer breaks it in the middle of its body.
fn whole_rows() -> Vec<Fault> {
    let broken = |fault| Behaviour::answer(TEXT).fault_after(1, fault);
    vec![
        Fault::new("reset", broken(Break::Reset), "failed truncated @response"),
        Fault::new("closed", broken(Break::Close), "failed truncated @response"),
        // The length says that it is whole, and the JSON that it is not.
        Fault::new("half of it", broken(Break::Truncate), "failed truncated @response"),
        Fault::new("no JSON", broken(Break::Malformed), "failed protocol @response"),
        Fault::new("no UTF-8", broken(Break::InvalidUtf8), "failed protocol @response"),
        Fault::new("no end", broken(Break::Endless), "failed protocol @response"),
        Fault::new("an error after all", broken(Break::Error(529)), "failed overloaded @response"),
    ]
}

#[tokio::test]
async fn a_whole_answer_that_breaks_is_no_answer_and_never_half_of_one() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            run(Mode { wire, strategy, stream: StreamMode::Never }, whole_rows()).await;
        }
    }
}
