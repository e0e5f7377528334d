//! Scripts, directives in names, counts, and what is remembered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, WIRES, within};
use llm_simulator::{Behaviour, Ended, Script, Simulator, Wire};

async fn statuses(asker: &Asker, model: &str, requests: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..requests {
        statuses.push(asker.ask(Wire::OpenAi, model, false).await.status);
    }
    statuses
}

#[tokio::test]
async fn the_successive_requests_of_a_model_follow_its_script() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    simulator.script("m", vec![Behaviour::status(529), Behaviour::status(429), Behaviour::default()]);
    assert_eq!(statuses(&asker, "m", 4).await, [529, 429, 200, 200]);
    simulator.script("m", Script::flap([Behaviour::status(503), Behaviour::default()]));
    assert_eq!(statuses(&asker, "m", 4).await, [503, 200, 503, 200]);
    assert_eq!(statuses(&asker, "n!status=503!then!", 3).await, [503, 200, 200]);
    assert_eq!(
        statuses(&asker, "n!flap!status=503!then!text=then!then!status=500", 4).await,
        [503, 200, 500, 503]
    );
    simulator.otherwise(Behaviour::status(404));
    assert_eq!(statuses(&asker, "o", 1).await, [404]);
    simulator.on("n!status=418", Behaviour::default()); // a script goes before the name
    assert_eq!(statuses(&asker, "n!status=418", 1).await, [200]);
    assert_eq!(simulator.received("m"), 8);
    assert_eq!(simulator.received("n"), 0);
    assert_eq!(simulator.received_total(), 17);
}

#[tokio::test]
async fn what_the_vendor_would_refuse_takes_no_step_of_a_script() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    simulator.script("m", [Behaviour::status(529), Behaviour::default()]);
    let refused = [("POST", "/v1/messages", 400), ("POST", "/v1/nowhere", 404), ("PUT", "/v1/messages", 405)];
    for (method, path, status) in refused {
        let url = format!("{}{path}", simulator.base_url());
        let request = asker.client.request(method.parse().unwrap(), url).body("{\"model\": \"m\"}");
        assert_eq!(within(request.send()).await.unwrap().status(), status, "{method} {path}");
    }
    assert_eq!(simulator.received("m"), 3);
    assert_eq!(statuses(&asker, "m", 2).await, [529, 200]);
}

#[tokio::test]
async fn requests_are_remembered_without_showing_credentials() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for wire in WIRES {
        let request = asker.request(wire, "m", true).header("X-Api-Key", "hush-1").bearer_auth("hush-2");
        let response = within(request.header("x-other", "shown").send()).await.unwrap();
        assert!(common::read(response).await.terminated());
    }
    within(simulator.wait_idle()).await;
    let requests = simulator.requests("m");
    assert_eq!(requests.iter().map(|request| request.wire).collect::<Vec<_>>(), WIRES);
    for (request, path) in requests.iter().zip(["/v1/chat/completions", "/v1/messages"]) {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
        assert!(request.streamed);
        assert_eq!(request.body["messages"][0]["content"], "Hi");
        assert_eq!(request.ended, Ended::Completed);
        assert_eq!(request.header("x-api-key"), Some("hush-1"));
        assert_eq!(request.headers().filter(|(_, value)| *value == "Bearer hush-2").count(), 1);
        let shown = format!("{request:?}");
        assert!(shown.contains("shown") && !shown.contains("hush"), "{shown}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_list_of_directives_is_refused_by_name() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for wire in WIRES {
        let seen = asker.ask(wire, "m!explode=5", false).await;
        assert_eq!(seen.status, 400);
        let message = seen.json()["error"]["message"].to_string();
        assert!(message.contains("unknown directive `explode`"), "{message}");
    }
    assert_eq!(simulator.received("m!explode=5"), 2);
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", Behaviour::stall());
    let asker = Asker::new(&simulator);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        clients.spawn(asker.request(Wire::Anthropic, "m", true).send());
    }
    within(simulator.wait_received("m", 20)).await;
    assert_eq!(simulator.open_requests(), 20);
    clients.shutdown().await;
    within(simulator.wait_idle()).await;
    assert_eq!(simulator.connections(), 20);
}
