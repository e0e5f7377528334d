//! Credentials, where a test wants them to be looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use common::{Asker, Seen, WIRES, body, read, within};
use llm_simulator::{Behaviour, Simulator, Wire};
use serde_json::json;

async fn ask(asker: &Asker, wire: Wire, model: &str, header: (&str, &str)) -> Seen {
    let request = asker.post(wire, &body(wire, model, false)).header(header.0, header.1);
    read(within(request.send()).await.unwrap()).await
}

#[tokio::test]
async fn another_key_than_the_required_one_is_a_401() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    simulator.require_key("good");
    for (wire, header, status) in [
        (Wire::OpenAi, ("authorization", "Bearer good"), 200),
        (Wire::OpenAi, ("authorization", "bearer good"), 200),
        (Wire::OpenAi, ("api-key", "good"), 200),
        (Wire::OpenAi, ("authorization", "Bearer bad"), 401),
        (Wire::OpenAi, ("authorization", "Basic good"), 401),
        (Wire::OpenAi, ("x-api-key", "good"), 401),
        (Wire::OpenAi, ("x-nothing", "good"), 401),
        (Wire::Anthropic, ("x-api-key", "good"), 200),
        (Wire::Anthropic, ("authorization", "Bearer good"), 200),
        (Wire::Anthropic, ("x-api-key", "bad"), 401),
        (Wire::Anthropic, ("x-nothing", "good"), 401),
    ] {
        assert_eq!(ask(&asker, wire, "m", header).await.status, status, "{wire} {header:?}");
    }
    let error = &ask(&asker, Wire::OpenAi, "m", ("authorization", "Bearer bad")).await.json()["error"];
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("invalid_request_error"), &json!("invalid_api_key"))
    );
    let error = &ask(&asker, Wire::Anthropic, "m", ("x-api-key", "bad")).await.json()["error"];
    assert_eq!(error, &json!({"type": "authentication_error", "message": "invalid x-api-key"}));
    let models = asker.client.get(format!("{}/v1/models", simulator.base_url()));
    assert_eq!(within(models.send()).await.unwrap().status(), 401);
    let simulator = Simulator::start().await.unwrap();
    simulator.require_key("a-key-that-nobody-sees");
    simulator.on("m", Behaviour::default().key("a-key-that-nobody-sees"));
    assert!(!format!("{simulator:?}").contains("nobody-sees"));
}

#[tokio::test]
async fn the_key_can_change_while_it_runs_and_a_401_takes_no_step() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    simulator.script("m", [Behaviour::status(503), Behaviour::default()]);
    simulator.require_key("old");
    simulator.require_key("new");
    for (key, status) in [("old", 401), ("new", 503), ("old", 401), ("new", 200)] {
        let bearer = format!("Bearer {key}");
        assert_eq!(ask(&asker, Wire::OpenAi, "m", ("authorization", &bearer)).await.status, status, "{key}");
    }
    simulator.accept_any_key();
    assert_eq!(ask(&asker, Wire::OpenAi, "m", ("authorization", "Bearer old")).await.status, 200);
    assert_eq!(simulator.received("m"), 5);
}

#[tokio::test]
async fn a_model_can_want_a_key_of_its_own() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for wire in WIRES {
        let bearer = |key| ("authorization", key);
        assert_eq!(ask(&asker, wire, "m!key=good", bearer("Bearer good")).await.status, 200);
        assert_eq!(ask(&asker, wire, "m!key=good", bearer("Bearer bad")).await.status, 401);
        assert_eq!(ask(&asker, wire, "m", bearer("Bearer bad")).await.status, 200);
    }
}
