//! Both vendors against the contract that every adapter keeps to.

use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::{Adapter, Anthropic, Builder, HttpClient, OpenAi, Vendor};
use llm_protocol::Capability;
use llm_protocol::testing::contract::{Harness, Provider, SECRET, Scenario, Summary, Wired, check};
use llm_simulator::{Behaviour, Fault, Finish, Simulator, Usage};

const MODEL: &str = "model-x";

struct Bench<V> {
    /// How to make a vendor's adapter for a host.
    builder: fn(&str) -> Builder<V>,
    lacking: &'static [Capability],
}

#[async_trait::async_trait]
impl<V: Vendor> Harness for Bench<V> {
    type Adapter = Adapter<V>;

    async fn wire(&self, scenario: &Scenario) -> Option<Wired<Adapter<V>>> {
        let simulator = Simulator::start().await.unwrap();
        let mut host = simulator.base_url();
        match behaviour(scenario) {
            Some(behaviour) => {
                simulator.on(Simulator::MODELS, behaviour.clone());
                simulator.otherwise(behaviour);
            }
            None if *scenario == Scenario::Unreachable => host = unreachable().await,
            None => return None,
        }
        let http = HttpClient::configure(ClientBuilder::no_proxy).unwrap();
        let builder = (self.builder)(&host).api_key(SECRET).http_client(http);
        let builder = self.lacking.iter().copied().fold(builder, Builder::lacks);
        let adapter = builder.build().unwrap();
        Some(Wired::new(adapter, Watched(simulator)))
    }
}

struct Watched(Simulator);

impl Provider for Watched {
    fn received(&self) -> usize {
        self.0.received(MODEL)
    }

    fn last_request(&self) -> Option<String> {
        self.0.requests(MODEL).last().map(|request| request.body.to_string())
    }

    fn open(&self) -> usize {
        self.0.open_requests()
    }
}

/// What the provider does. The codes are OpenAI's and the texts Anthropic's: each vendor's errors take what they
/// have a place for.
fn behaviour(scenario: &Scenario) -> Option<Behaviour> {
    let deltas = |text: &str| text.split_inclusive(' ').map(str::to_owned).collect::<Vec<_>>();
    let broken = |text: &str, fault| {
        let deltas = deltas(text);
        let all = deltas.len();
        Behaviour::default().deltas(deltas).fault_after(all, fault)
    };
    Some(match scenario {
        Scenario::Answers { text, usage } => {
            let usage = Usage {
                input_tokens: usage.input_tokens.unwrap_or(0),
                output_tokens: usage.output_tokens.unwrap_or(0),
                cache_read_tokens: usage.cache_read_tokens.unwrap_or(0),
                cache_write_tokens: usage.cache_write_tokens.unwrap_or(0),
                reasoning_tokens: usage.reasoning_tokens.unwrap_or(0),
            };
            Behaviour::default().deltas(deltas(text)).usage(usage).split_utf8()
        }
        Scenario::ReachesTokenLimit { text } => Behaviour::answer(text).finish(Finish::Length),
        Scenario::CallsTools { calls } => calls.iter().fold(Behaviour::empty(), |behaviour, call| {
            behaviour.tool_call_with_id(&call.id, &call.name, &call.arguments)
        }),
        Scenario::Empty => Behaviour::empty(),
        Scenario::Silent => Behaviour::stall(),
        Scenario::Stalls { text } => broken(text, Fault::Stall),
        Scenario::Cut { text } => broken(text, Fault::Close),
        Scenario::FailsMidway { text } => broken(text, Fault::Error(529)),
        Scenario::Garbage => Behaviour::html(),
        Scenario::Throttled { retry_after } => {
            Behaviour::status(429).header("retry-after", retry_after.as_secs().to_string())
        }
        Scenario::Overloaded => Behaviour::status(529),
        Scenario::Fails => Behaviour::status(500),
        Scenario::Unauthorized => Behaviour::status(401).error_message(format!("no such key: {SECRET}")),
        Scenario::ModelUnknown => Behaviour::status(404),
        Scenario::ContextExceeded => Behaviour::status(400)
            .error_type("invalid_request_error")
            .error_code("context_length_exceeded")
            .error_message("prompt is too long: 210000 tokens > 200000 maximum"),
        _ => return None,
    })
}

/// An address at which nobody listens.
async fn unreachable() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn keeps_the_contract<V: Vendor>(builder: fn(&str) -> Builder<V>) -> Summary {
    check(&Bench { builder, lacking: &[] }).await
}

#[tokio::test]
async fn open_ai_keeps_the_contract() {
    let summary = keeps_the_contract(|host| OpenAi::builder(MODEL).base_url(format!("{host}/v1"))).await;
    let [lacking] = summary.skipped() else { panic!("{summary}") };
    assert_eq!(lacking.reason, "the adapter lacks nothing");
}

#[tokio::test]
async fn a_host_that_lacks_everything_keeps_the_contract() {
    let builder: fn(&str) -> _ = |host| OpenAi::builder(MODEL).base_url(format!("{host}/v1"));
    let lacking = &[Capability::Tools, Capability::JsonObject, Capability::JsonSchema, Capability::Images];
    let summary = check(&Bench { builder, lacking }).await;
    assert!(summary.skipped().iter().all(|skip| skip.reason.contains("tools")), "{summary}");
}

#[tokio::test]
async fn anthropic_keeps_the_contract() {
    let summary = keeps_the_contract(|host| Anthropic::builder(MODEL).base_url(host)).await;
    assert!(summary.skipped().is_empty(), "{summary}");
}
