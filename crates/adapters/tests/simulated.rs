//! Both vendors against a provider that behaves and misbehaves, over real sockets.
#![cfg(all(feature = "anthropic", feature = "openai"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::{Anthropic, BuildError, HttpClient, OpenAi};
use llm_protocol::{
    Error, ErrorKind, FinishReason, HealthState, Progress, Request, Response, ResponseBuilder, Stage,
    StreamEvent, StreamingModelAdapter,
};
use llm_simulator::{Behaviour, Ended, Fault, Simulator, Usage};

type Model = Arc<dyn StreamingModelAdapter>;

/// A provider, and both vendors' way to ask it for the same model.
struct Bench {
    provider: Simulator,
    models: [Model; 2],
}

const MODEL: &str = "model-x";
const KEY: &str = "a-key-that-nobody-shall-see";

async fn bench() -> Bench {
    let provider = Simulator::start().await.unwrap();
    let models = models(&provider).unwrap();
    Bench { provider, models }
}

fn models(provider: &Simulator) -> Result<[Model; 2], BuildError> {
    let http = HttpClient::configure(ClientBuilder::no_proxy)?;
    let openai = OpenAi::builder(MODEL).base_url(format!("{}/v1", provider.base_url()));
    let anthropic = Anthropic::builder(MODEL).base_url(provider.base_url());
    Ok([
        Arc::new(openai.api_key(KEY).http_client(http.clone()).build()?),
        Arc::new(anthropic.api_key(KEY).http_client(http).build()?),
    ])
}

impl Bench {
    fn on(&self, behaviour: Behaviour) {
        self.provider.on(MODEL, behaviour);
    }
}

async fn generate(model: &Model) -> Result<Response, Error> {
    model.generate(&Request::from("hello"), &Progress::new()).await
}

/// What a stream gave, and how it ended.
async fn stream(model: &Model) -> (ResponseBuilder, Result<(), Error>) {
    let mut answer = ResponseBuilder::default();
    let mut events = match model.stream(&Request::from("hello"), &Progress::new()).await {
        Ok(events) => events,
        Err(error) => return (answer, Err(error)),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => answer.absorb(&event),
            Err(error) => {
                assert!(events.next().await.is_none(), "nothing comes after an error");
                return (answer, Err(error));
            }
        }
    }
    assert!(events.next().await.is_none(), "a stream may be asked again at its end");
    (answer, Ok(()))
}

/// The error in which both ways to ask end.
async fn errors(model: &Model) -> [Error; 2] {
    [generate(model).await.unwrap_err(), stream(model).await.1.unwrap_err()]
}

#[tokio::test]
async fn answers_come_whole_and_streamed() {
    let bench = bench().await;
    let usage = Usage { input_tokens: 18, output_tokens: 27, cache_read_tokens: 100, ..Usage::default() };
    bench.on(Behaviour::answer("Hello there, ö 😄")
        .reasoning("let me see")
        .model_id("model-x-1")
        .usage(usage)
        .split_utf8());
    for model in &bench.models {
        let whole = generate(model).await.unwrap();
        let (streamed, ending) = stream(model).await;
        ending.unwrap();
        assert!(streamed.is_finished());
        for answer in [whole, streamed.into_response()] {
            assert_eq!(answer.text, "Hello there, ö 😄");
            assert_eq!(answer.reasoning.as_deref(), Some("let me see"));
            assert_eq!(answer.finish_reason, FinishReason::Stop);
            assert_eq!(answer.usage.input_tokens, Some(18));
            assert_eq!((answer.usage.output_tokens, answer.usage.cache_read_tokens), (Some(27), Some(100)));
            assert_eq!(answer.model_id.as_deref(), Some("model-x-1"));
            assert!(answer.request_id.is_some());
        }
    }
    assert_eq!(bench.provider.received(MODEL), 4);
}

