//! The clocks, in virtual time: each on its own, and which wins.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{builder, client, ms, secs, text, trail};
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{FinishReason, StreamEvent, Usage};
use llm_reliability::circuit_breaker::{Settings, State};
use llm_reliability::{Call, Candidate, Ended, Policy, ResilientClient, Timeouts};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_given_up_after_the_first_token_limit() {
    let begun = Instant::now();
    let silent = ScriptedModel::new("p:silent").then(Step::stall());
    let report = client(&[silent.clone(), ScriptedModel::new("p:good")]).failover("hi").await.unwrap();
    assert_eq!(
        trail(&report),
        ["p:silent failed timeout/first_token @first_token", "p:good success @stream"]
    );
    assert_eq!(begun.elapsed(), secs(15));
    assert_eq!(report.attempts()[0].latency, secs(15));
    assert_eq!(report.attempts()[1].start, secs(15));
    assert_eq!(silent.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_bytes_do_not_stop_the_first_token_clock() {
    let mut chatty = Step::events([]);
    for _ in 0..100 {
        chatty = chatty.after(secs(1)).then_event(StreamEvent::Usage(Usage::default()));
    }
    let report = client(&[ScriptedModel::new("p:chatty").then(chatty)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:chatty failed timeout/first_token @first_token"]);
    assert_eq!(report.elapsed(), secs(15));
}

#[tokio::test(start_paused = true)]
async fn reasoning_satisfies_the_clock_and_is_not_the_first_token() {
    let thinking = Step::events([]).after(secs(10)).then_reasoning("hm").after(secs(25)).then_answer("yes");
    let report = client(&[ScriptedModel::new("p:thinking").then(thinking)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:thinking success @stream"]);
    assert_eq!(report.attempts()[0].first_token, Some(secs(35)));
    assert_eq!(report.response().unwrap().reasoning.as_deref(), Some("hm"));

    // So does work that does not show, as long as there are signs of it.
    let mut working = Step::events([]);
    for _ in 0..4 {
        working = working.after(secs(10)).then_event(StreamEvent::Working);
    }
    let silent = ScriptedModel::new("p:working").then(working.clone().then_stall());
    let limits = Timeouts::new().first_token(secs(15)).idle(secs(15)).attempt(secs(100));
    let models = [silent, ScriptedModel::new("p:done").then(working.after(secs(10)).then_answer("yes"))];
    let report = builder(&models).timeouts(limits).build().unwrap().failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:working failed timeout/idle @first_token", "p:done success @stream"]);
    let took: Vec<_> =
        report.attempts().iter().map(|attempt| (attempt.latency, attempt.first_token)).collect();
    assert_eq!(took, [(secs(55), None), (secs(50), Some(secs(50)))]);
}

/// Polls like a runtime that comes by only this often.
async fn rarely<T>(pause: Duration, future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        tokio::time::advance(pause).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_runtime_keeps_no_circuit_from_opening() {
    let once = Settings::default().failure_threshold(NonZeroU32::MIN);
    for (strategy, pause) in [
        ("failover", ms(400)),
        ("failover_stream", ms(400)),
        ("fan_out", ms(400)),
        ("restart", ms(400)),
        // Where a reader is waited for, this one would have been away. There is none here.
        ("failover", secs(7)),
        ("failover_stream", secs(7)),
        ("fan_out", secs(7)),
    ] {
        let cut = ScriptedModel::new("p:cut").then(Step::answer("half").then_end());
        let silent = ScriptedModel::new("p:silent").then(Step::stall());
        let models = if strategy == "restart" { vec![cut, silent] } else { vec![silent] };
        let policy = Policy::default().restart_on_cut(true);
        let client = builder(&models).breaker_settings(once.clone()).policy(policy).build().unwrap();
        let report = rarely(pause, async {
            match strategy {
                "failover" => client.failover("hi").await.unwrap(),
                "fan_out" => client.fan_out("hi").await.unwrap(),
                _ => {
                    let mut stream = client.failover_stream("hi").await.unwrap();
                    while stream.next().await.is_some_and(|event| event.is_ok()) {}
                    stream.into_report()
                }
            }
        })
        .await;
        let last = report.attempts().last().unwrap();
        assert_eq!(last.to_string(), "p:silent failed timeout/first_token @first_token", "{strategy}");
        assert!(last.latency > secs(16), "{strategy}: asking again alone took more than a second");
        assert_eq!(client.status().await.last().unwrap().1.state, State::Open, "{strategy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_quiet_is_cut_by_the_idle_clock() {
    let quiet = Step::events([]).after(secs(1)).then_text("well").then_stall();
    let report = client(&[ScriptedModel::new("p:quiet").then(quiet)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:quiet failed timeout/idle @stream"]);
    assert_eq!(report.attempts()[0].latency, secs(31));
    assert_eq!(report.attempts()[0].first_token, Some(secs(1)));

    let thinking = Step::reasoning("hm").then_stall();
    let report = client(&[ScriptedModel::new("p:thinking").then(thinking)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:thinking failed timeout/idle @first_token"]);
}

#[tokio::test(start_paused = true)]
async fn silence_after_the_terminal_marker_takes_nothing_from_the_answer() {
    let answer = [StreamEvent::Text("whole".into()), StreamEvent::Finish(FinishReason::Stop)];
    let lingering = ScriptedModel::new("p:lingering").then(Step::events(answer).then_stall());
    let report = client(&[lingering.clone()]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:lingering success @stream"]);
    assert_eq!((text(&report), lingering.open()), ("whole", 0));
    assert_eq!(report.elapsed(), secs(1), "a count of tokens may follow, and is not waited for long");
}

#[tokio::test(start_paused = true)]
async fn every_delta_winds_the_idle_clock_up_again() {
    let mut slow = Step::events([]);
    for _ in 0..10 {
        slow = slow.after(secs(29)).then_text("tick ");
    }
    let slow = slow.finishing(llm_protocol::FinishReason::Stop);
    let limits = Timeouts::new().first_token(secs(40)).attempt(secs(1000)).total(secs(1000));
    let client = builder(&[ScriptedModel::new("p:slow").then(slow)]).timeouts(limits).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(text(&report), "tick ".repeat(10));
    assert_eq!(report.elapsed(), secs(290));
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_ends_with_the_attempt_clock() {
    let mut drip = Step::events([]);
    for _ in 0..100 {
        drip = drip.after(secs(5)).then_text("drip ");
    }
    let report = client(&[ScriptedModel::new("p:drip").then(drip)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:drip failed timeout/attempt @stream"]);
    assert_eq!(report.elapsed(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_has_no_first_token_clock() {
    let slow = ScriptedModel::new("p:slow").without_streaming().then(Step::delay(secs(50)));
    assert!(client(&[slow]).failover("hi").await.unwrap().succeeded());
    let silent = ScriptedModel::new("p:silent").without_streaming().then(Step::stall());
    let report = client(&[silent]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:silent failed timeout/attempt @response"]);
    assert_eq!(report.elapsed(), secs(60));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_is_not_waiting_for_a_token() {
    let unreachable = ScriptedModel::new("p:unreachable").then(Step::connect_stall());
    let report = client(&[unreachable.clone()]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:unreachable failed timeout/first_token @connect"]);
    assert_eq!(unreachable.started(), 0);
    let stuck = ScriptedModel::new("p:stuck").then(Step::prepare_stall());
    assert_eq!(
        trail(&client(&[stuck]).failover("hi").await.unwrap()),
        ["p:stuck failed timeout/first_token @prepare"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_total_ends_the_call_and_is_not_held_against_the_model() {
    let silent = |key| ScriptedModel::new(key).then(Step::stall());
    let models = [silent("p:a"), silent("p:b"), silent("p:c")];
    let client = client(&models);
    for _ in 0..2 {
        let call = Call::new("hi").timeouts(Timeouts::new().total(secs(20)));
        let report = client.failover(call).await.unwrap();
        assert_eq!((report.ended(), report.elapsed()), (Ended::TotalTimeout, secs(20)));
        let expected =
            ["p:a failed timeout/first_token @first_token", "p:b failed timeout/total @first_token"];
        assert_eq!(trail(&report), expected);
    }
    assert_eq!(client.status().await[0].1.failures, 2);
    assert_eq!(client.status().await[1].1.state, State::Closed);
    assert_eq!(client.status().await[1].1.failures, 0);
    assert_eq!(models[2].started(), 0);
}

#[tokio::test(start_paused = true)]
async fn on_a_tie_the_attempts_own_limit_counts() {
    let limits = Timeouts::new().total(secs(15));
    let client = builder(&[ScriptedModel::new("p:a").then(Step::stall())]).timeouts(limits).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed timeout/first_token @first_token"]);
    assert_eq!(client.status().await[0].1.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn the_default_total_covers_every_attempt_and_a_minute() {
    let drip = || {
        let mut drip = Step::events([]);
        for _ in 0..100 {
            drip = drip.after(secs(5)).then_text("drip ");
        }
        drip
    };
    let models: Vec<_> = (0..8).map(|n| ScriptedModel::new(&format!("p:{n}")).then(drip())).collect();
    let report = client(&models[..2]).failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.elapsed()), (Ended::Exhausted, secs(120)));
    let report = client(&models).failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.elapsed()), (Ended::TotalTimeout, secs(360)));
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_call_go_before_the_candidates_and_these_before_the_clients() {
    let silent = |key| Candidate::from(ScriptedModel::new(key).then(Step::stall()));
    let client = ResilientClient::builder()
        .candidate(silent("p:a"))
        .candidate(silent("p:b").timeouts(Timeouts::new().first_token(secs(2))))
        .timeouts(Timeouts::new().first_token(secs(5)))
        .build()
        .unwrap();
    let report = client.failover("hi").await.unwrap();
    let latencies: Vec<_> = report.attempts().iter().map(|attempt| attempt.latency).collect();
    assert_eq!(latencies, [secs(5), secs(2)]);
    let call = Call::new("hi").timeouts(Timeouts::new().first_token(secs(1)));
    let report = client.failover(call).await.unwrap();
    let latencies: Vec<_> = report.attempts().iter().map(|attempt| attempt.latency).collect();
    assert_eq!(latencies, [secs(1), secs(1)]);
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_too_long_to_be_set() {
    let max = std::time::Duration::MAX;
    let limits = Timeouts::new().first_token(max).idle(max).attempt(max).total(max);
    let client = builder(&[ScriptedModel::new("p:a").then(Step::delay(secs(100_000)))])
        .timeouts(limits)
        .build()
        .unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
}
