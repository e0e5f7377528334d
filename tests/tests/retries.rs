//! Retries of the same candidate, counted by the provider.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_reliability::{Launch, Policy, Report, ResilientClient, Timeouts};
use llm_simulator::{Behaviour, Script, Wire};
use llm_tests::{Lab, SHORT, Strategy, WIRES, ask, assert_received, assert_times, ms, other, trail, within};

const RESCUED: &str = "rescue success @stream";

fn twice() -> Policy {
    Policy::default().transient_retries(2).backoff(ms(1), ms(1))
}

/// Asks a model that behaves like this, and one that answers.
async fn asked(wire: Wire, strategy: Strategy, policy: Policy, script: impl Into<Script>) -> Report {
    let lab = Lab::start().await;
    lab.simulator.script("asked", script);
    let client = ResilientClient::builder()
        .candidate(lab.candidate(wire, "asked").timeouts(Timeouts::new().first_token(SHORT)))
        .candidate(lab.candidate(other(wire), "rescue"))
        .policy(policy)
        .build()
        .unwrap();
    let report = ask(&client, strategy, "Well?").await.report;
    within(lab.simulator.wait_idle()).await;
    assert_times(&report);
    assert_received(&lab.simulator, report.attempts(), &["asked", "rescue"]);
    report
}

/// The trail is this often the same, and then this.
fn repeated(times: usize, short: &str, last: &[&str]) -> Vec<String> {
    let last = last.iter().map(|short| (*short).to_owned());
    std::iter::repeat_n(short.to_owned(), times).chain(last).collect()
}

fn launches(report: &Report) -> Vec<Launch> {
    report.attempts().iter().map(|attempt| attempt.launch).collect()
}

#[tokio::test]
async fn two_retries_are_three_requests() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let report = asked(wire, strategy, twice(), [Behaviour::status(529)]).await;
            let failed = "asked failed overloaded @first_token";
            assert_eq!(trail(&report), repeated(3, failed, &[RESCUED]), "{wire} {strategy:?}");
            let expected = [Launch::Primary, Launch::Retry, Launch::Retry, Launch::Failover];
            assert_eq!(launches(&report), expected);
        }
    }
}

#[tokio::test]
async fn a_retry_that_succeeds_is_the_last() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let script = [Behaviour::reset(), Behaviour::answer("Now it works")];
            let report = asked(wire, strategy, twice(), script).await;
            let expected = ["asked failed connection @first_token", "asked success @stream"];
            assert_eq!(trail(&report), expected, "{wire} {strategy:?}");
            assert_eq!(report.response().unwrap().text, "Now it works");
        }
    }
}

#[tokio::test]
async fn a_cut_is_tried_again_only_when_nothing_of_it_was_handed_out() {
    for wire in WIRES {
        let cut = || [Behaviour::answer("Half of it").close_after(1)];
        let report = asked(wire, Strategy::Failover, twice(), cut()).await;
        assert_eq!(trail(&report), repeated(3, "asked failed truncated @stream", &[RESCUED]), "{wire}");
        let report = asked(wire, Strategy::FailoverStream, twice(), cut()).await;
        assert_eq!(trail(&report), ["asked interrupted truncated @stream"], "{wire}");
    }
}

#[tokio::test]
async fn what_would_end_the_same_way_is_not_tried_again() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            for (behaviour, ends) in [
                (Behaviour::status(400), "failed bad_request @first_token"),
                (Behaviour::status(401), "failed authentication @first_token"),
                // The provider has a say in its retries, and none in what its errors are.
                (Behaviour::status(400).header("x-should-retry", "true"), "failed bad_request @first_token"),
                (Behaviour::status(529).header("x-should-retry", "false"), "failed overloaded @first_token"),
                (Behaviour::status(429), "deferred_backpressure rate_limited @first_token"),
                (Behaviour::stall(), "failed timeout/first_token @first_token"),
                (Behaviour::empty(), "empty @stream"),
            ] {
                let report = asked(wire, strategy, twice(), [behaviour]).await;
                assert_eq!(trail(&report), repeated(1, &format!("asked {ends}"), &[RESCUED]), "{wire}");
            }
        }
    }
}

#[tokio::test]
async fn a_timeout_is_tried_again_when_that_was_asked_for() {
    for wire in WIRES {
        let policy = twice().retry_timeouts(true);
        let report = asked(wire, Strategy::FailoverStream, policy, [Behaviour::stall()]).await;
        let silent = "asked failed timeout/first_token @first_token";
        assert_eq!(trail(&report), repeated(3, silent, &[RESCUED]), "{wire}");
    }
}

#[tokio::test]
async fn a_retry_comes_no_earlier_than_the_provider_asked_for() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let hinted = Behaviour::status(500).header("retry-after-ms", "250");
            let report =
                asked(wire, strategy, twice().backoff(ms(1), ms(250)), [hinted, Behaviour::answer("Thanks")])
                    .await;
            let expected = ["asked failed server @first_token", "asked success @stream"];
            assert_eq!(trail(&report), expected, "{wire} {strategy:?}");
            let [first, second] = report.attempts() else { panic!("two attempts") };
            assert!(second.start >= first.start + first.latency + ms(250), "{wire}: {:?}", second.start);
        }
    }
}

#[tokio::test]
async fn the_breaker_is_asked_before_every_retry() {
    for wire in WIRES {
        for strategy in Strategy::ALL {
            let policy = twice().transient_retries(9);
            let report = asked(wire, strategy, policy, [Behaviour::status(500)]).await;
            let failed = "asked failed server @first_token";
            let expected = repeated(3, failed, &[RESCUED]);
            assert_eq!(trail(&report), expected, "{wire} {strategy:?}");
        }
    }
}
