//! Calls that take long, where the breaker looks at that: whose time it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::num::NonZeroU32;

use common::{builder, ms, secs};
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::ResilientClient;
use llm_reliability::circuit_breaker::{Percent, Rates, Settings, State, Window};

/// A client whose breaker opens after one call of five seconds.
fn impatient(step: Step) -> ResilientClient {
    let slow = Rates::slow(secs(5), Percent::new(100).unwrap(), Window::Calls(NonZeroU32::MIN));
    let settings = Settings::default().trip(slow);
    builder(&[ScriptedModel::new("p:a").then(step)]).breaker_settings(settings).build().unwrap()
}

async fn state(client: &ResilientClient) -> State {
    client.status().await[0].1.state
}

#[tokio::test(start_paused = true)]
async fn a_slow_model_opens_its_circuit_however_it_is_read() {
    for (step, expected) in [
        (Step::answer("one two three"), State::Closed),
        (Step::answer("one two three").delayed(secs(4)), State::Closed),
        (Step::answer("one two three").delayed(secs(5)), State::Open),
        (Step::answer("one two three").paced(ms(1700)), State::Open),
        (Step::answer("one two three").paced(secs(1)), State::Closed),
        (Step::answer("one two three").delayed(secs(6)).then_end(), State::Open),
    ] {
        let client = impatient(step.clone());
        client.failover("hi").await.unwrap();
        assert_eq!(state(&client).await, expected, "collected: {step:?}");

        let client = impatient(step.clone());
        let mut stream = client.failover_stream("hi").await.unwrap();
        while stream.next().await.is_some() {}
        assert_eq!(state(&client).await, expected, "handed out: {step:?}");

        let client = impatient(step.clone());
        client.fan_out("hi").await.unwrap();
        assert_eq!(state(&client).await, expected, "in a panel: {step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_make_the_model_slow() {
    for pace in [ms(0), ms(300)] {
        let client = impatient(Step::answer("one two three four").paced(pace));
        let mut stream = client.failover_stream("hi").await.unwrap();
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
