//! Breaker and limiter, seen from the provider: when it is asked, and when it is left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use llm_reliability::circuit_breaker::{
    Cost, InProcessLimiter, LimitReason, Limiter, Limits, Mode, Quota, Rate, RejectReason, State,
};
use llm_reliability::{Attempt, Ended, Outcome, Report, ResilientClient};
use llm_simulator::{Behaviour, Usage, Wire};
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

/// Why an attempt was not let out by its limiter.
fn limited(attempt: &Attempt) -> Option<LimitReason> {
    match attempt.outcome {
        Outcome::PreemptedLimited { reason, .. } => Some(reason),
        _ => None,
    }
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
                assert_eq!(limited(&second.report.attempts()[0]), Some(LimitReason::Deferred));
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

/// A rate that gives nothing back for as long as a test takes.
fn a_day(amount: u64) -> Rate {
    Rate::new(NonZeroU64::new(amount).unwrap(), secs(86_400))
}

fn quota(limiter: &Arc<InProcessLimiter>, key: &str) -> Quota {
    Quota::new(Arc::clone(limiter) as Arc<dyn Limiter>, key)
}

#[tokio::test]
async fn whoever_has_had_what_his_limits_allow_is_passed_over() {
    let usage = Usage::new(90, 90);
    for (limits, reason) in [
        (Limits::default().requests(a_day(1)), LimitReason::RequestRate),
        (Limits::default().input_tokens(a_day(90)), LimitReason::InputTokenRate),
        (Limits::default().output_tokens(a_day(90)), LimitReason::OutputTokenRate),
    ] {
        for wire in WIRES {
            for strategy in Strategy::ALL {
                let lab = Lab::start().await;
                lab.simulator.on("asked", Behaviour::answer("Fine").usage(usage));
                let client = ResilientClient::builder()
                    .candidate(lab.candidate(wire, "asked"))
                    .candidate(lab.candidate(other(wire), "rescue"))
                    .limiter(Arc::new(InProcessLimiter::default().limits_for("asked", limits)))
                    .build()
                    .unwrap();
                let first = ask(&client, strategy, "Well?").await.report;
                assert_eq!(trail(&first), ["asked success @stream"], "{wire} {strategy:?}");
                let second = ask(&client, strategy, "Well?").await.report;
                assert_eq!(
                    trail(&second),
                    ["asked preempted_limited", "rescue success @stream"],
                    "{wire} {reason:?}"
                );
                let refused = &second.attempts()[0];
                assert_eq!(limited(refused), Some(reason));
                assert!(refused.retry_after().is_some_and(|rest| rest > secs(1) && rest <= secs(86_400)));
                assert_times(&second);
                assert_eq!((lab.simulator.received("asked"), lab.simulator.received("rescue")), (1, 1));
            }
        }
    }
}

#[tokio::test]
async fn everyone_limited_or_held_open_is_unavailable_until_the_first_is_back() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            lab.simulator.on("hinted", Behaviour::status(429).header("retry-after", "30"));
            let limiter = Arc::new(
                InProcessLimiter::default()
                    .limits_for("rated", Limits::default().requests(a_day(1)))
                    .limits_for("busy", Limits::default().in_flight(NonZeroU32::MIN)),
            );
            let models = ["hinted", "rated", "busy", "held"];
            let client = ResilientClient::builder()
                .candidates(models.map(|model| lab.candidate(wire, model)))
                .limiter(Arc::<InProcessLimiter>::clone(&limiter))
                .build()
                .unwrap();
            client.set_mode("held", Mode::ForcedOpen).await.unwrap();
            let first = ask(&client, strategy, "Well?").await.report;
            assert_eq!(trail(&first).last().unwrap(), "rated success @stream", "{wire} {strategy:?}");
            let out = quota(&limiter, "busy").admit(Cost::REQUEST).await.unwrap();

            let second = ask(&client, strategy, "Well?").await;
            let report = &second.report;
            let reasons: Vec<_> = report.attempts().iter().map(limited).collect();
            let expected = [LimitReason::Deferred, LimitReason::RequestRate, LimitReason::InFlight];
            assert_eq!(reasons, [expected.map(Some).as_slice(), &[None]].concat());
            let held = &report.attempts()[3].outcome;
            let reason = RejectReason::ForcedOpen;
            assert!(
                matches!(held, Outcome::PreemptedOpen { retry_after: None, reason: why, .. } if *why == reason)
            );
            assert_eq!(report.ended(), Ended::Unavailable);
            let rest = report.retry_after().unwrap();
            assert!(!rest.is_zero() && rest <= secs(30), "the hint's, and not the rate's: {rest:?}");
            drop(out);
            assert_eq!(trail(&ask(&client, strategy, "Well?").await.report)[2], "busy success @stream");
            assert_eq!(lab.simulator.received_total(), 3);
        }
    }
}

#[tokio::test]
async fn a_hint_keeps_all_candidates_of_its_credential_away() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let lab = Lab::start().await;
            lab.simulator.on("large", Behaviour::status(429).header("retry-after", "30"));
            let client = ResilientClient::builder()
                .candidate(lab.candidate(wire, "large").quota_key("team"))
                .candidate(lab.candidate(wire, "small").quota_key("team"))
                .candidate(lab.candidate(other(wire), "rescue"))
                .build()
                .unwrap();
            let first = ask(&client, strategy, "Well?").await.report;
            let rest = ["small preempted_limited", "rescue success @stream"];
            assert_eq!(trail(&first)[1..], rest, "{wire} {strategy:?}");
            let second = ask(&client, strategy, "Well?").await.report;
            assert_eq!(trail(&second), [&["large preempted_limited"], rest.as_slice()].concat());
            assert_eq!((lab.simulator.received("large"), lab.simulator.received("small")), (1, 0));
        }
    }
}

#[tokio::test]
async fn an_answer_costs_what_its_provider_counts_a_cut_one_what_was_reserved_and_a_refusal_none() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for (behaviour, left) in [
                (Behaviour::answer("Fine").usage(Usage::new(5, 20)), 80),
                (Behaviour::answer("Fine").no_usage(), 40),
                (Behaviour::answer("Half of it").usage(Usage::new(5, 20)).close_after(1), 40),
                (Behaviour::reset(), 40),
                (Behaviour::status(500), 100),
                (Behaviour::status(429), 100),
                (Behaviour::status(400), 100),
            ] {
                let lab = Lab::start().await;
                let shown = format!("{wire} {strategy:?} {behaviour:?}");
                lab.simulator.on("asked", behaviour);
                let limits = Limits::default().output_tokens(a_day(100));
                let limiter = Arc::new(InProcessLimiter::new(limits));
                let client = ResilientClient::builder()
                    .candidate(lab.candidate(wire, "asked"))
                    .limiter(Arc::<InProcessLimiter>::clone(&limiter))
                    .build()
                    .unwrap();
                ask(&client, strategy, llm_protocol::Request::from("Well?").max_tokens(60)).await;
                let quota = quota(&limiter, "asked");
                for (tokens, fits) in [(left, true), (left + 1, false)] {
                    let asked = quota.admit(Cost::REQUEST.with_output_tokens(tokens)).await;
                    assert_eq!(asked.is_ok(), fits, "{tokens} after {shown}");
                }
            }
        }
    }
}
