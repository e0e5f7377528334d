//! When bytes arrive and when they are seen: what is already here beats a timer that has run out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use common::{Seen, ms, secs, trail};
use futures::{FutureExt, StreamExt};
use llm_protocol::testing::{self as scripted, ScriptedModel};
use llm_protocol::{
    Capabilities, Error, EventStream, FinishReason, HealthStatus, ModelAdapter, Progress, Request, Response,
    StreamEvent, StreamingModelAdapter, Usage,
};
use llm_reliability::{FailoverStream, Policy, ResilientClient, Timeouts};
use tokio::task::coop;

/// A model whose stream is polled like this, step by step, once or over and over.
struct Polled {
    steps: Vec<Step>,
    endless: bool,
}

fn polled(steps: Vec<Step>) -> Polled {
    Polled { steps, endless: false }
}

#[derive(Clone)]
enum Step {
    Event(StreamEvent),
    /// Nothing yet; the next poll comes when somebody asks.
    Wait,
    /// Nothing yet, but the bytes are on their way: the connection's task has only to run.
    Arriving,
    /// Nothing yet, and the task's turn is used up.
    Starving,
    /// A guard that panics when the stream is dropped. Alone: there will never be a stream.
    Trap,
}

struct Trap(bool);

impl Drop for Trap {
    fn drop(&mut self) {
        assert!(!self.0, "an adapter that cannot even be dropped");
    }
}

impl Step {
    fn poll(self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        match self {
            Self::Event(event) => return Poll::Ready(Some(Ok(event))),
            Self::Wait | Self::Trap => {}
            Self::Arriving => cx.waker().wake_by_ref(),
            Self::Starving => {
                while coop::has_budget_remaining() {
                    let _ = pin!(coop::consume_budget()).poll(cx);
                }
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

#[async_trait]
impl ModelAdapter for Polled {
    fn key(&self) -> &'static str {
        "p:polled"
    }
    fn provider(&self) -> &'static str {
        "p"
    }
    fn model(&self) -> &'static str {
        "polled"
    }
    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::new().with_streaming(self)
    }
    async fn generate(&self, _: &Request, _: &Progress) -> Result<Response, Error> {
        panic!("this model streams")
    }
    async fn health_check(&self) -> HealthStatus {
        HealthStatus::unknown(self.key())
    }
}

#[async_trait]
impl StreamingModelAdapter for Polled {
    async fn stream(&self, _: &Request, _: &Progress) -> Result<EventStream, Error> {
        let rounds = if self.endless { usize::MAX } else { 1 };
        let mut steps = std::iter::repeat_n(self.steps.clone(), rounds).flatten();
        let trap = Trap(self.steps.iter().any(|step| matches!(step, Step::Trap)));
        if matches!(self.steps[..], [Step::Trap]) {
            std::future::pending::<()>().await;
        }
        let poll = move |cx: &mut Context<'_>| {
            let _held = &trap;
            steps.next().map_or(Poll::Ready(None), |step| step.poll(cx))
        };
        Ok(futures::stream::poll_fn(poll).boxed())
    }
}

fn text(text: &str) -> Step {
    Step::Event(StreamEvent::Text(text.into()))
}

/// The stream of these steps after its first token, with an idle limit of five seconds.
async fn streaming(rest: impl IntoIterator<Item = Step>) -> FailoverStream {
    let steps = std::iter::once(text("one"))
        .chain(rest)
        .chain([Step::Event(StreamEvent::Finish(FinishReason::Stop))]);
    let limits = Timeouts::new().idle(secs(5));
    let client =
        ResilientClient::builder().candidate(polled(steps.collect())).timeouts(limits).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert!(stream.next().now_or_never().unwrap().unwrap().is_ok());
    stream
}

