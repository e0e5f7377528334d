//! What OpenAI and hosts that speak like it are sent.

use llm_adapters::{Builder, OpenAi, TokenLimitField};
use llm_protocol::{HealthState, ModelAdapter, Progress, Request, ResponseFormat, StreamEvent};
use llm_simulator::{Behaviour, Received, Simulator};
use serde_json::{Value, json};

use super::{BAD_REQUEST, Facts, Failed, streamed};
use crate::raw::http;

const MODEL: &str = "model-x";

/// A provider that refuses what the vendor would refuse, and how to ask it.
async fn provider(behaviour: Behaviour) -> (Simulator, Builder<OpenAi>) {
    let simulator = Simulator::start().await.unwrap();
    simulator.otherwise(behaviour);
    let base = format!("{}/v1", simulator.base_url());
    (simulator, OpenAi::builder(MODEL).base_url(base).http_client(http()))
}

fn last(simulator: &Simulator) -> Received {
    simulator.all_requests().pop().unwrap()
}

#[tokio::test]
async fn what_is_asked_stands_where_the_format_has_it() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::answer("hi").key("sesame")).await;
    for base in ["v1", "v1/", "openai/v1", "api/v1"] {
        let builder = builder.clone().base_url(format!("{}/{base}", simulator.base_url()));
        let model = builder.api_key("sesame").build().unwrap();
        let base = base.trim_end_matches('/');
        assert!(model.generate(&Request::from("hello"), &Progress::new()).await.is_ok());
        let (events, error) = streamed(&model, &Request::from("hello")).await;
        facts.holds(base, (events.is_empty(), error.is_none()), (false, true));
        for asked in simulator.all_requests().iter().rev().take(2) {
            let came = (&*asked.method, &*asked.path, asked.header("authorization"));
            facts.holds(base, came, ("POST", &format!("/{base}/chat/completions"), Some("Bearer sesame")));
        }
        facts.holds(base, model.health_check().await.state, HealthState::Healthy);
        let asked = last(&simulator);
        let came = (&*asked.method, &*asked.path, asked.header("authorization"));
        facts.holds(base, came, ("GET", &format!("/{base}/models"), Some("Bearer sesame")));
    }
    let model = builder.build().unwrap();
    let error = model.generate(&Request::from("hello"), &Progress::new()).await.unwrap_err();
    facts.holds("no key, no entrance", error.status(), Some(401));
    facts.holds("no key, none sent", last(&simulator).header("authorization"), None);
}

#[tokio::test]
async fn tokens_are_asked_for_with_streams_unless_the_host_refuses_it() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::answer("hi")).await;
    let model = builder.clone().build().unwrap();
    let asked = || last(&simulator).body.get("stream_options").cloned();
    let counted = |events: &[StreamEvent]| events.iter().any(|event| matches!(event, StreamEvent::Usage(_)));
    let (events, _) = streamed(&model, &Request::from("hello")).await;
    facts.holds("a stream asks", (asked(), counted(&events)), (Some(json!({"include_usage": true})), true));
    model.generate(&Request::from("hello"), &Progress::new()).await.unwrap();
    facts.holds("a whole answer has them anyway", asked(), None);
    simulator.otherwise("text=hi!refuses=stream_options".parse::<Behaviour>().unwrap());
    let (_, error) = streamed(&model, &Request::from("hello")).await;
    let came = error.map(|error| (error.kind(), error.category(), error.blames_model()));
    facts.holds("some hosts refuse it", came, Some(BAD_REQUEST));
    let model = builder.include_usage(false).build().unwrap();
    let (events, error) = streamed(&model, &Request::from("hello")).await;
    facts.holds(
        "not asked, it is not refused",
        (error.is_none(), asked(), counted(&events)),
        (true, None, false),
    );
    facts.holds("the answer is there", super::shown::collected(&events), "says hi; ends Stop".to_owned());
}

#[tokio::test]
async fn the_limit_of_tokens_has_the_name_that_the_host_knows() {
    let mut facts = Facts::new().await;
    let (own, common) = ("max_completion_tokens", "max_tokens");
    let (simulator, builder) = provider(Behaviour::answer("hi")).await;
    let request = Request::from("hello").max_tokens(7);
    let limits = |body: &Value| [own, common].map(|name| body.get(name).and_then(Value::as_u64));
    let setting = |builder: &Builder<OpenAi>, field| builder.clone().token_limit_field(field);
    let other = builder.clone().provider("groq");
    for (says, builder, refused, sent) in [
        ("OpenAI's own", builder.clone(), common, [Some(7), None]),
        ("others know one only", other.clone(), own, [None, Some(7)]),
        (
            "others may know both",
            setting(&other, TokenLimitField::MaxCompletionTokens),
            common,
            [Some(7), None],
        ),
        ("so may a proxy", setting(&builder, TokenLimitField::MaxTokens), own, [None, Some(7)]),
    ] {
        simulator.otherwise(Behaviour::answer("hi").refuses(refused));
        let model = builder.build().unwrap();
        let answer = model.generate(&request, &Progress::new()).await;
        let came = (answer.is_ok(), limits(&last(&simulator).body));
        facts.holds(says, came, (true, sent));
        let (_, error) = streamed(&model, &request).await;
        facts.holds(says, (error.is_none(), limits(&last(&simulator).body)), (true, sent));
    }
    // The simulator refuses for these models what OpenAI does.
    simulator.otherwise(Behaviour::answer("hi"));
    for name in ["o1", "o3-mini", "o4-mini"] {
        let base = format!("{}/v1", simulator.base_url());
        let builder = OpenAi::builder(name).base_url(base).http_client(http());
        let model = builder.clone().build().unwrap();
        let answer = model.generate(&request, &Progress::new()).await;
        facts.holds(name, answer.is_ok(), true);
        let model = builder.token_limit_field(TokenLimitField::MaxTokens).build().unwrap();
        let error = model.generate(&request, &Progress::new()).await.unwrap_err();
        let mut failed = Failed::with_status(BAD_REQUEST, 400).code("unsupported_parameter");
        failed.request_id = error.request_id().map(str::to_owned);
        facts.holds(name, Failed::of(&error), failed);
    }
}

#[tokio::test]
async fn a_schema_goes_where_the_format_has_it() {
    let mut facts = Facts::new().await;
    let (simulator, builder) = provider(Behaviour::default()).await;
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
        "additionalProperties": false});
    let model = builder.build().unwrap();
    for strict in [true, false] {
        let format = ResponseFormat::JsonSchema { name: "number".into(), schema: schema.clone(), strict };
        let request = Request::from("a number").response_format(format);
        let written = json!({"type": "json_schema",
            "json_schema": {"name": "number", "schema": schema, "strict": strict}});
        let answer = model.generate(&request, &Progress::new()).await.unwrap();
        facts.holds("whole", &*answer.text, "{\"n\":0}");
        facts.holds("whole", last(&simulator).body.get("response_format"), Some(&written));
        let (events, _) = streamed(&model, &request).await;
        facts.holds(
            "streamed",
            super::shown::collected(&events).starts_with("says {\"n\":0}; ends Stop"),
            true,
        );
        facts.holds("streamed", last(&simulator).body.get("response_format"), Some(&written));
    }
}
