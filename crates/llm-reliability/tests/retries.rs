//! How many retries there may be: the budget, over many calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;

use common::{builder, failing, ms, secs, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind};
use llm_reliability::circuit_breaker::{Circuit, InProcessBreaker, Settings, Verdict};
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
async fn waiting_out_backpressure_was_asked_for_by_name_and_takes_nothing_from_the_budget() {
    let throttled = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(1));
    let model =
        ScriptedModel::new("p:a").then_times(3, Step::error(throttled)).then(failing(ErrorKind::Overloaded));
    let policy = retrying(5).wait_out_backpressure(secs(2));
    let client =
        exposed(&[model.clone()]).policy(policy).retry_budget(RetryBudget::new(0.0, 1)).build().unwrap();
    let elapsed = client.failover("hi").await.unwrap().elapsed();
    assert!((secs(3)..secs(4)).contains(&elapsed), "{elapsed:?}");
    assert_eq!(
        model.started(),
        5,
        "three that were throttled, one that failed, and the retry that there was"
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_for_which_there_is_no_time_costs_nothing() {
    let hinted = Error::new(ErrorKind::Server, "").with_retry_after(secs(3));
    let model = ScriptedModel::new("p:a").then(Step::error(hinted));
    let policy = retrying(1).backoff(ms(10), secs(3));
    let client = exposed(&[model]).policy(policy).retry_budget(RetryBudget::new(0.0, 1)).build().unwrap();
    let hurried = || Call::new("hi").timeouts(llm_reliability::Timeouts::new().total(secs(2)));
    for _ in 0..3 {
        assert_eq!(client.failover(hurried()).await.unwrap().attempts().len(), 1);
        tokio::time::advance(secs(3)).await;
    }
    assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 2, "the token is still there");
}

#[tokio::test(start_paused = true)]
async fn each_candidate_has_its_own_budget_which_grows_with_what_it_receives() {
    // One call in twenty ends here, and goes on to a candidate that is down.
    let picky = ScriptedModel::new("p:picky").respond_with(|request| {
        let refused = request.messages[0].text().ends_with('5');
        if refused { failing(ErrorKind::BadRequest) } else { Step::default() }
    });
    let down = down();
    let client = exposed(&[picky.clone(), down.clone()]).policy(retrying(3)).build().unwrap();
    for number in 0..1000 {
        let number = if number % 20 == 0 { 5 } else { 1 };
        client.failover(format!("What comes after {number}")).await.unwrap();
    }
    assert_eq!(picky.started(), 1000);
    // Fifty calls, a fifth of them, and the reserve less what its first call could not add to it.
    assert!((50 + 10 + 9..=50 + 10 + 10).contains(&down.started()), "{}", down.started());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_asked_and_calls_that_never_retry_add_nothing() {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(30));
    let away = ScriptedModel::new("p:away").then(Step::error(hinted)).then(failing(ErrorKind::Overloaded));
    let budget = RetryBudget::new(0.5, 0);
    let client = exposed(&[away.clone()]).policy(retrying(1)).retry_budget(budget).build().unwrap();
    for _ in 0..10 {
        assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 1);
    }
    assert_eq!(away.started(), 1, "it is passed over from then on");
    tokio::time::advance(secs(30)).await;
    for attempts in [2, 1, 2] {
        assert_eq!(client.failover("hi").await.unwrap().attempts().len(), attempts);
    }

    let budget = RetryBudget::new(0.5, 1);
    let client = exposed(&[down()]).policy(retrying(1)).retry_budget(budget).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 2);
    for _ in 0..10 {
        client.failover(Call::new("hi").policy(Policy::default())).await.unwrap();
        client.fan_out("hi").await.unwrap();
    }
    // Half a token is there, and each of these adds another half. Clones count together.
    for attempts in [2, 1, 2, 1] {
        assert_eq!(client.clone().failover("hi").await.unwrap().attempts().len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_to_be_left_alone_for_long_is_not_waited_for() {
    let hinted = Error::new(ErrorKind::Overloaded, "").with_retry_after(secs(120));
    let models = [ScriptedModel::new("p:busy").then(Step::error(hinted)), ScriptedModel::new("p:up")];
    let client = exposed(&models).policy(Policy::default().transient_retries(1)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:busy failed overloaded @first_token", "p:up success @stream"]);
    assert!(report.elapsed() < secs(1), "{:?}", report.elapsed());
    // Even if there is nobody else.
    let client = exposed(&models[..1]).policy(Policy::default().transient_retries(1)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.attempts().len()), (Ended::Exhausted, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_retry_that_an_open_circuit_would_refuse() {
    let hinted = || Error::new(ErrorKind::Server, "").with_retry_after(secs(20));
    let models = [
        ScriptedModel::new("p:a").then(Step::error(hinted())).then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:b"),
    ];
    let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(30));
    let patient = Policy::default().transient_retries(1).backoff(ms(10), secs(20));
    let client = builder(&models).policy(patient.clone()).breaker_settings(once);
    let client = client.retry_budget(RetryBudget::new(0.0, 1)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @first_token", "p:b success @stream"]);
    assert!(report.elapsed() < secs(1), "{:?}", report.elapsed());

    // The token is still there: where the circuit stays closed it is spent.
    let twice = Settings::default().failure_threshold(NonZeroU32::new(2).unwrap());
    let breaker = Arc::new(InProcessBreaker::new(twice));
    let models = [ScriptedModel::new("p:a").then(Step::error(hinted())), ScriptedModel::new("p:b")];
    let client = builder(&models).policy(patient).breaker(Arc::<InProcessBreaker>::clone(&breaker));
    let client = client.retry_budget(RetryBudget::new(0.0, 1)).build().unwrap();
    // And it is asked for leave again after the pause, in which others may have opened it.
    let other = async {
        tokio::time::sleep(secs(1)).await;
        let circuit = Circuit::new(breaker, "p:a");
        circuit.admit().await.unwrap().settle(Verdict::Failure);
    };
    let (report, ()) = tokio::join!(client.failover("hi"), other);
    let expected = ["p:a failed server @first_token", "p:a preempted_open", "p:b success @stream"];
    assert_eq!(trail(&report.unwrap()), expected);
}

#[tokio::test(start_paused = true)]
async fn calls_that_never_went_out_earn_nothing() {
    let unsaid = || Step::prepare_error(Error::new(ErrorKind::BadRequest, "nobody can say that"));
    let refused = || Step::error(Error::new(ErrorKind::BadRequest, "no"));
    for (before, attempts) in [(unsaid(), 1), (refused(), 2)] {
        let model = ScriptedModel::new("p:a").then_times(2, before).then(failing(ErrorKind::Overloaded));
        let budget = RetryBudget::new(0.5, 0);
        let client = exposed(&[model]).policy(retrying(1)).retry_budget(budget).build().unwrap();
        for _ in 0..2 {
            assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 1);
        }
        assert_eq!(client.failover("hi").await.unwrap().attempts().len(), attempts);
    }
}
