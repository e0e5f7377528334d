//! Configured orders, hedges, waits and quorums over real sockets: what the settings do.
#![cfg(feature = "openai")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_reliability::{Attempt, ClientBuilder, Ended, Launch, Report, ResilientClient};
use llm_client::{Builder, Config, Provider, Registry};
use llm_simulator::{Behaviour, Ended as Request, Script, Simulator};
use tokio::sync::Notify;

/// A candidate at the simulator for each model, with these settings.
fn client(simulator: &Simulator, sections: &str, hosts: &[(&str, &str)]) -> ResilientClient {
    builder(simulator, sections, hosts).build().unwrap()
}

fn builder(simulator: &Simulator, sections: &str, hosts: &[(&str, &str)]) -> ClientBuilder {
    let url = simulator.base_url();
    let host = |(model, settings): &(&str, &str)| {
        format!("\n[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\nbase_url = '{url}'\n{settings}\n")
    };
    // Nobody is slow here but who is meant to be.
    let hosts: String = hosts.iter().map(host).collect();
    let config = Config::from_toml(&format!("timeouts.first_token = '60s'\n{sections}{hosts}")).unwrap();
    config.client_builder(&Registry::new().credentials(|_| None)).unwrap()
}

const TWO: [(&str, &str); 2] = [("a", ""), ("b", "")];
const THREE: [(&str, &str); 3] = [("a", ""), ("b", ""), ("c", "")];

fn trail(report: &Report) -> Vec<(&str, &str)> {
    report
        .attempts()
        .iter()
        .map(|it| (it.model_key.trim_start_matches("acme:"), it.outcome.as_str()))
        .collect()
}

async fn asked(client: &ResilientClient) -> String {
    let report = client.failover("Hi").await.unwrap();
    trail(&report).iter().map(|(model, _)| *model).collect()
}

#[tokio::test]
async fn turns_are_taken_and_priorities_take_over() {
    let simulator = Simulator::start().await.unwrap();
    let ranked = [("a", ""), ("b", "priority = 2"), ("c", "priority = 1")];
    let round_robin = client(&simulator, "failover.order = 'round_robin'", &ranked);
    for expected in ["a", "b", "c", "a"] {
        assert_eq!(asked(&round_robin).await, expected);
    }
    for model in ["a", "b", "c"] {
        simulator.on(model, Behaviour::status(503));
    }
    for expected in ["bac", "cab", "acb"] {
        assert_eq!(asked(&round_robin).await, expected);
    }
    let listed = client(&simulator, "breaker.failure_threshold = 9", &ranked);
    assert_eq!([asked(&listed).await, asked(&listed).await], ["acb", "acb"]);
}

#[tokio::test]
async fn weights_say_how_often() {
    let simulator = Simulator::start().await.unwrap();
    let weighted = "failover.order = 'weighted'";
    let all = client(&simulator, weighted, &[("a", "weight = 0"), ("b", "weight = 7"), ("c", "weight = 0")]);
    for _ in 0..20 {
        assert_eq!(asked(&all).await, "b");
    }
    // Unless set, each has a weight of 1.
    let most = client(&simulator, weighted, &[("a", "weight = 1000000"), ("b", "")]);
    let both = client(&simulator, weighted, &TWO);
    let (mut of_most, mut of_both) = (0, 0);
    for _ in 0..60 {
        of_most += usize::from(asked(&most).await == "a");
        of_both += usize::from(asked(&both).await == "a");
    }
    assert!(of_most >= 59 && (10..=50).contains(&of_both), "{of_most}, {of_both}");
    simulator.on("b", Behaviour::status(503));
    assert_eq!(asked(&all).await, "ba");
}

#[tokio::test]
async fn the_builder_has_weights_and_orders_too() {
    use llm_client::llm_reliability::{FanOut, QuorumPolicy, Weighted};
    let simulator = Simulator::start().await.unwrap();
    let host = |model: &str| Provider::new("acme", model).base_url(simulator.base_url());
    let client = Builder::new()
        .add(host("a").weight(0))
        .add(host("b").weight(2))
        .client_builder()
        .unwrap()
        .order(Weighted)
        .fan_out(FanOut::new(QuorumPolicy::AtLeast(2)))
        .build()
        .unwrap();
    for _ in 0..10 {
        assert_eq!(asked(&client).await, "b");
    }
    assert_eq!(client.fan_out("Hi").await.unwrap().ended(), Ended::QuorumMet);
}

