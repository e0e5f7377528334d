//! What must not be shown is not shown: credentials anywhere at all, prompts and answers in `Debug` and in errors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::error::Error;
use std::fmt::Debug;

use futures::{StreamExt, stream};
use llm_protocol::Request;
use llm_reliability::{Call, ResilientClient, Timeouts};
use llm_simulator::{Behaviour, Received, Wire};
use llm_tests::{Asked, Lab, Mode, SHORT, Seen, Strategy, WIRES, ask, id_header, secs, within};
use serde_json::Value;

/// Like no vendor's keys, so that nothing but its value gives it away.
const KEY: &str = "marmalade+tiger/lily=9f2c";
const PROMPT: &str = "Where did the persimmons go?";
const ANSWER: &str = "The quinces took them";

/// An error with all its causes, as people and as programs see them.
fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut shown, mut next) = (String::new(), Some(error));
    while let Some(cause) = next {
        shown += &format!("{cause} {cause:?} {cause:#?}\n");
        next = cause.source();
    }
    shown
}

/// Everything that a caller or a log can get to see of a call, but for the answer itself.
fn shown(client: &ResilientClient, asked: Asked, seen: &Seen) -> String {
    let Asked { report, error, .. } = asked;
    let mut shown = format!("{client:?}\n{:?}\n", client.candidates().collect::<Vec<_>>());
    shown += &format!("{report:?}\n{error:?}\n{:?}\n", seen.attempts());
    for attempt in report.attempts() {
        shown += &format!("{attempt:?}\n{:?}\n{:?}\n", attempt.response(), attempt.request_id);
        shown += &attempt.error().map(|error| chain(error)).unwrap_or_default();
    }
    shown += &error.as_ref().map(|error| chain(error)).unwrap_or_default();
    shown += &report.into_result().map_or_else(|error| chain(&error), |answer| format!("{answer:?}"));
    shown
}

#[track_caller]
fn assert_hidden(shown: &str, hidden: &[&str], named: &str) {
    assert!(shown.len() > 200, "{named}: there is something to look at");
    for hidden in hidden {
        let at = shown.find(hidden);
        let around = at.map(|at| shown[..at].chars().rev().take(100).collect::<Vec<_>>());
        let around = around.map(|around| around.into_iter().rev().collect::<String>());
        assert!(at.is_none(), "{named}: {hidden:?} shows after {around:?}");
    }
}

/// So many of the echoes, the first ones, come in a form that every error quotes.
const QUOTED: usize = 8;

/// Whatever a provider can repeat of what it was sent.
fn echoes(wire: Wire) -> Vec<Behaviour> {
    let told = format!("Incorrect API key provided: {KEY}. You asked: {PROMPT}");
    let echo = |behaviour: Behaviour| behaviour.error_message(&told).error_code(KEY).error_type(KEY);
    let events = format!("event: error\ndata: {told}\n\n");
    vec![
        echo(Behaviour::status(401)),
        echo(Behaviour::status(429)),
        echo(Behaviour::status(500)).header(id_header(wire), format!("req-{KEY}")),
        echo(Behaviour::error_body(529)),
        echo(Behaviour::answer(ANSWER).error_after(0, 529)),
        echo(Behaviour::answer(ANSWER).error_after(1, 529)),
        echo(Behaviour::answer(ANSWER).reasoning("Hm").error_after(9, 400)),
        Behaviour::status(502).body(told.clone()),
        Behaviour::status(502).body(format!("<html>{told}</html>")),
        Behaviour::default().body(format!("<html>{told}</html>")),
        Behaviour::default().body(format!("{{\"{told}\"")),
        Behaviour::default().body(events).header("content-type", "text/event-stream"),
    ]
}

/// All at a time would be a strain on the clocks.
async fn eight_at_a_time(cases: impl Iterator<Item = impl Future<Output = ()>>) {
    stream::iter(cases).buffer_unordered(8).collect().await
}

/// What there is to see of a call: the request that arrived, the report as JSON, and all the rest.
struct Exposed {
    sent: Received,
    json: Value,
    shown: String,
}

async fn expose(mode: Mode, behaviour: Behaviour) -> Exposed {
    let lab = Lab::start().await;
    lab.simulator.on("asked", behaviour);
    let (observer, seen) = Seen::observer();
    let asked = lab.candidate_at(mode.wire, &lab.simulator.base_url(), "asked", KEY);
    let timeouts = Timeouts::new().idle(SHORT).attempt(secs(1));
    let asked = asked.stream(mode.stream).timeouts(timeouts);
    let client = ResilientClient::builder().candidate(asked).observer(observer).build().unwrap();
    let call = Call::new(PROMPT);
    let request = format!("{call:?} {:?}", Request::from(PROMPT));
    let asked = ask(&client, mode.strategy, call).await;
    let json = serde_json::to_value(&asked.report).unwrap();
    let sent = lab.simulator.requests("asked").remove(0);
    Exposed { sent, json, shown: request + &shown(&client, asked, &seen) }
}

