//! What goes over the wire, to the byte, and what the adapter says of how far it has come.
#![cfg(feature = "openai")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::reqwest::dns::{Name, Resolve, Resolving};
use llm_adapters::{BuildError, HttpClient, OpenAi, OpenAiAdapter};
use llm_protocol::{
    Clock, Error, ErrorKind, ModelAdapter, Progress, Request, Response, Stage, StreamingModelAdapter,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;

fn http() -> HttpClient {
    HttpClient::configure(ClientBuilder::no_proxy).unwrap()
}

fn adapter(base_url: &str) -> OpenAiAdapter {
    OpenAi::builder("m").base_url(base_url).http_client(http()).build().unwrap()
}

/// A server that reads one request on every connection, passes it on, and answers with these bytes.
struct Server {
    address: SocketAddr,
    requests: tokio::sync::mpsc::Receiver<String>,
}

impl Server {
    async fn start(reply: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = tokio::sync::mpsc::channel(100);
        let reply = reply.into();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                sender.send(request).await.unwrap();
                // The client may have seen enough before the end.
                let _unsent = socket.write_all(&reply).await;
                let _unsent = socket.shutdown().await;
            }
        });
        Self { address, requests }
    }

    fn adapter(&self) -> OpenAiAdapter {
        adapter(&format!("http://{}/v1", self.address))
    }

    fn received(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return String::from_utf8(bytes).unwrap();
            }
        }
        let read = socket.read_buf(&mut bytes).await.unwrap();
        assert!(read > 0, "the client went away");
    }
}

/// A response of this body, with its length.
fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend_from_slice(body);
    reply
}

async fn generate(adapter: &OpenAiAdapter) -> Result<Response, Error> {
    adapter.generate(&Request::from("hello"), &Progress::new()).await
}

/// The error in which a stream ends, if it does.
async fn stream(adapter: &OpenAiAdapter) -> Option<Error> {
    match adapter.stream(&Request::from("hello"), &Progress::new()).await {
        Ok(events) => events.filter_map(|event| async { event.err() }).collect::<Vec<_>>().await.pop(),
        Err(error) => Some(error),
    }
}

#[tokio::test]
async fn one_call_is_one_request_with_a_length() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let progress = Progress::new();
    let answer = server.adapter().generate(&Request::from("hello"), &progress).await.unwrap();
    assert_eq!((&*answer.text, progress.stage()), ("hi", Stage::Sent));
    let requests = server.received();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("authorization"), "{head}");
    assert_eq!(body, r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#);
}

#[tokio::test]
async fn a_large_request_arrives_whole() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let prompt = "x".repeat(3_000_000);
    server.adapter().generate(&Request::from(prompt.as_str()), &Progress::new()).await.unwrap();
    assert!(server.received()[0].contains(&prompt));
}

#[tokio::test]
async fn a_refused_connection_is_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let adapter = adapter(&format!("http://{address}"));
    let progress = Progress::new();
    let error = adapter.generate(&Request::from("hello"), &progress).await.unwrap_err();
    assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Connect));
    assert_eq!(error.model_key(), Some("openai:m"));
    assert!(error.message().starts_with("could not connect: "), "{}", error.message());
    let shown = format!("{error:?}{error}{:?}", std::error::Error::source(&error));
    assert!(!shown.contains("http:"), "no URL: {shown}");
    assert_eq!(adapter.health_check().await.error.unwrap().kind(), ErrorKind::Connection);
}

#[tokio::test]
async fn what_is_refused_before_it_is_sent_stays_in_preparation() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let progress = Progress::new();
    let error = server.adapter().generate(&Request::default(), &progress).await.unwrap_err();
    assert_eq!((error.kind(), progress.stage()), (ErrorKind::BadRequest, Stage::Prepare));
    assert_eq!(error.model_key(), Some("openai:m"));
    assert!(server.received().is_empty());
}

/// Resolves nothing, and says when it was asked.
struct Silent(Arc<Notify>);

impl Resolve for Silent {
    fn resolve(&self, _name: Name) -> Resolving {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_a_timeout() {
    let asked = Arc::new(Notify::new());
    let http = HttpClient::configure(|http| {
        http.no_proxy()
            .connect_timeout(Duration::from_millis(20))
            .dns_resolver(Arc::new(Silent(Arc::clone(&asked))))
    });
    let builder = OpenAi::builder("m").base_url("http://nowhere.invalid").allow_plain_http();
    let adapter = builder.http_client(http.unwrap()).build().unwrap();
    let progress = Progress::new();
    let error = adapter.generate(&Request::from("hello"), &progress).await.unwrap_err();
    assert_eq!((error.kind(), progress.stage()), (ErrorKind::Timeout(Clock::Connect), Stage::Connect));
}

#[tokio::test]
async fn a_call_says_that_it_is_connecting() {
    let asked = Arc::new(Notify::new());
    let http =
        HttpClient::configure(|http| http.no_proxy().dns_resolver(Arc::new(Silent(Arc::clone(&asked)))));
    let builder = OpenAi::builder("m").base_url("http://nowhere.invalid").allow_plain_http();
    let adapter = builder.http_client(http.unwrap()).build().unwrap();
    let progress = Progress::new();
    let call = tokio::spawn({
        let progress = progress.clone();
        async move { adapter.generate(&Request::from("hello"), &progress).await }
    });
    asked.notified().await;
    assert_eq!(progress.stage(), Stage::Connect);
    call.abort();
}

/// TLS is part of connecting: a peer that accepts and then says nothing has not been sent anything.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_tls_handshake_that_does_not_end_is_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = adapter(&format!("https://{}", listener.local_addr().unwrap()));
    let progress = Progress::new();
    let call = tokio::spawn({
        let progress = progress.clone();
        async move { adapter.generate(&Request::from("hello"), &progress).await }
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut hello = [0; 1];
    socket.read_exact(&mut hello).await.unwrap();
    assert_eq!(progress.stage(), Stage::Connect);
    drop(socket);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Connect), "{error}");
}

#[tokio::test]
async fn a_provider_that_has_read_the_request_was_sent_it() {
    let mut server = Server::start("").await;
    let progress = Progress::new();
    let error = server.adapter().generate(&Request::from("hello"), &progress).await.unwrap_err();
    assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Sent));
    assert_eq!(server.received().len(), 1, "nothing is sent twice");
}

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