#[tokio::test]
async fn whoever_has_the_fewest_calls_under_way_comes_first() {
    let simulator = Simulator::start().await.unwrap();
    simulator.script("a", Script::from([Behaviour::stall(), Behaviour::default()]));
    let client = client(&simulator, "failover.order = 'least_in_flight'", &TWO);
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.failover("Hi").await }
    });
    simulator.wait_received("a", 1).await;
    assert_eq!(asked(&client).await, "b");
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert_eq!(asked(&client).await, "a");
}

#[tokio::test]
async fn whoever_was_fastest_comes_first() {
    let simulator = Simulator::start().await.unwrap();
    let client =
        client(&simulator, "failover.order = 'fastest_first_token'\nbreaker.failure_threshold = 1000", &TWO);
    // `b` has first tokens, and `a` none.
    simulator.on("a", Behaviour::status(503));
    for _ in 0..10 {
        client.failover("Hi").await.unwrap();
    }
    // One call in ten looks at the other.
    let mut first = 0;
    for _ in 0..100 {
        first += usize::from(asked(&client).await == "b");
    }
    assert!(first >= 70, "{first} of 100 began with the one that is known to be fast");
}

#[tokio::test]
async fn who_is_slow_gets_company() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::stall());
    let hedged = client(&simulator, "failover = { hedge_after = '50ms', hedge_budget = '100%' }", &THREE);
    let report = hedged.failover("Hi").await.unwrap();
    assert_eq!(trail(&report), [("a", "cancelled"), ("b", "success")]);
    assert_eq!(report.attempts()[1].launch, Launch::Hedge);
    assert!(report.attempts()[1].start >= Duration::from_millis(50), "{report:?}");
    simulator.wait_idle().await;
    assert_eq!(simulator.requests("a")[0].ended, Request::Disconnected);
    assert_eq!(simulator.received("c"), 0);
}

#[tokio::test]
async fn company_is_not_to_be_had_from_the_start() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::stall());
    // Both clocks run out, however slow the machine is: what decides is that nothing has been saved up.
    let hosts = [("a", "timeouts.first_token = '100ms'"), ("b", "")];
    let report = client(&simulator, "failover.hedge_after = '50ms'", &hosts).failover("Hi").await.unwrap();
    assert_eq!(trail(&report), [("a", "failed"), ("b", "success")]);
    assert_eq!(report.attempts()[1].launch, Launch::Failover);
}

#[tokio::test]
async fn how_slow_is_slow_can_be_observed() {
    let simulator = Simulator::start().await.unwrap();
    let answers = (0..20).map(|_| Behaviour::default());
    simulator.script("a", Script::from(answers.chain([Behaviour::stall()]).collect::<Vec<_>>()));
    let client = client(&simulator, "failover = { hedge_after = 'p95', hedge_budget = '100%' }", &TWO);
    for _ in 0..20 {
        assert_eq!(asked(&client).await, "a");
    }
    let report = client.failover("Hi").await.unwrap();
    assert_eq!(trail(&report), [("a", "cancelled"), ("b", "success")]);
    assert_eq!(report.attempts()[1].launch, Launch::Hedge);
}

#[tokio::test]
async fn an_open_circuit_is_not_waited_for_beyond_the_limit() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::status(500));
    for wait in ["", "failover.wait_when_unavailable = '10m'"] {
        let sections = format!("breaker = {{ failure_threshold = 1, cooldown = '1h' }}\n{wait}");
        let client = client(&simulator, &sections, &[("a", "")]);
        assert_eq!(client.failover("Hi").await.unwrap().ended(), Ended::Exhausted);
        let report = client.failover("Hi").await.unwrap();
        assert_eq!(trail(&report), [("a", "preempted_open")], "{wait}");
        assert_eq!(report.ended(), Ended::Unavailable, "{wait}");
        assert!(report.retry_after().is_some_and(|after| after > Duration::from_secs(1800)), "{report:?}");
    }
}