#[tokio::test]
async fn a_key_and_a_prompt_that_the_provider_repeats_are_shown_nowhere() {
    let cases =
        Mode::all().flat_map(|mode| echoes(mode.wire).into_iter().enumerate().map(move |case| (mode, case)));
    eight_at_a_time(cases.map(async |(mode, (number, behaviour))| {
        let named = format!("echo {number} {mode:?}");
        let Exposed { sent, json, shown } = expose(mode, behaviour).await;
        let sent = sent.headers().any(|(_, value)| value.contains(KEY));
        assert!(sent, "{named}: the key was sent, so that it can be repeated");
        let masked = json.to_string().contains("***");
        assert!(
            masked || number >= QUOTED,
            "{named}: what the provider said is told, without the key: {json}"
        );
        assert_hidden(&json.to_string(), &[KEY, PROMPT], &named);
        assert_hidden(&shown, &[KEY, PROMPT], &named);
    }))
    .await;
}

#[tokio::test]
async fn a_key_is_not_shown_when_there_is_no_connection_either() {
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // Some hosts want their keys in the URL.
    let host = format!("http://{}/v1?key={KEY}#", closed.local_addr().unwrap());
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            let (observer, seen) = Seen::observer();
            let gone = lab.candidate_at(wire, &host, "gone", "another key");
            let client = ResilientClient::builder().candidate(gone).observer(observer).build().unwrap();
            let asked = ask(&client, strategy, PROMPT).await;
            let json = serde_json::to_string(&asked.report).unwrap();
            let hidden = [KEY, "another key", PROMPT];
            assert_hidden(&json, &hidden, "JSON");
            assert_hidden(&shown(&client, asked, &seen), &hidden, "Debug and errors");
        }
    }
}

/// Answers that are whole, cut, and garbled: the parser of what is garbled may be tempted to quote it.
fn answers(wire: Wire) -> Vec<Behaviour> {
    let answer = || Behaviour::answer(ANSWER);
    let quoted = match wire {
        Wire::OpenAi => format!(r#"{{"choices":[{{"delta":{{"content":"{ANSWER}"}}"#),
        _ => format!(r#"{{"type":"content_block_delta","delta":{{"type":"text_delta","text":"{ANSWER}"}}"#),
    };
    let wrong_type = match wire {
        Wire::OpenAi => format!(r#"{{"choices":"{ANSWER}","message":"{PROMPT}"}}"#),
        _ => format!(r#"{{"type":"content_block_delta","index":"{ANSWER}","content":"{PROMPT}"}}"#),
    };
    let event = |json: &str| {
        Behaviour::default().body(format!("data: {json}\n\n")).header("content-type", "text/event-stream")
    };
    vec![
        answer(),
        answer().reasoning(ANSWER),
        answer().reasoning(ANSWER).close_after(0),
        answer().deltas([ANSWER, ANSWER]).close_after(1),
        answer().deltas([ANSWER, ANSWER]).stall_after(1),
        answer().ignore_stream(),
        Behaviour::default().refusal(ANSWER),
        Behaviour::default().body(quoted.clone()),
        Behaviour::default().body(wrong_type.clone()),
        event(&quoted),
        event(&wrong_type),
    ]
}

#[tokio::test]
async fn prompts_and_answers_are_in_no_debug_output_and_in_no_error() {
    let cases =
        Mode::all().flat_map(|mode| answers(mode.wire).into_iter().enumerate().map(move |case| (mode, case)));
    eight_at_a_time(cases.map(async |(mode, (number, behaviour))| {
        let named = format!("answer {number} {mode:?}");
        let Exposed { sent, mut json, shown } = expose(mode, behaviour).await;
        assert!(sent.body.to_string().contains(PROMPT), "{named}: the prompt was sent");
        assert_hidden(&json.to_string(), &[PROMPT], &named);
        // The answer has its place in the JSON, and shows nowhere else in it.
        for place in ["response", "responses"] {
            json.as_object_mut().unwrap().remove(place);
        }
        for attempt in json["attempts"].as_array_mut().unwrap() {
            attempt.as_object_mut().unwrap().remove("partial");
        }
        assert_hidden(&json.to_string(), &[ANSWER], &named);
        assert_hidden(&shown, &[PROMPT, ANSWER], &named);
    }))
    .await;
}

#[tokio::test]
async fn a_stream_under_way_shows_nothing_of_what_it_carries() {
    for wire in WIRES {
        let lab = Lab::start().await;
        lab.simulator.on("asked", Behaviour::default().deltas([ANSWER, ANSWER]).reasoning(ANSWER));
        let asked = lab.candidate_at(wire, &lab.simulator.base_url(), "asked", KEY);
        let client = ResilientClient::builder().candidate(asked).build().unwrap();
        let mut stream = within(client.failover_stream(PROMPT)).await.unwrap();
        let mut shown = String::new();
        let mut show = |value: &dyn Debug| shown += &format!("{value:?}\n");
        show(&stream);
        let mut events = 0;
        while let Some(event) = within(stream.next()).await {
            show(&event);
            show(&stream);
            events += 1;
        }
        show(&stream.into_report());
        assert!(events > 3, "{wire}: reasoning, text, text, and an end");
        assert_hidden(&shown, &[KEY, PROMPT, ANSWER], "the stream");
    }
}
