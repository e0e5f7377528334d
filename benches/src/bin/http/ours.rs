//! The calls by the strategies, with the adapter for OpenAI's format and its own HTTP client.

use std::net::SocketAddr;

use futures::StreamExt;
use llm_adapters::{HttpClient, OpenAi};
use llm_benches::Failure;
use llm_protocol::{Message, Request, StreamEvent};
use llm_reliability::{Candidate, Report, ResilientClient, StreamMode};

use crate::wire::{Model, PROMPT, SYSTEM};

/// A client with these models as its candidates.
pub(crate) fn client(
    http: &HttpClient,
    address: SocketAddr,
    models: &[Model],
    stream: StreamMode,
) -> Result<ResilientClient, Failure> {
    let mut builder = ResilientClient::builder();
    for (number, model) in models.iter().enumerate() {
        let adapter = OpenAi::builder(model.name())
            .key(format!("openai:{}-{number}", model.name()))
            .base_url(format!("http://{address}/v1"))
            .api_key("sk-0123456789abcdef0123456789abcdef")
            .http_client(http.clone())
            .build()?;
        builder = builder.candidate(Candidate::from(adapter).stream(stream));
    }
    Ok(builder.build()?)
}

/// The request, made anew for each call, as one that comes from a user is.
fn request() -> Request {
    Request::new([Message::system(SYSTEM), Message::user(PROMPT)])
}

pub(crate) async fn failover(client: &ResilientClient) -> Result<Report, Failure> {
    Ok(client.failover(request()).await?)
}

pub(crate) async fn fan_out(client: &ResilientClient) -> Result<Report, Failure> {
    Ok(client.fan_out(request()).await?)
}

/// A stream whose tokens are handed to `each` as they come, read to its end.
pub(crate) async fn stream(client: &ResilientClient, mut each: impl FnMut(&str)) -> Result<Report, Failure> {
    let mut stream = client.failover_stream(request()).await?;
    while let Some(event) = stream.next().await {
        if let StreamEvent::Text(text) = event? {
            each(&text);
        }
    }
    Ok(stream.into_report())
}
