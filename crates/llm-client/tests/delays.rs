//! Configured delays, budgets, waits and cutoffs in virtual time: when each is due, to the millisecond.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_protocol::testing::{ScriptedModel, Step};
use llm_client::llm_protocol::{Error, ErrorKind, ModelAdapter};
use llm_client::llm_reliability::{Ended, Launch, Report, ResilientClient};
use llm_client::{Config, FactoryError, ProviderContext, ProviderFactory, Registry};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A provider with these models.
struct Acme(Vec<ScriptedModel>);

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        let key = context.spec.key();
        Ok(Arc::new(self.0.iter().find(|model| model.key() == key).unwrap().clone()))
    }
}

fn model(name: &str) -> ScriptedModel {
    ScriptedModel::new(&format!("acme:{name}"))
}

fn client(sections: &str, models: &[ScriptedModel]) -> ResilientClient {
    let candidate = |model: &ScriptedModel| {
        format!("\n[[candidate]]\nprovider = 'acme'\nmodel = '{}'\n", ModelAdapter::model(model))
    };
    let candidates: String = models.iter().map(candidate).collect();
    let config = Config::from_toml(&format!("{sections}{candidates}")).unwrap();
    config.build(&Registry::empty().provider("acme", Acme(models.to_vec()))).unwrap()
}

fn trail(report: &Report) -> Vec<String> {
    report.attempts().iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn company_is_saved_up_for() {
    for (budget, calls) in [("", 20), ("hedge_budget = 50", 2), ("hedge_budget = 100", 1)] {
        let slow = model("slow").then_times(calls - 1, Step::answer("soon")).then(Step::stall());
        let sections = format!("timeouts.first_token = '3s'\n[failover]\nhedge_after = '1s'\n{budget}\n");
        let client = client(&sections, &[slow, model("b")]);
        for _ in 1..calls {
            assert_eq!(trail(&client.failover("Hi").await.unwrap()), ["acme:slow success @stream"]);
        }
        let report = client.failover("Hi").await.unwrap();
        assert_eq!(
            trail(&report),
            ["acme:slow cancelled @first_token", "acme:b success @stream"],
            "{budget}"
        );
        assert_eq!((report.attempts()[1].launch, report.elapsed()), (Launch::Hedge, secs(1)), "{budget}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_savings_there_is_no_company() {
    for (budget, calls) in [("", 19), ("hedge_budget = 50", 1)] {
        let slow = model("slow").then_times(calls - 1, Step::answer("soon")).then(Step::stall());
        let sections = format!("timeouts.first_token = '3s'\n[failover]\nhedge_after = '1s'\n{budget}\n");
        let client = client(&sections, &[slow, model("b")]);
        for _ in 1..calls {
            client.failover("Hi").await.unwrap();
        }
        let report = client.failover("Hi").await.unwrap();
        assert_eq!((report.attempts()[1].launch, report.elapsed()), (Launch::Failover, secs(3)), "{budget}");
        // This call was the last to save up for the next; with that it is used up.
        for (launch, elapsed) in [(Launch::Hedge, secs(1)), (Launch::Failover, secs(3))] {
            let report = client.failover("Hi").await.unwrap();
            assert_eq!((report.attempts()[1].launch, report.elapsed()), (launch, elapsed), "{budget}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_waited_for_where_that_is_set() {
    let open = "acme:a preempted_open";
    for (wait, expected, ended, elapsed) in [
        ("", &[open][..], Ended::Unavailable, secs(0)),
        ("failover.wait_when_unavailable = '39s'", &[open], Ended::Unavailable, secs(0)),
        (
            "failover.wait_when_unavailable = '41s'",
            &[open, "acme:a success @stream"],
            Ended::Answered,
            secs(40),
        ),
    ] {
        let broken = Step::error(Error::new(ErrorKind::Server, "It is down."));
        let model = model("a").then(broken).then(Step::answer("It is back."));
        let sections = format!("breaker = {{ failure_threshold = 1, cooldown = '40s' }}\n{wait}");
        let client = client(&sections, &[model]);
        assert_eq!(client.failover("Hi").await.unwrap().ended(), Ended::Exhausted);
        let report = client.failover("Hi").await.unwrap();
        assert_eq!(trail(&report), expected, "{wait}");
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed), "{wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_late_has_the_grace_and_the_cutoff() {
    let late = "acme:c cancelled @first_token";
    let in_time = "acme:c success @stream";
    for (rules, third, elapsed) in [
        ("", in_time, secs(8)),
        ("quorum = 2", late, secs(1)),
        ("quorum = 2\ngrace = '6s'", late, secs(7)),
        ("quorum = 2\ngrace = '9s'", in_time, secs(8)),
        ("quorum = 2\ngrace = '9s'\ncutoff = '6s'", late, secs(6)),
        ("cutoff = '7s'", late, secs(7)),
        ("cutoff = '9s'", in_time, secs(8)),
    ] {
        let models = [("a", 1), ("b", 1), ("c", 8)]
            .map(|(name, after)| model(name).then(Step::default().delayed(secs(after))));
        let client = client(&format!("[fan_out]\n{rules}\n"), &models);
        let report = client.fan_out("Hi").await.unwrap();
        assert_eq!(trail(&report), ["acme:a success @stream", "acme:b success @stream", third], "{rules}");
        assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, elapsed), "{rules}");
    }
}
