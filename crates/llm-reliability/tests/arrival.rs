//! When bytes arrive and when they are seen: what is already here beats a timer that has run out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::task::Poll;

use async_trait::async_trait;
use common::{secs, trail};
use futures::{FutureExt, StreamExt};
use llm_protocol::{
    Capabilities, Error, EventStream, FinishReason, HealthStatus, ModelAdapter, Progress, Request, Response,
    StreamEvent, StreamingModelAdapter, Usage,
};
use llm_reliability::{FailoverStream, ResilientClient, Timeouts};

/// A model whose stream is polled like this, step by step.
struct Polled(Vec<Step>);

#[derive(Clone)]
enum Step {
    Event(StreamEvent),
    /// Nothing yet; the next poll comes when somebody asks.
    Wait,
    /// Nothing yet, but the bytes are on their way: the connection's task has only to run.
    Arriving,
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
        let mut steps = self.0.clone().into_iter();
        let poll = move |cx: &mut std::task::Context<'_>| match steps.next() {
            Some(Step::Event(event)) => Poll::Ready(Some(Ok(event))),
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Arriving) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
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
        ResilientClient::builder().candidate(Polled(steps.collect())).timeouts(limits).build().unwrap();
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
        tokio::time::advance(secs(60)).await;
        assert_eq!(rest(stream).await, ["p:polled success @stream"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_has_run_out_is_believed_in_the_end() {
    let mut stream = streaming(vec![Step::Wait; 50]).await;
    assert!(stream.next().now_or_never().is_none());
    tokio::time::advance(secs(60)).await;
    assert_eq!(rest(stream).await, ["p:polled interrupted timeout/idle @stream"]);
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
