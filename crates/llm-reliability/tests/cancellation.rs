//! Dropping a call at every point where it can be dropped: nothing leaks, everything is visible.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Waker};

use common::{Seen, builder, failing, ms, secs};
use llm_protocol::ErrorKind;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_reliability::Policy;
use llm_reliability::circuit_breaker::{InProcessBreaker, Settings, State};

/// Polls a call `polls` times, moving time on in between, and drops it then. Says whether it had ended by itself.
async fn drop_after<T>(polls: usize, call: impl Future<Output = T>) -> bool {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::advance(ms(50)).await;
    }
    false
}

fn models() -> [ScriptedModel; 3] {
    let slow = |step: Step| step.prepared_after(ms(60)).connected_after(ms(60)).delayed(ms(120));
    [
        ScriptedModel::new("p:a").then(slow(failing(ErrorKind::Overloaded))),
        ScriptedModel::new("p:b").then(slow(Step::answer("half of").paced(ms(60)).then_end())),
        ScriptedModel::new("p:c").then(slow(Step::answer("one two three").paced(ms(60)))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_at_every_poll() {
    for strategy in ["failover", "failover_stream", "fan_out"] {
        let mut polls = 0;
        loop {
            let (models, seen) = (models(), Seen::default());
            let policy = Policy::default().transient_retries(1).backoff(ms(100), ms(100));
            let client = builder(&models).observer(seen.clone()).policy(policy).build().unwrap();
            let done = match strategy {
                "failover" => drop_after(polls, client.failover("hi")).await,
                "failover_stream" => drop_after(polls, client.failover_stream("hi")).await,
                _ => drop_after(polls, client.fan_out("hi")).await,
            };
            for model in &models {
                assert_eq!(
                    model.open(),
                    0,
                    "{strategy} after {polls} polls: {} is still asked",
                    model.calls().len()
                );
            }
            let attempts = seen.attempts();
            let dispatched = attempts.iter().filter(|attempt| attempt.phase.is_some()).count();
            let sent: usize = models.iter().map(ScriptedModel::started).sum();
            let reached = attempts
                .iter()
                .filter(|attempt| {
                    attempt.phase.is_some_and(|phase| !matches!(phase.as_str(), "prepare" | "connect"))
                })
                .count();
            assert_eq!(sent, reached, "{strategy} after {polls} polls");
            assert!(sent <= dispatched);
            if done {
                break;
            }
            polls += 1;
            assert!(polls < 500, "{strategy} never ends");
        }
        assert!(polls > 10, "{strategy} was dropped at {polls} points only");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_gives_its_slot_back() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
    let breaker = Arc::new(InProcessBreaker::new(settings));
    let model = ScriptedModel::new("p:a").then(failing(ErrorKind::Server)).then(Step::stall());
    let client = builder(&[model.clone()]).breaker(breaker).build().unwrap();
    client.failover("hi").await.unwrap();
    for _ in 0..20 {
        tokio::time::advance(secs(10)).await;
        assert!(tokio::time::timeout(secs(1), client.failover("hi")).await.is_err(), "the probe goes out");
        assert_eq!(client.status().await[0].1.probes, 0);
    }
    assert_eq!(model.started(), 21);
    assert_ne!(client.status().await[0].1.state, State::Closed);
}
