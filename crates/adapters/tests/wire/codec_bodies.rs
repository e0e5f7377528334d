//! Bodies that are not what their headers say, and what becomes of their connections.

use std::time::Duration;

use futures::StreamExt;
use llm_adapters::Anthropic;
use llm_protocol::{
    ErrorKind, ModelAdapter, Progress, Request, Response, ResponseBuilder, StreamingModelAdapter,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::raw::{ANSWER, Server, adapter, http, read_request, stream};

async fn streamed(adapter: &impl StreamingModelAdapter) -> Response {
    let events = adapter.stream(&Request::from("hello"), &Progress::new()).await.unwrap();
    let mut builder = ResponseBuilder::default();
    for event in events.collect::<Vec<_>>().await {
        builder.absorb(&event.unwrap());
    }
    assert!(builder.is_finished());
    builder.into_response()
}

const HEADS: [&str; 2] =
    ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"];

#[tokio::test]
async fn bare_json_under_the_name_of_events_is_json() {
    for head in HEADS {
        for lead in ["", "\n \r\n", "\u{feff}", "\u{feff}\n"] {
            let server = Server::start(format!("{head}{lead}{ANSWER}")).await;
            assert_eq!(streamed(&server.adapter()).await.text, "hi", "{head}{lead:?}");
            let error = r#"{"error":{"message":"m","type":"rate_limit_error"}}"#;
            for error in [error.to_owned(), format!("[{error}]")] {
                let server = Server::start(format!("{head}{lead}{error}")).await;
                let kind = stream(&server.adapter()).await.unwrap().kind();
                assert_eq!(kind, ErrorKind::RateLimited, "{head}{lead:?}{error}");
            }
        }
        let cut = Server::start(format!("{head}{}", &ANSWER[..30])).await;
        assert_eq!(stream(&cut.adapter()).await.unwrap().kind(), ErrorKind::Truncated);
    }
    let whole = r#"{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}"#;
    let server = Server::start(format!("{}{whole}", HEADS[0])).await;
    let base = format!("http://{}", server.address);
    let anthropic = Anthropic::builder("m").base_url(base).http_client(http()).api_key("k").build().unwrap();
    assert_eq!(streamed(&anthropic).await.text, "hi");
}

/// The consumer may keep a stream that failed: its connection is of no use any more.
#[tokio::test]
async fn a_failed_stream_keeps_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = adapter(&format!("http://{}", listener.local_addr().unwrap()));
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await.unwrap();
        let body = "data: {\"error\":{\"message\":\"m\"}}\n\n";
        let reply = format!("{}{body}", HEADS[1]);
        socket.write_all(reply.as_bytes()).await.unwrap();
        // Never closed from this side.
        while socket.read_u8().await.is_ok() {}
        closed.send(()).unwrap();
    });
    let mut events = adapter.stream(&Request::from("hello"), &Progress::new()).await.unwrap();
    while let Some(event) = events.next().await {
        if event.is_err() {
            break;
        }
    }
    tokio::time::timeout(Duration::from_secs(10), is_closed).await.unwrap().unwrap();
    drop(events);
    assert!(!adapter.key().is_empty());
}
