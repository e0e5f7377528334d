//! What Anthropic is sent.

use llm_adapters::{Anthropic, Builder};
use llm_protocol::{
    Error, HealthState, Message, ModelAdapter, Part, Progress, Request, Response, ResponseFormat, Role, Tool,
    ToolCall,
};
use llm_simulator::{Behaviour, Received, Simulator};
use serde_json::{Value, json};

use super::{BAD_REQUEST, Facts, Failed, shown, streamed};
use crate::raw::http;

/// A provider that refuses what the vendor would refuse, and how to ask it.
async fn provider(behaviour: Behaviour) -> (Simulator, Builder<Anthropic>) {
    let simulator = Simulator::start().await.unwrap();
    simulator.otherwise(behaviour);
    let builder = Anthropic::builder("model-x").base_url(simulator.base_url()).http_client(http());
    (simulator, builder)
}

/// Both ways to ask: whether each is answered, or the error.
async fn ask(builder: &Builder<Anthropic>, request: &Request) -> [Option<Error>; 2] {
    let model = builder.clone().build().unwrap();
    let whole: Result<Response, Error> = model.generate(request, &Progress::new()).await;
    [whole.err(), streamed(&model, request).await.1]
}

fn last(simulator: &Simulator) -> Received {
    simulator.all_requests().pop().unwrap()
}

#[tokio::test]
async fn what_is_asked_and_with_what_key_stands_where_the_vendor_has_it() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::answer("hi")).await;
    let hello = Request::from("hello");
    let key = builder.clone().api_key("sesame");
    for (says, builder, key, authorization) in [
        ("the vendor's own header", key.clone(), Some("sesame"), None),
        ("no key", builder.clone(), None, None),
        ("a bearer instead", builder.header("authorization", "Bearer token"), None, Some("Bearer token")),
        ("both", key.clone().header("authorization", "Bearer token"), Some("sesame"), Some("Bearer token")),
        ("another key", key.header("x-api-key", "other"), Some("other"), None),
    ] {
        let errors = ask(&builder, &hello).await;
        facts.holds(says, errors.iter().all(Option::is_none), true);
        for asked in simulator.all_requests().iter().rev().take(2) {
            let came =
                (&*asked.method, &*asked.path, asked.header("x-api-key"), asked.header("authorization"));
            facts.holds(says, came, ("POST", "/v1/messages", key, authorization));
        }
        facts.holds(says, builder.build().unwrap().health_check().await.state, HealthState::Healthy);
        let asked = last(&simulator);
        let came = (&*asked.method, &*asked.path, asked.header("x-api-key"), asked.header("authorization"));
        facts.holds(says, came, ("GET", "/v1/models", key, authorization));
        facts.holds(says, asked.header("anthropic-version"), Some("2023-06-01"));
    }
}

#[tokio::test]
async fn the_version_decides_what_may_be_set() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::answer("hi")).await;
    let newer = builder.clone().version("2026-10-21");
    let extra = |name: &str, value: Value| Request::from("hello").extra("anthropic", name, value);
    for (says, request) in [
        ("temperature", Request::from("hello").temperature(0.5)),
        ("top_p", extra("top_p", json!(0.5))),
        ("top_k", extra("top_k", json!(3))),
    ] {
        let errors = ask(&builder, &request).await;
        facts.holds(says, errors.iter().all(Option::is_none), true);
        facts.holds(says, last(&simulator).header("anthropic-version"), Some("2023-06-01"));
        facts.holds(says, last(&simulator).body.get(says).is_some(), true);
        for error in ask(&newer, &request).await.into_iter().map(Option::unwrap) {
            let mut failed = Failed::with_status(BAD_REQUEST, 400).code("invalid_request_error");
            failed.request_id = error.request_id().map(str::to_owned);
            failed.should_retry = Some(false);
            facts.holds(says, Failed::of(&error), failed);
        }
        facts.holds(says, last(&simulator).header("anthropic-version"), Some("2026-10-21"));
    }
    let errors = ask(&newer, &Request::from("hello")).await;
    facts.holds("nothing is set that nobody set", errors.iter().all(Option::is_none), true);
}

