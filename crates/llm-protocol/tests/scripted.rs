//! What the scripted model promises to the tests that use it.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as production code for it")]

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use llm_protocol::testing::{Ending, ScriptedModel, Step};
use llm_protocol::{
    Capability, Error, ErrorKind, FinishReason, HealthState, ModelAdapter, Progress, Request, Response,
    ResponseBuilder, ResponseFormat, Stage, StreamEvent, StreamingModelAdapter, Tool, ToolCall, Usage,
};
use tokio::time::{Instant, timeout};

const MOMENT: Duration = Duration::from_secs(1);

async fn ask(model: &ScriptedModel) -> Result<Response, Error> {
    model.generate(&"hello".into(), &Progress::new()).await
}

async fn listen(model: &ScriptedModel) -> Result<Vec<Result<StreamEvent, Error>>, Error> {
    Ok(model.stream(&"hello".into(), &Progress::new()).await?.collect().await)
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "scripted")
}

fn endings(model: &ScriptedModel) -> Vec<Ending> {
    model.calls().iter().map(|call| call.ending).collect()
}

async fn texts(model: &ScriptedModel, times: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..times {
        texts.push(ask(model).await.unwrap().text);
    }
    texts
}

#[tokio::test]
async fn steps_are_used_up_in_order_and_the_last_repeats() {
    let model = ScriptedModel::new("acme:a:b");
    assert_eq!((model.key(), model.provider(), model.model()), ("acme:a:b", "acme", "a:b"));
    assert_eq!(texts(&model, 1).await, ["ok"]);

    let model = ScriptedModel::new("acme:a").then(Step::answer("1")).then_times(2, Step::answer("2"));
    let clone = model.clone().then(Step::answer("3"));
    assert_eq!(texts(&clone, 5).await, ["1", "2", "2", "3", "3"]);
    assert_eq!(model.started(), 5);

    let model = ScriptedModel::new("acme:a").then(Step::answer("1")).then(Step::answer("2")).repeat();
    assert_eq!(texts(&model, 5).await, ["1", "2", "1", "2", "1"]);

    let echo = ScriptedModel::with_key("seat-1", "acme:a").respond_with(|request| {
        Step::answer(
            request.messages.first().map(|message| message.text().to_uppercase()).unwrap_or_default(),
        )
    });
    assert_eq!(texts(&echo, 1).await, ["HELLO"]);
    assert_eq!((echo.key(), echo.provider(), echo.model()), ("seat-1", "acme", "a"));
}

#[tokio::test]
async fn streamed_or_whole_an_answer_is_the_same() {
    let call = ToolCall { id: "1".into(), name: "f".into(), arguments: "{\"a\":1}".into() };
    let mut response = Response::new("one two  three");
    response.reasoning = Some("hm hm".into());
    response.tool_calls = vec![call.clone(), ToolCall { id: "2".into(), ..call }];
    response.usage = Usage { input_tokens: Some(1), ..Usage::default() };
    response.request_id = Some("r".into());
    let model = ScriptedModel::new("acme:large")
        .then_times(2, Step::response(response.clone()))
        .then_times(2, Step::answer("one two  three"))
        .then_times(2, Step::refusal("I will not."))
        .then_times(2, Step::empty(FinishReason::Length));
    for _ in 0..4 {
        let whole = ask(&model).await.unwrap();
        let mut builder = ResponseBuilder::default();
        for event in listen(&model).await.unwrap() {
            builder.absorb(&event.unwrap());
        }
        assert!(builder.is_finished());
        assert_eq!(builder.into_response(), whole);
        assert_eq!(whole.model_id.as_deref(), Some("large"));
    }
    response.model_id = Some("large".into());
    let model = ScriptedModel::new("acme:large").then(Step::response(response.clone()));
    assert_eq!(ask(&model).await.unwrap(), response);
}

