//! A client that sees everything: status, headers, bytes, and how the body ended.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::time::Duration;

use llm_simulator::{Simulator, Wire};
use reqwest::{Client, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::timeout;

pub(crate) const WIRES: [Wire; 2] = [Wire::OpenAi, Wire::Anthropic];

/// Nothing here takes as long; a test that would hang fails instead.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it hangs")
}

pub(crate) fn path(wire: Wire) -> &'static str {
    match wire {
        Wire::OpenAi => "/v1/chat/completions",
        _ => "/v1/messages",
    }
}

pub(crate) fn body(wire: Wire, model: &str, stream: bool) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream});
    match wire {
        Wire::OpenAi if stream => body["stream_options"] = json!({"include_usage": true}),
        Wire::OpenAi => {}
        _ => body["max_tokens"] = json!(100),
    }
    body
}

pub(crate) struct Asker {
    pub(crate) client: Client,
    pub(crate) base_url: String,
}

/// What came back, in whole or up to where it broke off.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

impl Asker {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, base_url: simulator.base_url() }
    }

    pub(crate) fn request(&self, wire: Wire, model: &str, stream: bool) -> RequestBuilder {
        self.post(wire, &body(wire, model, stream))
    }

    pub(crate) fn post(&self, wire: Wire, body: &Value) -> RequestBuilder {
        let url = format!("{}{}", self.base_url, path(wire));
        let version = ("anthropic-version", "2023-06-01");
        self.client.post(url).header(version.0, version.1).body(body.to_string())
    }

    pub(crate) async fn ask_with(&self, wire: Wire, body: &Value) -> Seen {
        read(within(self.post(wire, body).send()).await.unwrap()).await
    }

    /// Sends, and returns when the headers are here.
    pub(crate) async fn send(&self, wire: Wire, model: &str, stream: bool) -> reqwest::Result<Response> {
        within(self.request(wire, model, stream).send()).await
    }

    pub(crate) async fn ask(&self, wire: Wire, model: &str, stream: bool) -> Seen {
        read(self.send(wire, model, stream).await.unwrap()).await
    }
}

pub(crate) async fn read(mut response: Response) -> Seen {
    let mut seen = Seen {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: Vec::new(),
        whole: false,
    };
    loop {
        match within(response.chunk()).await {
            Ok(Some(bytes)) => seen.body.extend_from_slice(&bytes),
            Ok(None) => {
                seen.whole = true;
                return seen;
            }
            Err(_) => return seen,
        }
    }
}

/// Reads until the body so far contains this text.
pub(crate) async fn read_until(response: &mut Response, text: &str) -> String {
    let mut body = Vec::new();
    loop {
        body.extend_from_slice(&within(response.chunk()).await.unwrap().expect("the body ended"));
        let so_far = String::from_utf8_lossy(&body);
        if so_far.contains(text) {
            return so_far.into_owned();
        }
    }
}

impl Seen {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Name and data of the events.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        events(self.text())
    }

    /// The data of the events that are JSON.
    pub(crate) fn data(&self) -> Vec<Value> {
        self.events().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }

    /// The deltas of visible text.
    pub(crate) fn deltas(&self) -> Vec<String> {
        let texts = self.data();
        let pointers = ["/choices/0/delta/content", "/delta/text"];
        let texts = texts
            .iter()
            .filter_map(|data| pointers.iter().find_map(|pointer| data.pointer(pointer)?.as_str()));
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    /// Whether the vendor said that the answer is complete.
    pub(crate) fn terminated(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        text.contains("data: [DONE]\n\n") || text.contains("event: message_stop\n")
    }
}

pub(crate) fn events(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    blocks.map(|block| (field(block, "event: "), field(block, "data: "))).collect()
}
