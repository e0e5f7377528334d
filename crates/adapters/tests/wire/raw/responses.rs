//! What comes back, to the byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llm_adapters::OpenAi;
use llm_protocol::ErrorKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Server, adapter, generate, http, read_request, reply, stream};

#[tokio::test]
async fn what_is_no_http_is_a_connection_error() {
    for nonsense in ["nonsense\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 999999 OK\r\n\r\n"] {
        let server = Server::start(nonsense).await;
        assert_eq!(
            generate(&server.adapter()).await.unwrap_err().kind(),
            ErrorKind::Connection,
            "{nonsense}"
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut server =
        Server::start("HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
    let error = generate(&server.adapter()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Other, Some(307)));
    assert_eq!(server.received().len(), 1);
}

/// Many hosts write the end of the body apart from the last event.
#[tokio::test]
async fn a_connection_is_used_again_when_the_end_of_the_body_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = adapter(&format!("http://{}", listener.local_addr().unwrap()));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            // As HTTP servers do; without it the end waits for an acknowledgement that takes 40 ms.
            socket.set_nodelay(true).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let body = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
                let reply = format!("{head}\r\n\r\n{:x}\r\n{body}\r\n", body.len());
                while read_request(&mut socket).await.is_some() {
                    socket.write_all(reply.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    socket.write_all(b"0\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    for _ in 0..20 {
        assert!(stream(&adapter).await.is_none());
    }
    // A call that is quicker than the way of the connection back to its pool opens another.
    assert!(connections.load(Ordering::Relaxed) < 10, "{connections:?} connections");
}

#[tokio::test]
async fn answers_go_by_their_content_type() {
    let body = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    for (content_type, kind) in [
        ("content-type: text/event-stream\r\n", None),
        ("content-type: Text/Event-Stream; charset=UTF-8\r\n", None),
        ("", None),
        ("content-type: application/json\r\n", Some(ErrorKind::Protocol)),
        ("content-type: text/html\r\n", Some(ErrorKind::Protocol)),
        ("content-type: text/plain\r\n", Some(ErrorKind::Protocol)),
    ] {
        let server = Server::start(format!("HTTP/1.1 200 OK\r\n{content_type}\r\n{body}")).await;
        assert_eq!(stream(&server.adapter()).await.map(|error| error.kind()), kind, "{content_type}");
    }
    let error = r#"{"error":{"message":"m","type":"insufficient_quota"}}"#;
    let server = Server::start(reply("200 OK\r\ncontent-type: application/json", error.as_bytes())).await;
    assert_eq!(stream(&server.adapter()).await.unwrap().kind(), ErrorKind::Billing);
}

#[tokio::test]
async fn long_explanations_are_read_in_part_and_short_ones_as_far_as_they_come() {
    let long = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "m".repeat(1 << 20));
    let server = Server::start(reply("503 Busy\r\nretry-after: 3", long.as_bytes())).await;
    let error = generate(&server.adapter()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(503)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    let server = Server::start("HTTP/1.1 401 No\r\ncontent-length: 1000\r\n\r\n{\"error\":").await;
    assert_eq!(generate(&server.adapter()).await.unwrap_err().kind(), ErrorKind::Authentication);
}

/// A server that answers every request with this head and then the same piece for ever.
async fn endless(head: &'static str, piece: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            while socket.write_all(piece).await.is_ok() {}
        }
    });
    address
}

#[tokio::test]
async fn answers_without_an_end_end_in_an_error() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    const DELTA: &[u8] =
        b"data: {\"choices\":[{\"delta\":{\"content\":\"abcdefghijklmnopqrstuvwxyz\"}}]}\n\n";
    for (piece, message) in [
        (DELTA, "the response is larger than 300000 bytes"),
        (b": keep-alive\n\n", "the response is larger than 300000 bytes"),
        (b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "an event is larger than 20000 bytes"),
        (b"data: xxxxxxxxxxxxxxxx\n", "an event is larger than 20000 bytes"),
    ] {
        let base = format!("http://{}", endless(HEAD, piece).await);
        let builder = OpenAi::builder("m").base_url(base).max_response_bytes(300_000).max_event_bytes(20_000);
        let adapter = builder.http_client(http()).build().unwrap();
        let error = stream(&adapter).await.unwrap();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Protocol, message));
        let error = generate(&adapter).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Protocol, "the response is larger than 300000 bytes")
        );
    }
}
