//! Breaker and limiter, seen from the provider: when it is asked, and when it is left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use llm_reliability::circuit_breaker::State;
use llm_reliability::{Ended, Report, ResilientClient};
use llm_simulator::{Behaviour, Wire};
use llm_tests::{
    Asked, Lab, Strategy, WIRES, ask, assert_received, assert_times, other, secs, trail, within,
};

/// A lab in which one model behaves like this, with a client for it alone.
async fn alone(wire: Wire, behaviour: Behaviour) -> (Lab, ResilientClient) {
    let lab = Lab::start().await;
    lab.simulator.on("asked", behaviour);
    let client = ResilientClient::builder().candidate(lab.candidate(wire, "asked")).build().unwrap();
    (lab, client)
}

/// Nobody was asked, and the report says when it is worth trying again.
fn assert_unavailable(asked: &Asked, outcome: &str, at_most: Duration) {
    let report = &asked.report;
    assert_eq!(trail(report), [format!("asked {outcome}")]);
    assert_eq!(report.ended(), Ended::Unavailable);
    let hint = report.retry_after().expect("it says when");
    assert!(!hint.is_zero() && hint <= at_most, "{hint:?}");
    assert_eq!(report.attempts()[0].retry_after(), Some(hint));
    assert!(asked.error.as_ref().is_none_or(|error| error.error.is_none()), "nothing went wrong");
    assert_times(report);
}

async fn settled(lab: &Lab, reports: &[Report]) {
    within(lab.simulator.wait_idle()).await;
    let attempts: Vec<_> = reports.iter().flat_map(Report::attempts).cloned().collect();
    assert_received(&lab.simulator, &attempts, &["asked"]);
}

#[tokio::test]
async fn three_failures_in_a_row_open_the_circuit_and_the_fourth_call_does_not_go_out() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for (behaviour, ends) in [
                (Behaviour::status(529), "failed overloaded @first_token"),
                (Behaviour::status(401), "failed authentication @first_token"),
                (Behaviour::reset(), "failed connection @first_token"),
                (Behaviour::empty(), "empty @stream"),
            ] {
                let (lab, client) = alone(wire, behaviour).await;
                let mut reports = Vec::new();
                for _ in 0..3 {
                    let report = ask(&client, strategy, "Well?").await.report;
                    assert_eq!(trail(&report), [format!("asked {ends}")], "{wire} {strategy:?}");
                    reports.push(report);
                }
                assert_eq!(client.status().await[0].1.state, State::Open);
                let fourth = ask(&client, strategy, "Well?").await;
                assert_unavailable(&fourth, "preempted_open", secs(120));
                reports.push(fourth.report);
                settled(&lab, &reports).await;
                assert_eq!(lab.simulator.received("asked"), 3);
            }
        }
    }
}

#[tokio::test]
async fn an_open_circuit_is_passed_over_on_the_way_to_an_answer() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            lab.simulator.on("asked", Behaviour::status(500));
            let client = ResilientClient::builder()
                .candidate(lab.candidate(wire, "asked"))
                .candidate(lab.candidate(other(wire), "rescue"))
                .build()
                .unwrap();
            for _ in 0..3 {
                ask(&client, strategy, "Well?").await;
            }
            let report = ask(&client, strategy, "Well?").await.report;
            assert_eq!(trail(&report), ["asked preempted_open", "rescue success @stream"]);
            assert_eq!((report.ended(), report.degraded()), (Ended::Answered, true));
            assert_times(&report);
            assert_eq!((lab.simulator.received("asked"), lab.simulator.received("rescue")), (3, 4));
        }
    }
}

#[tokio::test]
async fn answers_that_are_cut_open_the_circuit_by_either_strategy() {
    for wire in WIRES {
        for (strategy, outcome) in [(Strategy::Failover, "failed"), (Strategy::FailoverStream, "interrupted")]
        {
            let (lab, client) = alone(wire, Behaviour::answer("Half of it").close_after(1)).await;
            for _ in 0..3 {
                let report = ask(&client, strategy, "Well?").await.report;
                assert_eq!(trail(&report), [format!("asked {outcome} truncated @stream")], "{wire}");
            }
            assert_unavailable(&ask(&client, strategy, "Well?").await, "preempted_open", secs(120));
            assert_eq!(lab.simulator.received("asked"), 3);
        }
    }
}

#[tokio::test]
async fn what_is_no_failure_of_the_model_never_opens_the_circuit() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for behaviour in [
                Behaviour::status(429),
                Behaviour::status(400),
                Behaviour::empty().finish("length"),
                Behaviour::answer("Half of it").error_after(1, 429),
            ] {
                let (lab, client) = alone(wire, behaviour).await;
                for _ in 0..5 {
                    ask(&client, strategy, "Well?").await;
                }
                assert_eq!(lab.simulator.received("asked"), 5, "{wire} {strategy:?}");
                let status = client.status().await[0].1;
                assert_eq!((status.state, status.failures), (State::Closed, 0), "{wire} {strategy:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_hint_on_any_failure_keeps_the_next_call_away() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for (status, outcome) in
                [(429, "deferred_backpressure"), (503, "failed"), (529, "failed"), (400, "failed")]
            {
                let hinted = Behaviour::status(status).header("retry-after", "7");
                let (lab, client) = alone(wire, hinted).await;
                let first = ask(&client, strategy, "Well?").await.report;
                assert_eq!(first.attempts()[0].outcome.as_str(), outcome, "{wire} {status}");
                assert_eq!(first.attempts()[0].retry_after(), Some(secs(7)), "{wire} {status}");
                let second = ask(&client, strategy, "Well?").await;
                assert_unavailable(&second, "preempted_limited", secs(7));
                settled(&lab, &[first, second.report]).await;
                assert_eq!(lab.simulator.received("asked"), 1);
            }
        }
    }
}

#[tokio::test]
async fn a_hint_on_a_success_is_none() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let (lab, client) = alone(wire, Behaviour::answer("Fine").header("retry-after", "59")).await;
            for _ in 0..2 {
                assert!(ask(&client, strategy, "Well?").await.report.succeeded(), "{wire} {strategy:?}");
            }
            assert_eq!(lab.simulator.received("asked"), 2);
        }
    }
}
