//! What must not get into errors and reports: credentials wherever they were given, prompts, and texts without end.

use futures::StreamExt;
use llm_adapters::{Builder, OpenAi, OpenAiAdapter};
use llm_protocol::{
    Error, MESSAGE_LIMIT, ModelAdapter, Progress, Request, ResponseBuilder, StreamEvent,
    StreamingModelAdapter,
};

use crate::raw::{Server, generate, http, reply, stream};

/// As long as headers can be without the HTTP library refusing them.
fn long() -> String {
    "i".repeat(300 << 10)
}

fn shown(error: &Error) -> String {
    format!("{error}{error:?}{:?}{:?}", error.request_id(), error.code())
}

/// An adapter with credentials in every place that takes some.
fn with_secrets(server: &Server) -> OpenAiAdapter {
    let base = format!("http://{}/v1?api-version=marmalade-1&key=marmalade%2D2", server.address);
    let builder: Builder<OpenAi> = OpenAi::builder("m").base_url(base).api_key("marmalade-3");
    builder.header("x-gateway-key", "marmalade-4").http_client(http()).build().unwrap()
}

#[tokio::test]
async fn errors_hold_no_credential_wherever_it_was_given() {
    let told = "marmalade-1 marmalade%2D2 marmalade-2 marmalade-3 marmalade-4";
    let json = format!(r#"{{"error":{{"message":"{told}","code":"{told}"}}}}"#);
    let head = "HTTP/1.1 401 No\r\nx-request-id: id-marmalade-4\r\n";
    let mut server = Server::start(format!("{head}content-length: {}\r\n\r\n{json}", json.len())).await;
    let adapter = with_secrets(&server);
    for error in [generate(&adapter).await.unwrap_err(), stream(&adapter).await.unwrap()] {
        assert!(!shown(&error).contains("marmalade"), "{error:?}");
        assert_eq!(error.request_id(), Some("id-***"));
        assert_eq!(error.message(), "*** *** *** *** ***");
    }
    let request = server.received().remove(0);
    assert!(request.starts_with("POST /v1/chat/completions?api-version=marmalade-1&key=marmalade%2D2 "));
    assert!(request.contains("x-gateway-key: marmalade-4\r\n"), "{request}");
}

#[tokio::test]
async fn ids_of_broken_answers_hold_no_credential() {
    for content_type in ["application/json", "text/event-stream"] {
        let head =
            format!("HTTP/1.1 200 OK\r\nx-request-id: id-marmalade-3\r\ncontent-type: {content_type}\r\n");
        let server = Server::start(format!("{head}content-length: 9\r\n\r\n{{")).await;
        let adapter = with_secrets(&server);
        for error in [generate(&adapter).await.unwrap_err(), stream(&adapter).await.unwrap()] {
            assert_eq!(error.request_id(), Some("id-***"), "{content_type}");
        }
    }
}

/// Both ways to ask for an answer whose host puts these into the header and the body.
async fn names(id: &str, model: &str) -> [(Option<String>, Option<String>); 3] {
    let json = format!(
        r#"{{"model":"{model}","choices":[{{"message":{{"content":"hi"}},"finish_reason":"stop"}}]}}"#
    );
    let chunk = format!(r#"{{"model":"{model}","choices":[{{"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let json =
        |kind: &str| reply(&format!("200 OK\r\ncontent-type: {kind}\r\nx-request-id: {id}"), json.as_bytes());
    let whole = Server::start(json("application/json")).await;
    let events = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let events =
        reply(&format!("200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: {id}"), events.as_bytes());
    let events = Server::start(events).await;
    let answer = generate(&with_secrets(&whole)).await.unwrap();
    [
        (answer.request_id, answer.model_id),
        streamed(&with_secrets(&whole)).await,
        streamed(&with_secrets(&events)).await,
    ]
}

async fn streamed(adapter: &OpenAiAdapter) -> (Option<String>, Option<String>) {
    let mut events = adapter.stream(&Request::from("hello"), &Progress::new()).await.unwrap();
    let mut answer = ResponseBuilder::default();
    while let Some(event) = events.next().await {
        let event: StreamEvent = event.unwrap();
        answer.absorb(&event);
    }
    let answer = answer.into_response();
    (answer.request_id, answer.model_id)
}

#[tokio::test]
async fn ids_and_names_of_successes_are_scrubbed_and_cut() {
    for (id, model) in names("id-marmalade-3", "model-marmalade-4").await {
        assert_eq!((id.as_deref(), model.as_deref()), (Some("id-***"), Some("model-***")));
    }
    for (id, model) in names(&long(), &long()).await {
        assert_eq!(id.unwrap().chars().count(), MESSAGE_LIMIT);
        assert_eq!(model.unwrap().chars().count(), MESSAGE_LIMIT);
    }
    for (id, model) in names("req_0123", "gpt-5-2026-01-01").await {
        assert_eq!((id.as_deref(), model.as_deref()), (Some("req_0123"), Some("gpt-5-2026-01-01")));
    }
}

#[tokio::test]
async fn errors_do_not_quote_the_prompt() {
    const PROMPT: &str = "the old lighthouse keeper counts gulls";
    let json = format!(r#"{{"error":{{"message":"refused: {PROMPT}","code":"{PROMPT}"}}}}"#);
    let request = Request::from(PROMPT);
    for status in ["400 No", "200 OK\r\ncontent-type: application/json"] {
        let server = Server::start(reply(status, json.as_bytes())).await;
        let error = server.adapter().generate(&request, &Progress::new()).await.unwrap_err();
        assert!(!shown(&error).contains("lighthouse"), "{error:?}");
        assert!(error.message().starts_with("refused"), "{error:?}");
    }
    let server = Server::start(reply("400 No", json.as_bytes())).await;
    let error = server.adapter().stream(&request, &Progress::new()).await.err().unwrap();
    assert!(!shown(&error).contains("lighthouse"), "{error:?}");
}

#[tokio::test]
async fn the_first_header_that_names_the_request_counts() {
    for (headers, id) in [
        ("x-request-id: a\r\nrequest-id: b\r\n", Some("a")),
        ("request-id: b\r\nx-request-id: a\r\n", Some("a")),
        ("request-id: b\r\n", Some("b")),
        ("x-request-id:\r\nrequest-id: b\r\n", Some("b")),
        ("x-request-id:\r\n", None),
        ("x-request-id: \u{e9}\r\n", None),
    ] {
        let server = Server::start(format!("HTTP/1.1 500 No\r\n{headers}content-length: 0\r\n\r\n")).await;
        assert_eq!(generate(&server.adapter()).await.unwrap_err().request_id(), id, "{headers:?}");
    }
}
