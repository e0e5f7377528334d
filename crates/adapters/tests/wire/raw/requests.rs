//! What is sent, and how far a call says it has come.

use std::sync::Arc;
use std::time::Duration;

use llm_adapters::reqwest::dns::{Name, Resolve, Resolving};
use llm_adapters::{HttpClient, OpenAi};
use llm_protocol::{Clock, ErrorKind, ModelAdapter, Progress, Request, Stage};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{ANSWER, Server, adapter, reply};

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
    tokio::io::AsyncReadExt::read_exact(&mut socket, &mut hello).await.unwrap();
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
