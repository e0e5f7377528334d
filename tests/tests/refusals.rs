//! Answers that are no answers from their first byte: error statuses, errors that come as a success, pages, nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_reliability::StreamMode;
use llm_simulator::{Behaviour, Wire};
use llm_tests::{Fault, Mode, Strategy, WIRES, run};

/// The statuses, each in its vendor's own words, with what both vendors mean by them.
const STATUSES: [(u16, &str); 16] = [
    (302, "failed other"),
    (400, "failed bad_request"),
    (401, "failed authentication"),
    (402, "failed billing"),
    (403, "failed permission"),
    (404, "failed model_not_found"),
    (408, "failed server"),
    (409, "failed server"),
    (413, "failed too_large"),
    (418, "failed other"),
    (422, "failed bad_request"),
    (429, "deferred_backpressure rate_limited"),
    (500, "failed server"),
    (502, "failed server"),
    (504, "failed server"),
    (529, "failed overloaded"),
];

/// A row for each of the behaviours; an error is an error in whatever phase it is found.
fn rows(wire: Wire, phase: &'static str) -> Vec<Fault> {
    let ends = |kind: &str| -> &'static str { format!("{kind} @{phase}").leak() };
    let mut rows = Vec::new();
    let mut row = |name: &'static str, behaviour: Behaviour, kind: &str| {
        rows.push(Fault::new(name, behaviour, ends(kind)));
    };
    for (status, kind) in STATUSES {
        row(format!("HTTP {status}").leak(), Behaviour::status(status), kind);
    }
    match wire {
        Wire::OpenAi => {
            let told = |status, code| Behaviour::status(status).error_code(code);
            row("503 with its code", Behaviour::status(503), "failed overloaded");
            row("no money left", told(429, "insufficient_quota"), "failed billing");
            row("too long", told(400, "context_length_exceeded"), "failed context_length");
            row("prompt held back", told(400, "content_filter"), "failed content_filter");
            row("no such model", told(400, "model_not_found"), "failed model_not_found");
        }
        _ => {
            let told = |status, kind| Behaviour::status(status).error_type(kind);
            row("503 without a code", Behaviour::status(503), "failed server");
            row("503 with the type of a 529", told(503, "overloaded_error"), "failed overloaded");
            let spent = Behaviour::status(429).error_code("enforced_spend_limit_reached");
            row("no money left", spent, "failed billing");
            let long =
                Behaviour::status(400).error_message("prompt is too long: 210000 tokens > 200000 maximum");
            row("too long", long, "failed context_length");
        }
    }
    row("a proxy's error page", Behaviour::status(502).body("<html>Bad gateway</html>"), "failed server");
    row("overloaded as a success", Behaviour::error_body(529), "failed overloaded");
    row("throttled as a success", Behaviour::error_body(429), "deferred_backpressure rate_limited");
    row("broken as a success", Behaviour::error_body(500), "failed server");
    row("wrong key as a success", Behaviour::error_body(401), "failed authentication");
    row("an HTML page", Behaviour::html(), "failed protocol");
    row("plain text", Behaviour::default().body("upstream connect error"), "failed protocol");
    row("no body", Behaviour::default().body(""), "failed protocol");
    row("no content", Behaviour::status(204), "failed protocol");
    row("an empty object", Behaviour::default().body("{}"), "failed protocol");
    row("a list", Behaviour::default().body("[]"), "failed protocol");
    row("half an object", Behaviour::default().body("{\"id\": \"x"), "failed truncated");
    row("reset before headers", Behaviour::reset(), "failed connection");
    row("closed before headers", Behaviour::close(), "failed connection");
    rows
}

async fn refused(strategy: Strategy) {
    for wire in WIRES {
        run(Mode { wire, strategy, stream: StreamMode::Auto }, rows(wire, "first_token")).await;
    }
}

#[tokio::test]
async fn failover_leaves_behind_who_refuses() {
    refused(Strategy::Failover).await;
}

#[tokio::test]
async fn failover_stream_leaves_behind_who_refuses() {
    refused(Strategy::FailoverStream).await;
}

#[tokio::test]
async fn who_is_not_asked_for_a_stream_refuses_in_the_same_way() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            run(Mode { wire, strategy, stream: StreamMode::Never }, rows(wire, "response")).await;
        }
    }
}
