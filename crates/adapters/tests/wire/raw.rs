//! A server that answers with given bytes.

mod building;
mod requests;
mod responses;

use std::net::SocketAddr;

use futures::StreamExt;
use llm_adapters::reqwest::ClientBuilder;
use llm_adapters::{HttpClient, OpenAi, OpenAiAdapter};
use llm_protocol::{Error, ModelAdapter, Progress, Request, Response, StreamingModelAdapter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;

pub(crate) fn http() -> HttpClient {
    HttpClient::configure(ClientBuilder::no_proxy).unwrap()
}

pub(crate) fn adapter(base_url: &str) -> OpenAiAdapter {
    OpenAi::builder("m").base_url(base_url).http_client(http()).build().unwrap()
}

/// A server that reads one request on every connection, passes it on, and answers with these bytes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: tokio::sync::mpsc::Receiver<String>,
}

impl Server {
    pub(crate) async fn start(reply: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = tokio::sync::mpsc::channel(100);
        let reply = reply.into();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await.unwrap();
                sender.send(request).await.unwrap();
                // The client may have seen enough before the end.
                let _unsent = socket.write_all(&reply).await;
                let _unsent = socket.shutdown().await;
            }
        });
        Self { address, requests }
    }

    pub(crate) fn adapter(&self) -> OpenAiAdapter {
        adapter(&format!("http://{}/v1", self.address))
    }

    pub(crate) fn received(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }
}

pub(crate) async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return String::from_utf8(bytes).ok();
            }
        }
        let read = socket.read_buf(&mut bytes).await.unwrap();
        if read == 0 {
            return None;
        }
    }
}

/// A response of this body, with its length.
pub(crate) fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend_from_slice(body);
    reply
}

pub(crate) async fn generate(adapter: &OpenAiAdapter) -> Result<Response, Error> {
    adapter.generate(&Request::from("hello"), &Progress::new()).await
}

/// The error in which a stream ends, if it does.
pub(crate) async fn stream(adapter: &OpenAiAdapter) -> Option<Error> {
    match adapter.stream(&Request::from("hello"), &Progress::new()).await {
        Ok(events) => events.filter_map(|event| async { event.err() }).collect::<Vec<_>>().await.pop(),
        Err(error) => Some(error),
    }
}
