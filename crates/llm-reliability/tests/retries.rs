//! How many retries there may be: the budget, over many calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;

use common::{builder, failing, ms, secs, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind};
use llm_reliability::circuit_breaker::Settings;
use llm_reliability::{Call, ClientBuilder, Ended, Policy, RetryBudget};

fn retrying(retries: u32) -> Policy {
    Policy::default().transient_retries(retries).backoff(ms(10), ms(10))
}

/// Without a breaker that would end the outage by itself.
fn exposed(models: &[ScriptedModel]) -> ClientBuilder {
    builder(models).breaker_settings(Settings::default().failure_threshold(NonZeroU32::MAX))
}

fn down() -> ScriptedModel {
    ScriptedModel::new("p:down").then(failing(ErrorKind::Overloaded))
}

#[tokio::test(start_paused = true)]
async fn an_outage_gets_a_share_more_than_its_calls_and_not_a_multiple() {
    for (budget, most) in [
        (RetryBudget::default(), 1000 + 200 + 10),
        (RetryBudget::new(0.05, 3), 1000 + 50 + 3),
        (RetryBudget::new(0.0, 0), 1000),
    ] {
        let (down, up) = (down(), ScriptedModel::new("p:up"));
        let client =
            exposed(&[down.clone(), up.clone()]).policy(retrying(3)).retry_budget(budget).build().unwrap();
        for _ in 0..1000 {
            assert!(client.failover("hi").await.unwrap().succeeded(), "who is not retried is followed");
        }
        assert!((most - 1..=most).contains(&down.started()), "{} of {most}", down.started());
        assert_eq!(up.started(), 1000);
    }
    let down = down();
    let client = exposed(&[down.clone(), ScriptedModel::new("p:up")])
        .policy(retrying(3))
        .retry_budget(RetryBudget::unlimited())
        .build()
        .unwrap();
    for _ in 0..1000 {
        client.failover("hi").await.unwrap();
    }
    assert_eq!(down.started(), 4000);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_retried_is_followed_by_the_next_as_after_the_last_retry() {
    let client = exposed(&[down(), ScriptedModel::new("p:up")])
        .policy(retrying(2))
        .retry_budget(RetryBudget::new(0.0, 3))
        .build()
        .unwrap();
    let (failed, answered) = ("p:down failed overloaded @first_token", "p:up success @stream");
    for expected in
        [vec![failed, failed, failed, answered], vec![failed, failed, answered], vec![failed, answered]]
    {
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), expected);
        assert!(report.attempts()[0].fallback_eligible);
    }
    let client =
        exposed(&[down()]).policy(retrying(2)).retry_budget(RetryBudget::new(0.0, 0)).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn waiting_out_backpressure_takes_from_the_budget_too() {
    let throttled = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(1));
    let model = ScriptedModel::new("p:a").then(Step::error(throttled));
    let policy = retrying(5).wait_out_backpressure(secs(2));
    let client =
        exposed(&[model.clone()]).policy(policy).retry_budget(RetryBudget::new(0.0, 2)).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().elapsed(), secs(2));
    assert_eq!(model.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_for_which_there_is_no_time_costs_nothing() {
    let hinted = Error::new(ErrorKind::Server, "").with_retry_after(secs(3));
    let model = ScriptedModel::new("p:a").then(Step::error(hinted));
    let client =
        exposed(&[model.clone()]).policy(retrying(1)).retry_budget(RetryBudget::new(0.0, 1)).build().unwrap();
    let hurried = || Call::new("hi").timeouts(llm_reliability::Timeouts::new().total(secs(2)));
    for _ in 0..3 {
        assert_eq!(client.failover(hurried()).await.unwrap().attempts().len(), 1);
        tokio::time::advance(secs(3)).await;
    }
    assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 2, "the token is still there");
}

#[tokio::test(start_paused = true)]
async fn several_clients_may_share_a_budget_and_calls_that_never_retry_add_nothing() {
    let (budget, down) = (RetryBudget::new(0.5, 1), down());
    let [one, two] = [(); 2]
        .map(|()| exposed(&[down.clone()]).policy(retrying(1)).retry_budget(budget.clone()).build().unwrap());
    assert_eq!(one.failover("hi").await.unwrap().attempts().len(), 2);
    for _ in 0..10 {
        one.failover(Call::new("hi").policy(Policy::default())).await.unwrap();
        one.fan_out("hi").await.unwrap();
    }
    // Half a token is there, and each of these adds another half.
    for attempts in [2, 1, 2, 1] {
        assert_eq!(two.failover("hi").await.unwrap().attempts().len(), attempts);
    }
}