#[tokio::test]
async fn bodies_that_break_off_are_truncated() {
    let json = "HTTP/1.1 200 OK\r\nx-request-id: r-1\r\ncontent-type: application/json\r\n";
    let events = "HTTP/1.1 200 OK\r\nx-request-id: r-1\r\ncontent-type: text/event-stream\r\n";
    let data = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for rest in [
        "content-length: 1000\r\n\r\n{\"choices\":".to_owned(),
        "transfer-encoding: chunked\r\n\r\n5\r\nhel".to_owned(),
        "transfer-encoding: chunked\r\n\r\nnonsense\r\n".to_owned(),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{data}\r\n", data.len()),
        format!("content-length: {}\r\n\r\n{data}", data.len() + 1),
    ] {
        let server = Server::start(format!("{json}{rest}")).await;
        let error = generate(&server.adapter()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.request_id()),
            (ErrorKind::Truncated, Some("r-1")),
            "{rest}: {error}"
        );
        let server = Server::start(format!("{events}{rest}")).await;
        let error = stream(&server.adapter()).await.unwrap();
        assert_eq!(
            (error.kind(), error.request_id()),
            (ErrorKind::Truncated, Some("r-1")),
            "{rest}: {error}"
        );
    }
}

#[tokio::test]
async fn a_break_after_the_finish_reason_loses_nothing() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 1000\r\n\r\n";
    let server = Server::start(format!("{head}{body}")).await;
    assert!(stream(&server.adapter()).await.is_none());
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
async fn explanations_may_be_compressed() {
    let json = br#"{"error":{"message":"m","code":"insufficient_quota"}}"#;
    let server = Server::start(reply("429 Too Many\r\ncontent-encoding: gzip", &gzip(json))).await;
    let error = generate(&server.adapter()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Billing, Some("insufficient_quota")));
}

/// One stored block: the simplest gzip there is.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let mut gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend_from_slice(bytes);
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    });
    gzip.extend((!crc).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    gzip
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
            read_request(&mut socket).await;
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

#[test]
fn adapters_show_themselves_without_their_secrets() {
    let builder = OpenAi::builder("gpt-x")
        .provider("host")
        .key("mine")
        .base_url("https://example.com/v1?key=marmalade")
        .api_key("marmalade-key")
        .header("x-organization", "marmalade-org");
    assert!(!format!("{builder:?}").contains("marmalade"));
    let adapter = builder.build().unwrap();
    assert_eq!(
        format!("{adapter:?}"),
        r#"Adapter { key: "mine", provider: "host", model: "gpt-x", base_url: "https://example.com/v1", .. }"#
    );
    assert_eq!(format!("{:?}", HttpClient::new().unwrap()), "HttpClient { .. }");
}

#[test]
fn what_cannot_be_built_is_said_at_once() {
    let build = |builder: llm_adapters::Builder<OpenAi>| builder.build().unwrap_err();
    let plain = || OpenAi::builder("m");
    assert!(matches!(build(OpenAi::builder(" ")), BuildError::NoModel));
    assert!(matches!(build(plain().api_key("")), BuildError::ApiKey));
    assert!(matches!(build(plain().api_key("marmalade\n")), BuildError::ApiKey));
    assert!(matches!(build(plain().base_url("nonsense")), BuildError::BaseUrl(_)));
    assert!(matches!(build(plain().base_url("http://example.com")), BuildError::PlainHttp));
    assert!(matches!(build(plain().base_url("https://a:b@example.com")), BuildError::UserInfo));
    let error = build(plain().header("a b", "marmalade"));
    assert_eq!(error.to_string(), r#"the header "a b" cannot be sent as it is"#);
    assert!(
        matches!(build(plain().header("a", "marmalade\r\nb: c")), BuildError::Header(name) if name == "a")
    );
}

#[tokio::test]
async fn headers_of_the_users_own_win() {
    let mut server = Server::start(reply("200 OK", ANSWER.as_bytes())).await;
    let base = format!("http://{}", server.address);
    let builder = OpenAi::builder("m")
        .base_url(base)
        .api_key("one")
        .header("Authorization", "Token two")
        .header("x-a", "b");
    let adapter = builder.http_client(http()).build().unwrap();
    generate(&adapter).await.unwrap();
    let request = server.received().remove(0);
    assert!(request.contains("authorization: Token two\r\n") && request.contains("x-a: b\r\n"), "{request}");
    assert!(!request.contains("one"), "{request}");
}