#[tokio::test]
async fn text_comes_in_words_with_a_usage() {
    let model = ScriptedModel::new("acme:a").then(Step::answer("one two"));
    let events: Vec<_> = listen(&model).await.unwrap().into_iter().map(Result::unwrap).collect();
    let usage = Usage { input_tokens: Some(10), output_tokens: Some(2), ..Usage::default() };
    assert!(matches!(events[0], StreamEvent::Started(_)));
    assert_eq!(
        events[1..],
        [
            StreamEvent::Text("one ".into()),
            StreamEvent::Text("two".into()),
            StreamEvent::Usage(usage),
            StreamEvent::Finish(FinishReason::Stop),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn time_passes_as_written() {
    let step =
        Step::reasoning("a b").paced(MOMENT).after(2 * MOMENT).then_text("c").finishing(FinishReason::Stop);
    let step = step.prepared_after(MOMENT).connected_after(MOMENT).delayed(MOMENT);
    let model = ScriptedModel::new("acme:a").then(step);
    let start = Instant::now();
    let mut events = model.stream(&"hello".into(), &Progress::new()).await.unwrap();
    assert_eq!(start.elapsed(), 3 * MOMENT);
    let mut arrivals = Vec::new();
    while let Some(event) = events.next().await {
        event.unwrap();
        arrivals.push(start.elapsed().as_secs());
    }
    assert_eq!(arrivals, [4, 5, 7, 7]);
    let start = Instant::now();
    assert_eq!(ask(&model).await.unwrap().text, "c");
    assert_eq!(start.elapsed(), 7 * MOMENT);
    assert_eq!(endings(&model), [Ending::Completed; 2]);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_ended_by_dropping() {
    let early = [Step::prepare_stall(), Step::connect_stall()];
    for (step, stage) in early.into_iter().zip([Stage::Prepare, Stage::Connect]) {
        let model = ScriptedModel::new("acme:a").then(step);
        let (request, progress) = (Request::from("hello"), Progress::new());
        let mut call = model.stream(&request, &progress);
        assert!(timeout(MOMENT, &mut call).await.is_err());
        assert_eq!((progress.stage(), model.started(), model.open(), model.in_flight()), (stage, 0, 0, 1));
        drop(call);
        assert_eq!((model.invoked(), model.in_flight(), model.calls().len()), (1, 0, 0));
    }
    for step in [Step::stall(), Step::answer("a").then_stall(), Step::delay(2 * MOMENT)] {
        let model = ScriptedModel::new("acme:a").then(step);
        let mut call = Box::pin(ask(&model));
        assert!(timeout(MOMENT, &mut call).await.is_err());
        assert_eq!((model.started(), model.open(), endings(&model)), (1, 1, vec![Ending::Open]));
        drop(call);
        assert_eq!((model.open(), model.in_flight(), endings(&model)), (0, 0, vec![Ending::Dropped]));
    }
}

#[tokio::test]
async fn a_stream_is_over_with_its_terminal_marker_and_not_before() {
    let model = ScriptedModel::new("acme:a").then(Step::answer("one two"));
    let mut events = model.stream(&"hello".into(), &Progress::new()).await.unwrap();
    events.next().await;
    assert_eq!(endings(&model), [Ending::Open]);
    drop(events);
    let mut events = model.stream(&"hello".into(), &Progress::new()).await.unwrap();
    while !matches!(events.next().await, Some(Ok(StreamEvent::Finish(_)))) {}
    assert_eq!(endings(&model), [Ending::Dropped, Ending::Completed]);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn failures_come_where_they_are_written() {
    let model = ScriptedModel::new("acme:a")
        .then(Step::error(error(ErrorKind::Overloaded)))
        .then(Step::answer("a").then_error(error(ErrorKind::Server)))
        .then(Step::answer("a").then_end());
    assert_eq!(listen(&model).await.unwrap_err().model_key(), Some("acme:a"));
    let items = listen(&model).await.unwrap();
    let failure = items.last().unwrap().as_ref().unwrap_err();
    assert_eq!((failure.kind(), failure.model_key()), (ErrorKind::Server, Some("acme:a")));
    let items = listen(&model).await.unwrap();
    assert_eq!(items.last().unwrap().as_ref().unwrap(), &StreamEvent::Text("a".into()));
    assert_eq!(ask(&model).await.unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(endings(&model), [Ending::Failed; 4]);
    assert!(model.calls()[0].streamed && !model.calls()[3].streamed);
}

#[tokio::test]
async fn what_fails_early_never_reached_the_model() {
    for (step, stage) in [
        (Step::prepare_error(error(ErrorKind::Authentication)), Stage::Prepare),
        (Step::connect_error(error(ErrorKind::Connection)), Stage::Connect),
    ] {
        let model = ScriptedModel::new("acme:a").then(step);
        let progress = Progress::new();
        let failure = model.generate(&"hello".into(), &progress).await.unwrap_err();
        assert_eq!((failure.model_key(), progress.stage()), (Some("acme:a"), stage));
        assert_eq!((model.invoked(), model.started(), model.in_flight()), (1, 0, 0));
    }
}

#[tokio::test]
async fn panics_are_real_and_leave_nothing_open() {
    for step in [Step::panic(), Step::answer("a").then_panic()] {
        let model = ScriptedModel::new("acme:a").then(step);
        assert!(AssertUnwindSafe(ask(&model)).catch_unwind().await.is_err());
        assert!(AssertUnwindSafe(listen(&model)).catch_unwind().await.is_err());
        assert_eq!((model.open(), endings(&model)), (0, vec![Ending::Failed; 2]));
    }
}

#[tokio::test]
async fn abilities_are_declared_and_kept_to() {
    let tool = Request::from("hello").tool(Tool::new("f", serde_json::json!({})));
    let json = Request::from("hello").response_format(ResponseFormat::JsonObject);
    let plain = ScriptedModel::new("acme:a").without_streaming();
    assert_eq!(plain.capabilities().missing(&tool), Some(Capability::Tools));
    let progress = Progress::new();
    for request in [&tool, &json, &Request::default()] {
        assert!(plain.generate(request, &progress).await.is_err());
        assert_eq!(progress.stage(), Stage::Prepare);
    }
    assert_eq!(listen(&plain).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!((plain.started(), plain.capabilities().streaming().is_none()), (0, true));

    let able = plain.clone().with_tools().with_json_object().with_json_schema().with_context_window(8);
    assert_eq!((able.capabilities().missing(&tool), able.capabilities().context_window()), (None, Some(8)));
    assert!(able.generate(&json, &progress).await.is_ok());
    assert_eq!((plain.started(), plain.calls()[0].request == json), (1, true));

    let silent = plain.without_log();
    ask(&silent).await.unwrap();
    assert_eq!((silent.started(), silent.calls().len()), (2, 0));
}

#[tokio::test]
async fn health_is_as_it_is_told() {
    let model = ScriptedModel::new("acme:a");
    assert_eq!(model.health_check().await.state, HealthState::Healthy);
    let status = model.unhealthy(error(ErrorKind::Authentication)).health_check().await;
    assert_eq!((status.state, &*status.model_key), (HealthState::Unhealthy, "acme:a"));
}
