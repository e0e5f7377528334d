//! Reports of all kinds of calls as JSON: whatever the library makes it can read again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use common::{ms, secs};
use fastrand::Rng;
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, Request, StreamEvent, Tool};
use llm_reliability::circuit_breaker::{InProcessLimiter, Limits, Mode, Rate, Settings};
use llm_reliability::{
    Call, Candidate, InputError, Policy, Report, ResilientClient, RetryBudget, StreamMode, Timeouts,
};

fn error(rng: &mut Rng) -> Error {
    let kinds = [
        ErrorKind::RateLimited,
        ErrorKind::QuotaExhausted,
        ErrorKind::Overloaded,
        ErrorKind::Server,
        ErrorKind::Connection,
        ErrorKind::Truncated,
        ErrorKind::Authentication,
        ErrorKind::BadRequest,
        ErrorKind::Unsupported,
        ErrorKind::Refusal,
        ErrorKind::Other,
    ];
    let error = Error::new(kinds[rng.usize(..kinds.len())], "scripted");
    if rng.u8(..3) == 0 { error.with_retry_after(ms(rng.u64(..20_000))) } else { error }
}

fn step(rng: &mut Rng) -> Step {
    let half = Step::answer("one two").paced(ms(rng.u64(..2000)));
    let step = match rng.u8(..14) {
        0..3 => Step::error(error(rng)),
        3 => Step::stall(),
        4 => Step::panic(),
        5 => Step::prepare_error(error(rng)),
        6 => Step::connect_error(error(rng)),
        7 => Step::empty(
            [FinishReason::Stop, FinishReason::Length, FinishReason::ContentFilter][rng.usize(..3)],
        ),
        8 => Step::refusal("no"),
        9 => half.then_error(error(rng)),
        10 => half.then_end(),
        11 => half.then_stall(),
        12 => half.then_event(StreamEvent::Working).finishing(FinishReason::Error),
        _ => half,
    };
    step.delayed(ms(rng.u64(..3000)))
}

fn candidate(rng: &mut Rng, at: usize) -> Candidate {
    let mut model = ScriptedModel::new(&format!("p:{at}")).repeat();
    for _ in 0..rng.u8(1..4) {
        model = model.then(step(rng));
    }
    model = if rng.u8(..4) == 0 { model.without_streaming() } else { model };
    model = if rng.bool() { model.with_tools() } else { model };
    let mode = if rng.u8(..4) == 0 { StreamMode::Never } else { StreamMode::Auto };
    let candidate = Candidate::from(model).stream(mode).priority(rng.i32(-1..2));
    if rng.bool() { candidate.quota_key("shared") } else { candidate }
}

fn limits(rng: &mut Rng) -> Limits {
    let rate = |rng: &mut Rng| Rate::per_minute(NonZeroU64::new(rng.u64(1..12)).unwrap());
    let limits = Limits::default();
    match rng.u8(..6) {
        0 => limits.requests(rate(rng)),
        1 => limits.input_tokens(rate(rng)),
        2 => limits.output_tokens(rate(rng)),
        3 => limits.in_flight(NonZeroU32::MIN),
        _ => limits,
    }
}

fn policy(rng: &mut Rng) -> Policy {
    let policy = [Policy::default(), Policy::keel(), Policy::robust()][rng.usize(..3)].clone();
    policy
        .restart_on_cut(rng.bool())
        .transient_retries(rng.u32(..3))
        .retry_timeouts(rng.bool())
        .wait_out_backpressure(secs(rng.u64(..9)))
}

fn call(rng: &mut Rng) -> Call {
    let request = Request::from("hi").max_tokens(rng.u32(1..15));
    let tool = Tool::new("now", serde_json::json!({"type": "object"}));
    let call = Call::new(if rng.u8(..4) == 0 { request.tool(tool) } else { request });
    if rng.u8(..3) == 0 { call.timeouts(Timeouts::new().total(ms(rng.u64(..20_000)))) } else { call }
}

/// A call of a random strategy; a stream is given up somewhere, or read to its end.
async fn report(rng: &mut Rng, client: &ResilientClient) -> Result<Report, InputError> {
    let call = call(rng);
    match rng.u8(..4) {
        0 => client.failover(call).await,
        1 => client.fan_out(call).await,
        _ => {
            let mut stream = client.failover_stream(call).await?;
            for _ in 0..rng.u8(..12) {
                if rng.u8(..8) == 0 {
                    tokio::time::sleep(secs(rng.u64(..50))).await;
                }
                let limit = ms(rng.u64(..30_000));
                let _ = tokio::time::timeout(limit, stream.next()).await;
            }
            Ok(stream.into_report())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_report_of_a_call_reads_as_it_was_written() {
    let mut endings = BTreeSet::new();
    for seed in 0..1500 {
        let mut rng = Rng::with_seed(seed);
        let candidates: Vec<_> = (0..rng.usize(1..5)).map(|at| candidate(&mut rng, at)).collect();
        let settings = Settings::default().failure_threshold(NonZeroU32::new(rng.u32(1..4)).unwrap());
        let client = ResilientClient::builder()
            .candidates(candidates)
            .breaker_settings(settings)
            .limiter(Arc::new(InProcessLimiter::new(limits(&mut rng))))
            .policy(policy(&mut rng))
            .retry_budget(RetryBudget::new(rng.f64(), rng.u32(..3)))
            .build()
            .unwrap();
        if rng.u8(..8) == 0 {
            client.set_mode("p:0", Mode::ForcedOpen).await.unwrap();
        }
        for _ in 0..3 {
            let report = report(&mut rng, &client).await.unwrap();
            let json = serde_json::to_value(&report).unwrap();
            let back: Report = serde_json::from_value(json.clone())
                .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{json:#}"));
            assert_eq!(serde_json::to_value(&back).unwrap(), json, "seed {seed}");
            assert_eq!(format!("{back:?}"), format!("{report:?}"), "seed {seed}");
            let source = |report: Report| {
                let error = report.into_result().err()?;
                std::error::Error::source(&error).map(ToString::to_string)
            };
            assert_eq!(back.partial(), report.partial(), "seed {seed}");
            endings.insert(format!("{:?} {:?}", report.strategy(), report.ended()));
            assert_eq!(source(back), source(report), "seed {seed}");
        }
    }
    let expected = [
        "FanOut QuorumMet",
        "FanOut QuorumNotMet",
        "FanOut Unavailable",
        "Failover Answered",
        "Failover Exhausted",
        "Failover Interrupted",
        "Failover Stopped",
        "Failover TotalTimeout",
        "Failover Unavailable",
    ];
    assert_eq!(endings, expected.map(str::to_owned).into(), "it is a test of all of them");
}
