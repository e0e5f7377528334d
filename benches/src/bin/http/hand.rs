//! The same calls by hand: what somebody writes who has reqwest, serde and no strategies, and takes care.

use std::net::SocketAddr;
use std::time::Duration;

use llm_benches::Failure;
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::wire::{Model, PROMPT, SYSTEM};

/// A client with the settings that the adapter's has, so that what differs is what is done with it.
pub(crate) struct Hand {
    client: Client,
    url: Url,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// An answer, as far as its caller wants to know it.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) model: String,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Option<Usage>,
    pub(crate) request_id: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

#[derive(Deserialize)]
struct Whole {
    model: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    model: String,
    choices: Vec<Delta>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Delta {
    delta: Said,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: Refusal,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
    code: Option<String>,
}

impl Hand {
    pub(crate) fn new(address: SocketAddr) -> Result<Self, Failure> {
        let client = Client::builder()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent("by-hand/0.1.0")
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(Self { client, url: Url::parse(&format!("http://{address}/v1/chat/completions"))? })
    }

    async fn send(&self, model: Model, streamed: bool) -> Result<Response, Failure> {
        let request = Request {
            model: model.name(),
            messages: [
                Message { role: "system", content: SYSTEM },
                Message { role: "user", content: PROMPT },
            ],
            stream: streamed.then_some(true),
            stream_options: streamed.then_some(StreamOptions { include_usage: true }),
        };
        let request = self
            .client
            .post(self.url.clone())
            .bearer_auth("sk-0123456789abcdef0123456789abcdef")
            .header("content-type", "application/json")
            .header(
                "accept",
                if streamed { "text/event-stream, application/json" } else { "application/json" },
            )
            .body(serde_json::to_vec(&request)?);
        Ok(request.send().await?)
    }

    /// An answer, from a stream or whole.
    pub(crate) async fn ask(&self, model: Model, streamed: bool) -> Result<Answer, Failure> {
        let response = self.send(model, streamed).await?;
        if !response.status().is_success() {
            return Err(refusal(response).await?);
        }
        if streamed { read_stream(response, |_| ()).await } else { read_whole(response).await }
    }

    /// The same of a second model, where the first is busy.
    pub(crate) async fn ask_two(&self, models: [Model; 2], streamed: bool) -> Result<Answer, Failure> {
        let [first, second] = models;
        let response = self.send(first, streamed).await?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            let _why = refusal(response).await?;
            return self.ask(second, streamed).await;
        }
        if streamed { read_stream(response, |_| ()).await } else { read_whole(response).await }
    }

    /// A stream whose tokens are handed to `each` as they come, read to its end.
    pub(crate) async fn stream(&self, model: Model, each: impl FnMut(&str)) -> Result<Answer, Failure> {
        read_stream(self.send(model, true).await?.error_for_status()?, each).await
    }
}

/// What a refusal says.
async fn refusal(response: Response) -> Result<Failure, Failure> {
    let status = response.status();
    let Refused { error } = serde_json::from_slice(&response.bytes().await?)?;
    Ok(format!("{status}: {} ({})", error.message, error.code.unwrap_or_default()).into())
}

fn request_id(response: &Response) -> Option<String> {
    response.headers().get("x-request-id")?.to_str().ok().map(str::to_owned)
}

async fn read_whole(response: Response) -> Result<Answer, Failure> {
    let request_id = request_id(&response);
    let Whole { model, choices, usage } = serde_json::from_slice(&response.bytes().await?)?;
    let choice = choices.into_iter().next().ok_or("no choice")?;
    let text = choice.message.content.unwrap_or_default();
    Ok(Answer { text, model, finish_reason: choice.finish_reason, usage, request_id })
}

/// Splits lines, parses each event, and reads on after the last one, so that the connection can be used again.
async fn read_stream(mut response: Response, mut each: impl FnMut(&str)) -> Result<Answer, Failure> {
    let mut answer = Answer { request_id: request_id(&response), ..Answer::default() };
    let mut buffer = Vec::new();
    let mut done = false;
    while let Some(bytes) = response.chunk().await? {
        buffer.extend_from_slice(&bytes);
        let mut start = 0;
        while let Some(length) = buffer.iter().skip(start).position(|byte| *byte == b'\n') {
            let line = buffer.get(start..start + length).unwrap_or_default();
            start += length + 1;
            let Some(data) = line.trim_ascii_end().strip_prefix(b"data: ") else { continue };
            if data == b"[DONE]" {
                done = true;
                continue;
            }
            let Chunk { model, choices, usage } = serde_json::from_slice(data)?;
            answer.model = model;
            answer.usage = usage.or(answer.usage);
            let Some(choice) = choices.into_iter().next() else { continue };
            if let Some(text) = choice.delta.content {
                each(&text);
                answer.text.push_str(&text);
            }
            answer.finish_reason = choice.finish_reason.or(answer.finish_reason);
        }
        buffer.drain(..start);
    }
    if done { Ok(answer) } else { Err("the stream was cut".into()) }
}
