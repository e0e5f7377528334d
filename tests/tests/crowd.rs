//! Many calls at a time, through all kinds of trouble: every request is accounted for, and none is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::num::NonZeroU32;

use futures::future::join_all;
use llm_reliability::circuit_breaker::Settings;
use llm_reliability::{Attempt, Ended, Outcome, ResilientClient};
use llm_simulator::{Behaviour, Ended as RequestEnded, Fault as Break, Script, Wire};
use llm_tests::{Lab, Seen, Strategy, ask, assert_times, ms, polled, reached, within};

const CALLS: usize = 50;
const MODELS: [&str; 3] = ["flaky", "shaky", "sound"];

/// Two models with a different trouble for every request, and one that answers.
async fn lab() -> Lab {
    let lab = Lab::start().await;
    let answer = || Behaviour::answer("One of many answers").token_delay(ms(1));
    lab.simulator.script(
        "flaky",
        Script::flap([
            Behaviour::status(529),
            Behaviour::reset(),
            answer().close_after(0),
            answer().close_after(2),
            answer(),
            Behaviour::status(429),
            answer().fault_after(1, Break::Malformed),
            Behaviour::html(),
        ]),
    );
    lab.simulator.script(
        "shaky",
        Script::flap([
            answer().truncate_after(1),
            Behaviour::status(500).delay(ms(5)),
            answer(),
            answer().error_after(0, 529),
            Behaviour::empty(),
        ]),
    );
    lab.simulator.on("sound", answer());
    lab
}

fn client(lab: &Lab, threshold: u32) -> (ResilientClient, Seen) {
    let (observer, seen) = Seen::observer();
    let settings = Settings::default().failure_threshold(NonZeroU32::new(threshold).unwrap());
    let client = ResilientClient::builder()
        .candidate(lab.candidate(Wire::OpenAi, "flaky"))
        .candidate(lab.candidate(Wire::Anthropic, "shaky"))
        .candidate(lab.candidate(Wire::OpenAi, "sound"))
        .breaker_settings(settings)
        .observer(observer);
    (client.build().unwrap(), seen)
}

/// Every request belongs to an attempt, and the other way round.
async fn assert_accounted_for(lab: &Lab, attempts: &[Attempt]) {
    within(lab.simulator.wait_idle()).await;
    for model in MODELS {
        assert_eq!(lab.simulator.received(model), reached(attempts, model), "{model}");
    }
    assert!(lab.simulator.all_requests().iter().all(|request| request.ended != RequestEnded::Open));
}

/// Fifty calls at a time by both strategies; whatever happens to them, the caller gets what the report says.
async fn all_at_once(threshold: u32) -> Vec<Attempt> {
    let lab = lab().await;
    let (client, seen) = client(&lab, threshold);
    let calls = (0..CALLS).map(|number| {
        let client = client.clone();
        let strategy = Strategy::ALL[number % 2];
        tokio::spawn(async move { ask(&client, strategy, format!("Call {number}")).await.report })
    });
    let reports: Vec<_> = within(join_all(calls)).await.into_iter().map(Result::unwrap).collect();
    for (number, report) in reports.iter().enumerate() {
        assert_times(report);
        let interrupted = number % 2 == 1 && report.ended() == Ended::Interrupted;
        assert!(report.succeeded() || interrupted, "{report:?}");
    }
    let attempts: Vec<_> = reports.iter().flat_map(|report| report.attempts()).cloned().collect();
    assert_eq!(seen.attempts().len(), attempts.len(), "the observer was told of each");
    assert_accounted_for(&lab, &attempts).await;
    attempts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_at_a_time_are_all_accounted_for() {
    let attempts = all_at_once(u32::MAX).await;
    let asked = attempts.iter().filter(|attempt| &*attempt.model_key == "flaky").count();
    assert_eq!(asked, CALLS, "no circuit opened, so that all of them were asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_that_opens_under_way_loses_no_call() {
    let attempts = all_at_once(3).await;
    let asked = attempts.iter().filter(|attempt| &*attempt.model_key == "flaky").count();
    assert_eq!(asked, CALLS, "each was asked or passed over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_of_which_many_are_dropped_leave_nothing_behind() {
    let lab = lab().await;
    // Without empty answers: one that is empty and whole when its reader goes away is told as such, and is not the
    // last one that there would have been.
    lab.simulator
        .script("shaky", Script::flap([Behaviour::status(500), Behaviour::answer("Fine").close_after(0)]));
    let (client, seen) = client(&lab, u32::MAX);
    let calls = (0..CALLS).map(|number| {
        let client = client.clone();
        let call = async move {
            ask(&client, Strategy::ALL[number % 2], "Hello?").await;
        };
        tokio::spawn(async move { polled(1 + number / 2, call).await.is_none() })
    });
    let dropped: Vec<bool> = within(join_all(calls)).await.into_iter().map(Result::unwrap).collect();
    let dropped = dropped.into_iter().filter(|dropped| *dropped).count();
    assert!(dropped > 0);
    let status = client.status().await;
    drop((client, lab.http));
    within(lab.simulator.wait_until(|simulator| simulator.open_connections() == 0)).await;
    within(lab.simulator.wait_idle()).await;

    let attempts = seen.attempts();
    let cancelled: Vec<_> =
        attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Cancelled)).collect();
    assert!(!cancelled.is_empty() && cancelled.len() <= dropped, "{} of {dropped}", cancelled.len());
    // Each call ends once: given up, answered, or cut under the eyes of its reader.
    let last = |attempt: &&Attempt| {
        matches!(attempt.outcome, Outcome::Cancelled | Outcome::Success(_) | Outcome::Interrupted { .. })
    };
    assert_eq!(attempts.iter().filter(last).count(), CALLS);
    for model in MODELS {
        let (received, told) = (lab.simulator.received(model), reached(&attempts, model));
        let lost = reached(cancelled.iter().copied(), model);
        assert!((told - lost..=told).contains(&received), "{model} received {received} of {told}");
    }
    assert!(lab.simulator.all_requests().iter().all(|request| request.ended != RequestEnded::Open));
    assert!(status.iter().all(|(_, status)| status.probes == 0));
}
