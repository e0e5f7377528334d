//! Fan-out: all at once, every answer kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use common::{Seen, builder, client, failing, secs, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind};
use llm_reliability::{Ended, Launch, QuorumPolicy};

#[tokio::test(start_paused = true)]
async fn every_seat_is_asked_at_once_and_every_answer_kept() {
    let models = [
        ScriptedModel::new("p:slow").then(Step::answer("slow").delayed(secs(9))),
        ScriptedModel::new("p:throttled").then(failing(ErrorKind::RateLimited)),
        ScriptedModel::new("p:broken").then(failing(ErrorKind::Server).delayed(secs(3))),
        ScriptedModel::new("p:quick").then(Step::answer("quick")),
    ];
    let seen = Seen::default();
    let report = builder(&models).observer(seen.clone()).build().unwrap().fan_out("hi").await.unwrap();
    assert_eq!(report.elapsed(), secs(9), "side by side");
    assert_eq!(
        trail(&report),
        [
            "p:slow success @stream",
            "p:throttled deferred_backpressure rate_limited @first_token",
            "p:broken failed server @first_token",
            "p:quick success @stream",
        ]
    );
    let answers: Vec<_> =
        report.responses().map(|(key, response)| (&**key, response.text.as_str())).collect();
    assert_eq!(answers, [("p:slow", "slow"), ("p:quick", "quick")]);
    assert_eq!((report.ended(), report.succeeded(), report.degraded()), (Ended::QuorumMet, true, true));
    let quorum = report.quorum().unwrap();
    assert_eq!((quorum.policy, quorum.seats, quorum.answered), (QuorumPolicy::All, 4, 2));
    assert!(report.attempts().iter().all(|attempt| attempt.launch == Launch::Panel));
    assert_eq!(report.response(), None, "a fan-out has no single answer");
    let order: Vec<_> = seen.take().iter().map(|short| short.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(order, ["p:throttled", "p:quick", "p:broken", "p:slow"], "observed as they complete");
}

#[tokio::test(start_paused = true)]
async fn one_seat_takes_nothing_from_another() {
    let models = [
        ScriptedModel::new("p:panics").then(Step::panic()),
        ScriptedModel::new("p:silent").then(Step::stall()),
        ScriptedModel::new("p:good"),
    ];
    let report = client(&models).fan_out("hi").await.unwrap();
    assert_eq!(
        trail(&report),
        [
            "p:panics failed other @first_token",
            "p:silent failed timeout/first_token @first_token",
            "p:good success @stream"
        ]
    );
    assert_eq!(report.elapsed(), secs(15));
}

#[tokio::test(start_paused = true)]
async fn no_answer_at_all_misses_the_quorum() {
    let models = [
        ScriptedModel::new("p:a").then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:b").then(failing(ErrorKind::RateLimited)),
    ];
    let report = client(&models).fan_out("hi").await.unwrap();
    assert_eq!((report.ended(), report.succeeded()), (Ended::QuorumNotMet, false));
    assert!(report.into_result().is_err());
}

#[tokio::test(start_paused = true)]
async fn everyone_unavailable_says_when() {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(8));
    let client = client(&[ScriptedModel::new("p:a").then(Step::error(hinted))]);
    client.fan_out("hi").await.unwrap();
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a preempted_limited"]);
    assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, Some(secs(8))));
}

#[tokio::test(start_paused = true)]
async fn the_attempt_limit_counts_against_the_model() {
    let a = ScriptedModel::new("p:a").without_streaming().then(Step::stall());
    let client = client(&[a]);
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed timeout/attempt @response"]);
    assert_eq!(client.status().await[0].1.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_ends_every_seat_visibly() {
    let models = [
        ScriptedModel::new("p:a").then(Step::stall()),
        ScriptedModel::new("p:b").then(Step::answer("x").then_stall()),
    ];
    let seen = Seen::default();
    let client = builder(&models).observer(seen.clone()).build().unwrap();
    assert!(tokio::time::timeout(secs(2), client.fan_out("hi")).await.is_err());
    assert!(models.iter().all(|model| model.open() == 0));
    let mut seen = seen.take();
    seen.sort();
    assert_eq!(seen, ["p:a cancelled @first_token", "p:b cancelled @stream"]);
    assert!(client.status().await.iter().all(|(_, status)| status.failures == 0));
}
