//! Calls that take long, where the breaker looks at that: whose time it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::num::NonZeroU32;

use common::{builder, failing, ms, secs};
use futures::StreamExt;
use llm_protocol::ErrorKind;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::circuit_breaker::{Percent, Rates, Settings, State, Window};
use llm_reliability::{Candidate, FailoverStream, Policy, ResilientClient, StreamMode};

/// A circuit opens after one call of five seconds.
fn after_five_seconds() -> Settings {
    let slow = Rates::slow(secs(5), Percent::new(100).unwrap(), Window::Calls(NonZeroU32::MIN));
    Settings::default().trip(slow)
}

fn impatient(step: Step) -> ResilientClient {
    let model = ScriptedModel::new("p:a").then(step);
    builder(&[model]).breaker_settings(after_five_seconds()).build().unwrap()
}

async fn state(client: &ResilientClient) -> State {
    client.status().await[0].1.state
}

#[tokio::test(start_paused = true)]
async fn the_whole_of_a_collected_answer_counts_and_of_one_handed_out_the_time_to_its_first_token() {
    let (open, closed) = (State::Open, State::Closed);
    for (step, collected, handed_out) in [
        (Step::answer("one two three"), closed, closed),
        (Step::answer("one two three").delayed(secs(4)), closed, closed),
        (Step::answer("one two three").delayed(secs(5)), open, open),
        (Step::answer("one two three").paced(secs(1)), closed, closed),
        (Step::answer("one two three").paced(ms(1700)), open, closed),
        (Step::answer("one two three").paced(secs(5)), open, open),
        (Step::answer("one two three").delayed(secs(6)).then_end(), open, open),
        (failing(ErrorKind::BadRequest).delayed(secs(6)), closed, closed),
        (failing(ErrorKind::Server).delayed(secs(6)), open, open),
    ] {
        let client = impatient(step.clone());
        client.failover("hi").await.unwrap();
        assert_eq!(state(&client).await, collected, "collected: {step:?}");

        let client = impatient(step.clone());
        let mut stream = client.failover_stream("hi").await.unwrap();
        while stream.next().await.is_some() {}
        assert_eq!(state(&client).await, handed_out, "handed out: {step:?}");

        let client = impatient(step.clone());
        client.fan_out("hi").await.unwrap();
        assert_eq!(state(&client).await, collected, "in a panel: {step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_whole_and_is_handed_out_took_as_long_as_it_took() {
    for (delay, expected) in [(secs(4), State::Closed), (secs(5), State::Open)] {
        let model = ScriptedModel::new("p:a").then(Step::answer("one two").delayed(delay));
        let client = ResilientClient::builder()
            .candidate(Candidate::from(model).stream(StreamMode::Never))
            .breaker_settings(after_five_seconds())
            .build()
            .unwrap();
        let mut stream = client.failover_stream("hi").await.unwrap();
        tokio::time::sleep(secs(8)).await;
        while let Some(event) = stream.next().await {
            event.unwrap();
        }
        assert_eq!(state(&client).await, expected, "{delay:?}");
    }
}

/// Looks for a moment and does something else for eight seconds, until there is no more.
async fn glance(stream: &mut FailoverStream) {
    loop {
        match tokio::time::timeout(ms(10), stream.next()).await {
            Ok(Some(event)) => drop(event.unwrap()),
            Ok(None) => break,
            Err(_) => tokio::time::sleep(secs(8)).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_make_the_model_slow() {
    for (pace, looks_and_goes_away) in [(ms(0), false), (ms(300), false), (ms(300), true)] {
        let client = impatient(Step::answer("one two three four five").paced(pace));
        let mut stream = client.failover_stream("hi").await.unwrap();
        if looks_and_goes_away {
            glance(&mut stream).await;
        }
        while let Some(event) = stream.next().await {
            event.unwrap();
            tokio::time::sleep(secs(8)).await;
        }
        assert!(
            stream.into_report().attempts()[0].latency > secs(30),
            "its attempt took that long all the same"
        );
        assert_eq!(state(&client).await, State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn nor_one_who_looks_away_while_another_candidate_takes_over() {
    let cut = ScriptedModel::new("p:a").then(Step::answer("one").then_end());
    let next = ScriptedModel::new("p:b").then(Step::answer("one two").paced(ms(300)));
    let client = builder(&[cut, next])
        .policy(Policy::default().restart_on_cut(true))
        .breaker_settings(after_five_seconds())
        .build()
        .unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    glance(&mut stream).await;
    let report = stream.into_report();
    assert!(report.succeeded() && report.attempts()[1].latency > secs(5));
    assert_eq!(client.status().await[1].1.state, State::Closed);
}
