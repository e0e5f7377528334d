//! The clocks that tell a provider that is pending from one that is only slow, and what they default to.

use std::sync::Arc;

use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Clock, Error, ErrorKind, FinishReason};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Rejection, Settlement, Status, async_trait,
};
use llm_reliability::{Call, Ended, ResilientClient, Timeouts};
use llm_tests::{Strategy, ask, secs, trail};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn slow_but_real_is_waited_for_and_pending_is_not() {
    for strategy in Strategy::ALL {
        let slow = Step::events([]).after(secs(14)).then_text("slow ").after(secs(29)).then_text("but ");
        let slow = slow.after(secs(16)).then_text("real").finishing(FinishReason::Stop);
        let models = [ScriptedModel::new("p:slow").then(slow), ScriptedModel::new("p:spare")];
        let client = ResilientClient::builder().candidates(models.clone()).build().unwrap();
        let asked = ask(&client, strategy, "Well?").await;
        assert_eq!((asked.text.as_str(), models[1].started()), ("slow but real", 0), "{strategy:?}");
        assert_eq!(asked.report.attempts()[0].first_token, Some(secs(14)), "{strategy:?}");
        assert_eq!(asked.report.elapsed(), secs(59), "{strategy:?}");

        let models = [ScriptedModel::new("p:pending").then(Step::stall()), ScriptedModel::new("p:spare")];
        let client = ResilientClient::builder().candidates(models).build().unwrap();
        let report = ask(&client, strategy, "Well?").await.report;
        let expected = ["p:pending failed timeout/first_token @first_token", "p:spare success @stream"];
        assert_eq!((trail(&report), report.elapsed()), (expected.map(str::to_owned).to_vec(), secs(15)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_call_without_time_says_what_it_was_waiting_for() {
    let drip = |key| {
        let endless = (0..99).fold(Step::events([]), |step, _| step.after(secs(5)).then_text("drip "));
        ScriptedModel::new(key).then(endless)
    };
    let client = ResilientClient::builder().candidates(["p:1", "p:2", "p:3"].map(drip)).build().unwrap();
    let call = Call::new("Well?").timeouts(Timeouts::new().total(secs(75)));
    let error = client.failover(call).await.unwrap().into_result().unwrap_err();
    assert_eq!((error.ended(), error.report().elapsed()), (Ended::TotalTimeout, secs(75)));
    let expected = ["p:1 failed timeout/attempt @stream", "p:2 failed timeout/total @stream"];
    assert_eq!(trail(error.report()), expected);
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(cause.kind(), ErrorKind::Timeout(Clock::Total));
}

/// A breaker whose store takes nothing in.
struct Stuck;

#[async_trait]
impl Breaker for Stuck {
    async fn acquire(&self, _: &str, _: &Ask) -> Result<Admission, Rejection> {
        Ok(Admission::closed(1))
    }

    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {}

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }

    async fn flush(&self) {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_takes_two_seconds_at_most_and_no_call_waits_for_it() {
    let models =
        [ScriptedModel::new("p:cut").then(Step::answer("half an").then_end()), ScriptedModel::new("p:spare")];
    let client = ResilientClient::builder().candidates(models).breaker(Arc::new(Stuck)).build().unwrap();
    let begun = Instant::now();
    for strategy in Strategy::ALL {
        let attempts = ask(&client, strategy, "Well?").await.report.attempts().len();
        assert_eq!(
            attempts,
            if strategy == Strategy::Failover { 2 } else { 1 },
            "a cut fails over until it is handed out"
        );
    }
    assert_eq!(begun.elapsed(), secs(0));
    assert!(!client.shutdown().await, "it says that not everything has reached its store");
    assert_eq!(begun.elapsed(), secs(2));
}