async fn rest(mut stream: FailoverStream) -> Vec<String> {
    while stream.next().await.is_some_and(|event| event.is_ok()) {}
    trail(&stream.into_report())
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_here_beat_a_timer_that_has_run_out() {
    for late in [vec![Step::Wait, text("two")], vec![Step::Wait, Step::Arriving, text("two")]] {
        let mut stream = streaming(late).await;
        assert!(stream.next().now_or_never().is_none(), "the idle timer runs from here");
        tokio::time::advance(secs(6)).await;
        assert_eq!(rest(stream).await, ["p:polled success @stream"]);
    }
}

/// Polls a collected call once, lets `pause` pass, and awaits the rest of it.
async fn collected(steps: Vec<Step>, pause: Duration) -> Vec<String> {
    let limits = Timeouts::new().first_token(secs(5)).idle(secs(5));
    let client = ResilientClient::builder().candidate(polled(steps)).timeouts(limits).build().unwrap();
    let mut call = Box::pin(client.failover("hi"));
    assert!(call.as_mut().now_or_never().is_none());
    tokio::time::advance(pause).await;
    trail(&call.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_whole_program_is_not_the_models() {
    // The timer has fired and the bytes are in the socket, but the connection's task has not run yet.
    let end = [text("one"), Step::Event(StreamEvent::Finish(FinishReason::Stop))];
    let late = [vec![Step::Wait, Step::Arriving, Step::Arriving], end.to_vec()].concat();
    assert_eq!(collected(late, secs(8)).await, ["p:polled success @stream"]);
    let silent = vec![Step::Wait; 50];
    assert_eq!(collected(silent, secs(8)).await, ["p:polled failed timeout/first_token @first_token"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_panics_when_it_is_dropped_takes_nothing_with_it() {
    let silent = vec![Step::Wait, Step::Trap, Step::Wait, Step::Wait, Step::Wait, Step::Wait, Step::Wait];
    assert_eq!(collected(silent, secs(8)).await, ["p:polled failed timeout/first_token @first_token"]);
    // So is a future that never came to a stream: its timeout stays one.
    assert_eq!(
        collected(vec![Step::Trap], secs(8)).await,
        ["p:polled failed timeout/first_token @first_token"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_panics_when_it_is_given_up_takes_neither_the_caller_nor_the_report_with_it() {
    let seen = Seen::default();
    let stuck = || polled(vec![Step::Trap]);
    let client = ResilientClient::builder().candidate(stuck()).observer(seen.clone()).build().unwrap();
    assert!(client.failover("hi").now_or_never().is_none());
    assert!(client.failover_stream("hi").now_or_never().is_none());
    assert!(client.fan_out("hi").now_or_never().is_none());
    assert_eq!(seen.take(), ["p:polled cancelled @first_token"; 3]);

    let cut = scripted::Step::answer("half an answer").then_end();
    let client = ResilientClient::builder()
        .candidate(ScriptedModel::new("p:cut").then(cut))
        .candidate(stuck())
        .policy(Policy::default().restart_on_cut(true))
        .observer(seen.clone())
        .build()
        .unwrap();
    for reported in [true, false] {
        let mut stream = client.failover_stream("hi").await.unwrap();
        while let Some(Some(_)) = stream.next().now_or_never() {}
        if reported {
            let report = stream.into_report();
            assert_eq!(report.partial().unwrap().text, "half an answer");
            assert_eq!(report.attempts().len(), 2);
        } else {
            drop(stream);
        }
        assert_eq!(seen.take(), ["p:cut interrupted truncated @stream", "p:polled cancelled @first_token"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_away_was_not_waiting() {
    let mut stream = streaming(vec![Step::Wait; 50]).await;
    assert!(stream.next().now_or_never().is_none());
    tokio::time::advance(secs(30)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(rest(stream).await, ["p:polled interrupted timeout/idle @stream"]);
    assert_eq!(begun.elapsed(), secs(5), "the wait began anew");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_cut_by_the_attempt_clock_and_the_model_is_not_blamed() {
    let client = ResilientClient::builder()
        .candidate(polled([vec![text("one")], vec![Step::Wait; 50]].concat()))
        .build()
        .unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    tokio::time::sleep(secs(61)).await;
    assert_eq!(rest(stream).await, ["p:polled interrupted timeout/attempt @stream"]);
    assert_eq!(client.status().await[0].1.failures, 0);
}

#[tokio::test]
async fn no_pattern_of_events_and_waits_outruns_the_hard_limits() {
    // In real time: these are always awake, so virtual time would stand still.
    let usage = || Step::Event(StreamEvent::Usage(Usage::default()));
    let reasoning = || Step::Event(StreamEvent::Reasoning("hm".into()));
    for (pattern, clock, phase) in [
        (vec![usage(), Step::Arriving], "first_token", "first_token"),
        (vec![reasoning(), Step::Arriving], "attempt", "first_token"),
        (vec![text("x"); 100], "attempt", "stream"),
        (vec![Step::Starving], "first_token", "first_token"),
        (vec![reasoning(), Step::Starving], "attempt", "first_token"),
    ] {
        let limits = Timeouts::new().first_token(ms(100)).attempt(ms(200));
        let client = ResilientClient::builder()
            .candidate(Polled { steps: pattern, endless: true })
            .timeouts(limits)
            .build()
            .unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), [format!("p:polled failed timeout/{clock} @{phase}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_adds_up_over_events_that_are_no_progress_and_pauses_of_the_reader_do_not() {
    let news = || Step::Event(StreamEvent::Usage(Usage::default()));
    let steps = [vec![Step::Wait, news(), Step::Wait, news()], vec![Step::Wait; 50]].concat();
    let mut stream = streaming(steps).await;
    for _ in 0..2 {
        assert!(stream.next().now_or_never().is_none());
        tokio::time::advance(secs(2)).await;
        assert!(stream.next().now_or_never().unwrap().unwrap().is_ok());
        // The reader is busy with something else.
        tokio::time::advance(secs(20)).await;
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(rest(stream).await, ["p:polled interrupted timeout/idle @stream"]);
    assert_eq!(begun.elapsed(), secs(1), "four of the five seconds had been waited before");
}
