//! What goes well.

use std::sync::Arc;

use futures::StreamExt;
use llm_protocol::{ErrorKind, FinishReason, HealthState, Progress, Request, StreamEvent};
use llm_simulator::{Behaviour, Ended, Simulator, Usage};

use super::{KEY, MODEL, bench, generate, stream};

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