#[tokio::test]
async fn credentials_go_where_the_vendor_looks_for_them() {
    let bench = bench().await;
    for model in &bench.models {
        generate(model).await.unwrap();
    }
    let requests = bench.provider.requests(MODEL);
    assert_eq!(requests[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[1].header("x-api-key"), Some(KEY));
    assert_eq!(requests[1].header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(requests[1].path, "/v1/messages");
    for request in &requests {
        assert!(request.header("content-length").is_some());
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    for model in &bench.models {
        assert!(!format!("{:?} {:?}", model.capabilities(), model.key()).contains(KEY));
    }
}

#[tokio::test]
async fn statuses_become_kinds_with_their_hints() {
    let bench = bench().await;
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (401, ErrorKind::Authentication),
        (402, ErrorKind::Billing),
        (403, ErrorKind::Permission),
        (404, ErrorKind::ModelNotFound),
        (408, ErrorKind::Server),
        (413, ErrorKind::TooLarge),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Server),
        (502, ErrorKind::Server),
        (529, ErrorKind::Overloaded),
    ] {
        bench.on(Behaviour::status(status).header("retry-after", "7").header("x-should-retry", "false"));
        for model in &bench.models {
            for error in errors(model).await {
                assert_eq!(error.kind(), kind, "{status}: {error}");
                assert_eq!(error.status(), Some(status));
                assert_eq!(error.model_key(), Some(model.key()));
                assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
                assert_eq!(error.should_retry(), Some(false));
                assert!(error.request_id().is_some(), "{error:?}");
                assert!(!error.message().is_empty());
            }
        }
    }
}

#[tokio::test]
async fn own_secrets_are_scrubbed_from_provider_texts() {
    let bench = bench().await;
    bench.on(Behaviour::status(401).error_message(format!("the key {KEY} is wrong")));
    for model in &bench.models {
        for error in errors(model).await {
            assert_eq!(error.message(), "the key *** is wrong");
            assert!(!format!("{error:?}{error}").contains(KEY));
        }
    }
}

#[tokio::test]
async fn an_error_in_a_success_is_an_error() {
    let bench = bench().await;
    bench.on(Behaviour::error_body(429).header("retry-after", "59"));
    for model in &bench.models {
        for error in errors(model).await {
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
            assert_eq!(error.retry_after(), None, "the headers of a success are no hints");
            assert!(error.request_id().is_some());
        }
    }
}

#[tokio::test]
async fn an_error_in_a_stream_keeps_what_came_before() {
    let bench = bench().await;
    for (status, kind) in
        [(529, ErrorKind::Overloaded), (429, ErrorKind::RateLimited), (500, ErrorKind::Server)]
    {
        bench.on(Behaviour::answer("one two three").error_after(2, status));
        for model in &bench.models {
            let (answer, ending) = stream(model).await;
            let error = ending.unwrap_err();
            assert_eq!(answer.response().text, "one two");
            assert!(!answer.is_finished());
            assert_eq!(error.kind(), kind, "{error}");
        }
    }
}

#[tokio::test]
async fn pages_are_no_answers() {
    let bench = bench().await;
    bench.on(Behaviour::html());
    for model in &bench.models {
        for error in errors(model).await {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(!error.message().contains("Welcome"));
        }
    }
}

#[tokio::test]
async fn one_json_answer_to_a_streaming_request_is_taken() {
    let bench = bench().await;
    bench.on(Behaviour::answer("Hello there").ignore_stream());
    for model in &bench.models {
        let (answer, ending) = stream(model).await;
        ending.unwrap();
        assert!(answer.is_finished() && answer.response().request_id.is_some());
        assert_eq!(answer.response().text, "Hello there");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_truncated() {
    let bench = bench().await;
    for fault in [Fault::Truncate, Fault::Close, Fault::Reset] {
        bench.on(Behaviour::answer("one two three").fault_after(2, fault));
        for model in &bench.models {
            let (answer, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Truncated, "{fault:?}");
            assert!(!answer.is_finished());
            assert!(answer.response().request_id.is_some());
            if fault != Fault::Reset {
                assert_eq!(answer.response().text, "one two");
            }
        }
    }
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_truncated() {
    let bench = bench().await;
    for fault in [Fault::Close, Fault::Reset] {
        bench.on(Behaviour::answer("one two three").fault_after(2, fault));
        for model in &bench.models {
            let error = generate(model).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{fault:?}");
            assert!(error.request_id().is_some());
        }
    }
}

#[tokio::test]
async fn nonsense_in_a_stream_is_a_protocol_error() {
    let bench = bench().await;
    for fault in [Fault::Malformed, Fault::InvalidUtf8] {
        bench.on(Behaviour::answer("one two three").fault_after(1, fault));
        for model in &bench.models {
            let (answer, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Protocol, "{fault:?}");
            assert_eq!(answer.response().text, "one");
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_connection_error() {
    let bench = bench().await;
    for behaviour in [Behaviour::reset(), Behaviour::close()] {
        bench.on(behaviour);
        for model in &bench.models {
            let progress = Progress::new();
            let error = model.generate(&Request::from("hello"), &progress).await.unwrap_err();
            assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Sent), "{error}");
            let (_, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Connection);
        }
    }
    assert_eq!(bench.provider.received(MODEL), 8, "nothing is asked twice");
}

#[tokio::test]
async fn a_stream_without_done_is_complete_by_its_finish_reason() {
    let bench = bench().await;
    bench.on(Behaviour::answer("Hello").no_done());
    let (answer, ending) = stream(&bench.models[0]).await;
    ending.unwrap();
    assert!(answer.is_finished());
}

#[tokio::test]
async fn the_request_id_is_known_before_the_first_token() {
    let bench = bench().await;
    bench.on(Behaviour::default().no_first_token());
    for model in &bench.models {
        let mut events = model.stream(&Request::from("hello"), &Progress::new()).await.unwrap();
        match events.next().await {
            Some(Ok(StreamEvent::Started(started))) => assert!(started.request_id.is_some()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn dropping_a_call_ends_its_request() {
    let bench = bench().await;
    bench.on(Behaviour::stall());
    for (at, model) in bench.models.iter().enumerate() {
        let call = tokio::spawn({
            let model = Arc::clone(model);
            async move { generate(&model).await }
        });
        bench.provider.wait_received(MODEL, at + 1).await;
        call.abort();
        bench.provider.wait_until(|provider| provider.requests(MODEL)[at].ended == Ended::Disconnected).await;
    }
    bench.on(Behaviour::answer("one two").stall_after(1));
    for model in &bench.models {
        let mut events = model.stream(&Request::from("hello"), &Progress::new()).await.unwrap();
        while !events.next().await.unwrap().unwrap().is_token() {}
        drop(events);
        bench.provider.wait_idle().await;
        assert_eq!(bench.provider.requests(MODEL).last().unwrap().ended, Ended::Disconnected);
    }
}

#[tokio::test]
async fn connections_are_used_again_and_shared_between_adapters() {
    let bench = bench().await;
    for _ in 0..3 {
        for model in &bench.models {
            generate(model).await.unwrap();
            stream(model).await.1.unwrap();
        }
    }
    let requests = bench.provider.requests(MODEL);
    assert_eq!(requests.len(), 12);
    assert!(bench.provider.connections() <= 3, "{} connections", bench.provider.connections());
}

#[tokio::test]
async fn refusals_are_told() {
    let bench = bench().await;
    bench.on(Behaviour::default().refusal("I would rather not"));
    for model in &bench.models {
        let whole = generate(model).await.unwrap();
        let (streamed, ending) = stream(model).await;
        ending.unwrap();
        assert!(whole.refusal.is_some() && streamed.response().refusal.is_some());
    }
}

#[tokio::test]
async fn health_is_what_the_list_of_models_says() {
    let bench = bench().await;
    for model in &bench.models {
        let health = model.health_check().await;
        assert_eq!(health.state, HealthState::Healthy, "{:?}", health.error);
        assert_eq!(&*health.model_key, model.key());
        for (behaviour, kind) in [
            (Behaviour::status(401), ErrorKind::Authentication),
            (Behaviour::status(500), ErrorKind::Server),
            (Behaviour::html(), ErrorKind::Protocol),
            (Behaviour::close(), ErrorKind::Connection),
        ] {
            bench.provider.on(Simulator::MODELS, behaviour);
            let health = model.health_check().await;
            assert_eq!(health.state, HealthState::Unhealthy);
            let error = health.error.unwrap();
            assert_eq!((error.kind(), error.model_key()), (kind, Some(model.key())));
        }
        bench.provider.on(Simulator::MODELS, Behaviour::default());
    }
    let requests = bench.provider.requests(Simulator::MODELS);
    assert!(requests.iter().all(|request| request.path == "/v1/models" && request.method == "GET"));
    assert_eq!(requests[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
}
