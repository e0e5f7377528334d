//! A person's hand on a circuit while the client runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{builder, failing, secs, trail};
use llm_protocol::ErrorKind;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::circuit_breaker::{InProcessBreaker, Mode, RejectReason, Settings, State, Transition};
use llm_reliability::{Attempt, Ended, ModeError, Observer, Outcome, Policy, Report};
use parking_lot::Mutex;

/// Keeps the modes and states that it is told of.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, State, Mode)>>>);

impl Observer for Heard {
    fn on_attempt(&self, _: &Attempt) {}

    fn on_transition(&self, transition: &Transition) {
        self.0.lock().push((transition.key.to_string(), transition.to, transition.mode));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_held_open_is_passed_over_until_he_is_given_back() {
    let heard = Heard::default();
    let models = [ScriptedModel::new("p:a"), ScriptedModel::new("p:b")];
    let client = builder(&models).observer(heard.clone()).build().unwrap();
    client.clone().set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    tokio::time::advance(secs(1_000_000)).await;

    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a preempted_open", "p:b success @stream"]);
    let first = &report.attempts()[0];
    let Outcome::PreemptedOpen { reason, retry_after, .. } = first.outcome else { panic!("{first}") };
    assert_eq!((reason, retry_after), (RejectReason::ForcedOpen, None));
    assert!(!first.degraded && first.phase.is_none());
    let back: Report = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(format!("{back:?}"), format!("{report:?}"));
    let status = client.status().await[0].1;
    assert_eq!((status.state, status.mode, status.retry_after), (State::Open, Mode::ForcedOpen, None));

    client.set_mode("p:b", Mode::ForcedOpen).await.unwrap();
    for report in [client.failover("hi").await.unwrap(), client.fan_out("hi").await.unwrap()] {
        assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, None));
    }
    client.set_mode("p:a", Mode::Automatic).await.unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
    assert_eq!((models[0].started(), models[1].started()), (1, 1));
    let expected = [
        ("p:a".to_owned(), State::Open, Mode::ForcedOpen),
        ("p:b".to_owned(), State::Open, Mode::ForcedOpen),
        ("p:a".to_owned(), State::Closed, Mode::Automatic),
    ];
    assert_eq!(*heard.0.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn who_is_held_closed_or_switched_off_is_asked_whatever_he_did() {
    for mode in [Mode::ForcedClosed, Mode::Disabled] {
        let model = ScriptedModel::new("p:a").then(failing(ErrorKind::Server));
        let client = builder(std::slice::from_ref(&model)).build().unwrap();
        for _ in 0..3 {
            client.failover("hi").await.unwrap();
        }
        assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::Unavailable);
        client.set_mode("p:a", mode).await.unwrap();
        for _ in 0..5 {
            assert_eq!(trail(&client.failover("hi").await.unwrap()), ["p:a failed server @first_token"]);
        }
        assert_eq!(client.status().await[0].1.state, State::Closed);
        client.set_mode("p:a", Mode::Automatic).await.unwrap();
        for _ in 0..3 {
            client.failover("hi").await.unwrap();
        }
        assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::Unavailable);
        assert_eq!(model.started(), 3 + 5 + 3, "{mode}: given back, it counts from the beginning");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_retry_of_someone_who_was_held_open_meanwhile() {
    let slow = failing(ErrorKind::Server).delayed(secs(2));
    let models = [ScriptedModel::new("p:a").then(slow), ScriptedModel::new("p:b")];
    let retries = Policy::default().transient_retries(3).backoff(secs(100), secs(100));
    let client = builder(&models).policy(retries).build().unwrap();
    let hold = async {
        tokio::time::sleep(secs(1)).await;
        client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    };
    let (report, ()) = futures::future::join(client.failover("hi"), hold).await;
    let report = report.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @first_token", "p:b success @stream"]);
    assert!(report.elapsed() < Duration::from_millis(2500), "{:?}", report.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_set_is_told_apart_and_changes_nothing() {
    let models = [ScriptedModel::new("p:a").then(Step::answer("ok")), ScriptedModel::new("p:b")];
    let client = builder(&models).build().unwrap();
    let unknown = client.set_mode("p:c", Mode::ForcedOpen).await.unwrap_err();
    assert_eq!(unknown, ModeError::UnknownCandidate("p:c".to_owned()));
    assert_eq!(unknown.to_string(), "no candidate is called `p:c`");

    let theirs = Arc::new(InProcessBreaker::default());
    let client = builder(&models).breaker(Arc::<InProcessBreaker>::clone(&theirs)).build().unwrap();
    let unknown = client.set_mode("p:c", Mode::ForcedOpen).await;
    assert!(matches!(unknown, Err(ModeError::UnknownCandidate(_))));
    client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    assert_eq!(theirs.snapshot("p:a").status.mode, Mode::ForcedOpen, "one that was handed in can do it too");
    assert_eq!(trail(&client.failover("hi").await.unwrap())[0], "p:a preempted_open");

    let mut tight = Settings::default();
    tight.max_keys = 1;
    let client = builder(&models).breaker_settings(tight).build().unwrap();
    client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    let full = client.set_mode("p:b", Mode::ForcedOpen).await;
    assert_eq!(full, Err(ModeError::Refused(circuit_breaker::ModeError::NoRoom)));
    assert_eq!(trail(&client.failover("hi").await.unwrap()), ["p:a preempted_open", "p:b success @stream"]);
}
