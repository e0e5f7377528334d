//! The strategies, as they ship: clocks, breaker, trail and observer.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use circuit_breaker::{InProcessLimiter, Limits, Rate, Settings};
use futures::StreamExt;
use llm_benches::{Failure, Group, Maker, Row, Target};
use llm_protocol::Request;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::{Attempt, ClientBuilder, Report, ResilientClient};

use crate::models::{Gives, Model};
use crate::shared::{calls, request};

pub(crate) fn group() -> Group {
    const fn faster(least: f64, stretch: f64) -> Target {
        Target::Faster { least, stretch }
    }
    Group {
        title: "Strategies, with a client as it is by default unless said otherwise; the threads share it",
        rows: vec![
            Row::new("ours/happy", "failover over 3 models that do not stream, the first answers", || {
                failover(&[Gives::Answer; 3], 1, |client| client)
            })
            .floor("floor/call")
            .peer("keel/happy")
            .target(faster(8.0, 12.0)),
            Row::new(
                "ours/happy-limiter",
                "ours/happy with a limiter that has room, and the estimate",
                || failover(&[Gives::Answer; 3], 1, |client| client.limiter(Arc::new(limiter()))),
            )
            .floor("floor/call"),
            Row::new("ours/happy-observer", "ours/happy with a closure as its observer", || {
                failover(&[Gives::Answer; 3], 1, |client| client.observer(observer))
            })
            .floor("floor/call"),
            Row::new(
                "ours/happy-stream-1",
                "failover over 3 models, the first streams 1 piece of text",
                || failover(&[Gives::Stream(1); 3], 1, |client| client),
            )
            .floor("floor/stream-1"),
            Row::new("ours/happy-scripted", "ours/happy-stream-1 over ScriptedModel::without_log", scripted)
                .floor("floor/stream-1"),
            Row::new(
                "ours/happy-stream-64",
                "failover over 3 models, the first streams 64 pieces of text",
                || failover(&[Gives::Stream(64); 3], 1, |client| client),
            )
            .floor("floor/stream-64"),
            Row::new(
                "ours/handout-64",
                "failover_stream of 64 pieces of text, read to its end, and the report",
                || handout(&[Gives::Stream(64); 3]),
            )
            .floor("floor/stream-64"),
            Row::new(
                "ours/one-failover",
                "failover over 3 models, the first is overloaded, and its circuit never opens",
                || {
                    let settings = Settings::default().failure_threshold(NonZeroU32::MAX);
                    let models = [Gives::Overload, Gives::Answer, Gives::Answer];
                    failover(&models, 2, |client| client.breaker_settings(settings))
                },
            )
            .floor("floor/two")
            .peer("keel/one-failover")
            .target(faster(9.0, 14.0)),
            Row::new("ours/fan-out-5", "fan_out over 5 models that do not stream, all answer", || fan_out(5))
                .floor("floor/join-5")
                .peer("keel/fan-out-5")
                .target(faster(18.0, 30.0)),
            Row::new("ours/fan-out-20", "fan_out over 20 models that do not stream, all answer", || {
                fan_out(20)
            })
            .floor("floor/join-20")
            .peer("keel/fan-out-20")
            .target(faster(12.0, 22.0)),
        ],
    }
}

fn builder(gives: &[Gives]) -> ClientBuilder {
    let models = gives.iter().enumerate();
    ResilientClient::builder().candidates(models.map(|(number, &gives)| Model::new(number, gives)))
}

/// A row of one strategy, whose reports are right when they have this many attempts and an answer.
fn strategy(
    client: ResilientClient,
    attempts: usize,
    call: impl AsyncFn(&ResilientClient, Arc<Request>) -> Option<Report> + Copy + Send + Sync + 'static,
) -> Maker {
    calls(move || {
        let (client, request) = (client.clone(), Arc::new(request()));
        async move || {
            let report = call(&client, Arc::clone(&request)).await;
            report.is_some_and(|report| report.succeeded() && report.attempts().len() == attempts)
        }
    })
}

fn failover(
    gives: &[Gives],
    attempts: usize,
    with: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Maker, Failure> {
    let client = with(builder(gives)).build()?;
    Ok(strategy(client, attempts, async |client, request| client.failover(request).await.ok()))
}

fn scripted() -> Result<Maker, Failure> {
    let model = |key| ScriptedModel::new(key).then(Step::answer("Rayleigh.")).without_log();
    let client =
        ResilientClient::builder().candidates(["a:model", "b:model", "c:model"].map(model)).build()?;
    Ok(strategy(client, 1, async |client, request| client.failover(request).await.ok()))
}

fn fan_out(count: usize) -> Result<Maker, Failure> {
    let client = builder(&vec![Gives::Answer; count]).build()?;
    Ok(strategy(client, count, async |client, request| client.fan_out(request).await.ok()))
}

fn handout(gives: &[Gives]) -> Result<Maker, Failure> {
    let client = builder(gives).build()?;
    Ok(strategy(client, 1, async |client, request| {
        let mut stream = client.failover_stream(request).await.ok()?;
        while let Some(event) = stream.next().await {
            black_box(event.ok()?);
        }
        Some(stream.into_report())
    }))
}

fn observer(attempt: &Attempt) {
    black_box(attempt.latency);
}

/// With rates for requests, input and output that no run uses up.
fn limiter() -> InProcessLimiter {
    const A_SECOND: NonZeroU64 = NonZeroU64::new(100).unwrap();
    let rate = Rate::per_second(A_SECOND).burst(NonZeroU64::MAX);
    InProcessLimiter::new(Limits::default().requests(rate).input_tokens(rate).output_tokens(rate))
}