#[tokio::test]
async fn a_place_is_waited_for_where_that_is_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator.script("a", Script::from([Behaviour::stall(), Behaviour::default()]));
    let passed_over = Arc::new(Notify::new());
    let observer = {
        let passed_over = Arc::clone(&passed_over);
        move |attempt: &Attempt| {
            if attempt.outcome.as_str() == "preempted_limited" {
                passed_over.notify_one();
            }
        }
    };
    let sections = "limits.in_flight = 1\nfailover.wait_when_unavailable = '60s'";
    let client = builder(&simulator, sections, &[("a", "")]).observer(observer).build().unwrap();
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.failover("Hi").await.unwrap() })
    };
    let slow = call();
    simulator.wait_received("a", 1).await;
    let waits = call();
    passed_over.notified().await;
    slow.abort();
    let report = waits.await.unwrap();
    assert_eq!(trail(&report).first(), Some(&("a", "preempted_limited")));
    assert_eq!(trail(&report).last(), Some(&("a", "success")));
}

#[tokio::test]
async fn two_of_three_are_enough_and_the_third_has_its_grace() {
    let simulator = Simulator::start().await.unwrap();
    for (rules, delay, third, answered) in [
        ("quorum = 2", Behaviour::stall(), "cancelled", 2),
        ("quorum = 2\ngrace = '50ms'", Behaviour::stall(), "cancelled", 2),
        ("quorum = 2\ngrace = '50s'", Behaviour::default().delay(Duration::from_millis(300)), "success", 3),
        ("quorum = 'majority'", Behaviour::stall(), "cancelled", 2),
        ("quorum = 'all'", Behaviour::status(503), "failed", 2),
    ] {
        simulator.on("c", delay);
        let client = client(&simulator, &format!("[fan_out]\n{rules}\n"), &THREE);
        let report = client.fan_out("Hi").await.unwrap();
        assert_eq!(trail(&report), [("a", "success"), ("b", "success"), ("c", third)], "{rules}");
        let quorum = report.quorum().unwrap();
        assert_eq!(
            (report.ended(), quorum.seats, quorum.answered),
            (Ended::QuorumMet, 3, answered),
            "{rules}"
        );
    }
}

#[tokio::test]
async fn a_quorum_that_cannot_be_reached_any_more_is_not_waited_for() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("a", Behaviour::status(503));
    simulator.on("c", Behaviour::stall());
    let all_three = client(&simulator, "fan_out.quorum = 3\n", &THREE);
    let report = all_three.fan_out("Hi").await.unwrap();
    assert_eq!((report.ended(), report.quorum().unwrap().required), (Ended::QuorumNotMet, 3));
    assert_eq!((trail(&report)[0].1, trail(&report)[2].1), ("failed", "cancelled"));

    let first = client(&simulator, "fan_out.quorum = 'first'\n", &THREE);
    let report = first.fan_out("Hi").await.unwrap();
    assert_eq!((report.ended(), report.responses().count()), (Ended::QuorumMet, 1));
}

#[tokio::test]
async fn who_is_too_late_is_cut_off() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("c", Behaviour::stall());
    let client = client(&simulator, "fan_out.cutoff = '50ms'\n", &THREE);
    let report = client.fan_out("Hi").await.unwrap();
    assert_eq!(trail(&report)[2], ("c", "cancelled"));
    assert!(report.elapsed() >= Duration::from_millis(50), "{:?}", report.elapsed());
}

#[tokio::test]
async fn seats_and_substitutes_are_set() {
    let simulator = Simulator::start().await.unwrap();
    simulator
        .script("b", Script::from([Behaviour::status(503), Behaviour::status(503), Behaviour::default()]));
    let rules = "fan_out = { seats = ['acme:b', 'acme:a', 'acme:b'], bench = ['acme:c'] }\n";
    let report = client(&simulator, rules, &THREE).fan_out("Hi").await.unwrap();
    assert_eq!(trail(&report), [("b", "failed"), ("a", "success"), ("b", "failed"), ("c", "success")]);
    let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
    assert_eq!(launches, [Launch::Panel, Launch::Panel, Launch::Panel, Launch::Failover]);

    // Who is on the bench has no seat unless it is given one.
    let report = client(&simulator, "fan_out.bench = ['acme:a']\n", &THREE).fan_out("Hi").await.unwrap();
    assert_eq!(trail(&report), [("b", "success"), ("c", "success")]);
}

#[tokio::test]
async fn so_many_are_asked_at_a_time() {
    let simulator = Simulator::start().await.unwrap();
    let report = client(&simulator, "fan_out.concurrency = 1\n", &THREE).fan_out("Hi").await.unwrap();
    assert_eq!(trail(&report), [("a", "success"), ("b", "success"), ("c", "success")]);
    for pair in report.attempts().windows(2) {
        assert!(pair[1].start >= pair[0].start + pair[0].latency, "one at a time: {pair:?}");
    }
}
