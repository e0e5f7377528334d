//! What is sent of sampling and of limits: what the caller has set, and nothing that nobody has.

use llm_client::{Builder, Provider, Registry};
use llm_protocol::Request;
use llm_simulator::{Simulator, Wire};
use llm_tests::{WIRES, http, secs};
use serde_json::Value;

/// The body of a request to a candidate with this limit of its own.
async fn sent(wire: Wire, own_limit: Option<u32>, request: Request) -> Value {
    let simulator = Simulator::start().await.unwrap();
    let base = simulator.base_url();
    let provider = match wire {
        Wire::OpenAi => Provider::new("openai", "asked").base_url(format!("{base}/v1")),
        _ => Provider::new("anthropic", "asked").base_url(base),
    };
    let provider = own_limit.into_iter().fold(provider, Provider::max_output_tokens);
    let registry = Registry::new().http_client(http(secs(30)));
    let client = Builder::with_registry(registry).add(provider).build().unwrap();
    assert!(client.failover(request).await.unwrap().succeeded());
    simulator.requests("asked").remove(0).body
}

#[tokio::test]
async fn a_temperature_is_sent_where_the_request_has_one() {
    for wire in WIRES {
        let unset = sent(wire, None, Request::from("Well?")).await;
        assert_eq!(unset.get("temperature"), None, "{wire}: {unset}");
        let set = sent(wire, None, Request::from("Well?").temperature(0.5)).await;
        assert_eq!(set["temperature"], 0.5, "{wire}");
    }
}

#[tokio::test]
async fn the_requests_limit_of_tokens_goes_before_the_candidates_and_that_before_the_default() {
    for wire in WIRES {
        let (name, default) = match wire {
            Wire::OpenAi => ("max_completion_tokens", None),
            _ => ("max_tokens", Some(4096)),
        };
        for (own, of_request, expected) in
            [(None, None, default), (Some(8192), None, Some(8192)), (Some(8192), Some(99), Some(99))]
        {
            let request = of_request.into_iter().fold(Request::from("Well?"), Request::max_tokens);
            let body = sent(wire, own, request).await;
            assert_eq!(body.get(name).cloned(), expected.map(Value::from), "{wire} {own:?} {of_request:?}");
        }
    }
}