#[tokio::test]
async fn instructions_go_apart_and_a_limit_of_tokens_always_goes_along() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::answer("hi")).await;
    let limited = builder.clone().max_output_tokens(77);
    let instructed = Request::new([Message::system("be brief"), Message::user("hello")]);
    for (says, builder, request, system, limit) in [
        ("instructions", &builder, instructed.clone(), json!("be brief"), 4096),
        ("no instructions", &builder, Request::from("hello"), Value::Null, 4096),
        ("the request's limit", &limited, Request::from("hello").max_tokens(7), Value::Null, 7),
        ("the model's limit", &limited, Request::from("hello"), Value::Null, 77),
    ] {
        let errors = ask(builder, &request).await;
        facts.holds(says, errors.iter().all(Option::is_none), true);
        for asked in simulator.all_requests().iter().rev().take(2) {
            facts.holds(says, asked.body["system"].clone(), system.clone());
            facts.holds(says, asked.body["max_tokens"].clone(), json!(limit));
            let roles = asked.body["messages"].as_array().unwrap().iter().map(|turn| turn["role"].clone());
            facts.holds(says, roles.collect::<Vec<_>>(), vec![json!("user")]);
        }
    }
}

#[tokio::test]
async fn the_input_of_a_tool_is_an_object_there_and_a_text_here() {
    let mut facts = Facts::new().await;
    let arguments = r#"{"city":"Oslo","days":[1,2]}"#;
    let (simulator, builder) =
        provider(Behaviour::default().tool_call_with_id("toolu_1", "weather", arguments)).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let request = Request::from("weather?").tool(Tool::new("weather", schema));
    let model = builder.clone().build().unwrap();
    let answer = model.generate(&request, &Progress::new()).await.unwrap();
    let (events, _) = streamed(&model, &request).await;
    let told = format!("toolu_1: weather{arguments}; ends ToolCalls");
    facts.holds("whole", shown::answer(&answer).starts_with(&told), true);
    facts.holds("streamed", shown::collected(&events).starts_with(&told), true);
    for (says, text, object) in [
        ("some", arguments, json!({"city": "Oslo", "days": [1, 2]})),
        ("none", "", json!({})),
        ("an empty object", "{}", json!({})),
    ] {
        let call = ToolCall { id: "toolu_1".into(), name: "weather".into(), arguments: text.into() };
        let mut request = request.clone();
        request.messages.push(Message::new(Role::Assistant, vec![Part::ToolCall(call)]));
        request.messages.push(Message::tool("toolu_1", "weather", "sunny"));
        let errors = ask(&builder, &request).await;
        facts.holds(says, errors.iter().all(Option::is_none), true);
        for asked in simulator.all_requests().iter().rev().take(2) {
            let block = json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": object});
            facts.holds(says, asked.body["messages"][1]["content"][0].clone(), block);
        }
    }
}

#[tokio::test]
async fn a_schema_goes_where_the_vendor_has_it() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::default()).await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
        "additionalProperties": false});
    let request =
        Request::from("a number").response_format(ResponseFormat::json_schema("number", schema.clone()));
    let model = builder.build().unwrap();
    let answer = model.generate(&request, &Progress::new()).await.unwrap();
    facts.holds("whole", &*answer.text, "{\"n\":0}");
    let (events, _) = streamed(&model, &request).await;
    facts.holds("streamed", shown::collected(&events).starts_with("says {\"n\":0}; ends Stop"), true);
    for asked in simulator.all_requests() {
        let written = json!({"format": {"type": "json_schema", "schema": schema}});
        facts.holds("no name, no strictness", asked.body.get("output_config"), Some(&written));
    }
}
