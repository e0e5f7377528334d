//! The bytes of answers: taken down from the simulator once, and served again to whoever reads them.

use std::net::SocketAddr;

use llm_simulator::{Simulator, Wire};
use llm_tests::{secs, within};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The path at which a vendor answers.
fn path(wire: Wire) -> &'static str {
    if wire == Wire::OpenAi { "/v1/chat/completions" } else { "/v1/messages" }
}

/// What the simulator sends for this model: head and body as they are on the wire.
pub(crate) async fn record(simulator: &Simulator, wire: Wire, model: &str, stream: bool) -> Vec<u8> {
    let mut body =
        json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]});
    body["stream"] = stream.into();
    if wire == Wire::OpenAi && stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    within(ask(simulator, wire, &body)).await
}

async fn ask(simulator: &Simulator, wire: Wire, body: &Value) -> Vec<u8> {
    let (body, path) = (body.to_string(), path(wire));
    let mut socket = TcpStream::connect(simulator.address()).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: simulator\r\nanthropic-version: 2023-06-01\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// Serves given bytes: those with the number that the path begins with.
pub(crate) struct Replay {
    address: SocketAddr,
}

impl Replay {
    pub(crate) async fn start(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // One after the other: whoever hangs here is given up on, and fails where it is asked.
                let _slow = tokio::time::timeout(secs(20), serve(socket, &answers)).await;
            }
        });
        Self { address }
    }

    /// Where the answer with this number is.
    pub(crate) fn base_url(&self, number: usize) -> String {
        format!("http://{}/{number}", self.address)
    }
}

async fn serve(mut socket: TcpStream, answers: &[Vec<u8>]) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if socket.read_buf(&mut request).await.is_ok_and(|read| read == 0) {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let number = request.split('/').nth(1).and_then(|number| number.parse::<usize>().ok());
    let answer = number.and_then(|number| answers.get(number)).unwrap();
    // A client that has seen enough does not wait for the end.
    let _unsent = socket.write_all(answer).await;
    let _unsent = socket.shutdown().await;
    let _unread = socket.read_to_end(&mut Vec::new()).await;
}

/// All clients here say how long their request is.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a request with a length").parse().unwrap();
    request.len() >= head.len() + 4 + length
}
