//! A simulator, and candidates that ask it over real sockets.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use llm_adapters::{Anthropic, Builder, HttpClient, OpenAi, Vendor};
use llm_reliability::{Attempt, Candidate, Observer};
use llm_simulator::{Simulator, Wire};

use crate::check::short;
use crate::secs;

/// The wire formats that every test is run with.
pub const WIRES: [Wire; 2] = [Wire::OpenAi, Wire::Anthropic];

/// The wire format that failing over goes to.
pub fn other(wire: Wire) -> Wire {
    if wire == Wire::OpenAi { Wire::Anthropic } else { Wire::OpenAi }
}

/// The header in which a vendor tells its id of a request.
pub fn id_header(wire: Wire) -> &'static str {
    if wire == Wire::OpenAi { "x-request-id" } else { "request-id" }
}

/// An HTTP client that gives up connecting after this long. Nothing here has a certificate, and reading those that the
/// machine trusts takes longer than all the rest of a test.
pub fn http(connect: Duration) -> HttpClient {
    HttpClient::configure(|http| http.no_proxy().tls_certs_only([]).connect_timeout(connect)).unwrap()
}

/// A simulator with a port of its own, and the HTTP client that all its candidates share.
pub struct Lab {
    pub simulator: Simulator,
    pub http: HttpClient,
}

impl Lab {
    pub async fn start() -> Self {
        Self::with(http(secs(30))).await
    }

    pub async fn with(http: HttpClient) -> Self {
        Self { simulator: Simulator::start().await.unwrap(), http }
    }

    /// A candidate that asks for this model; its key is the model's name.
    pub fn candidate(&self, wire: Wire, model: &str) -> Candidate {
        self.candidate_at(wire, &self.simulator.base_url(), model, "a key that nobody checks")
    }

    /// A candidate somewhere else.
    pub fn candidate_at(&self, wire: Wire, host: &str, model: &str, api_key: &str) -> Candidate {
        match wire {
            Wire::OpenAi => self.made(OpenAi::builder(model).base_url(format!("{host}/v1")), model, api_key),
            _ => self.made(Anthropic::builder(model).base_url(host), model, api_key),
        }
    }

    /// A candidate at a host of this name that speaks OpenAI's format, for a model of the same name.
    pub fn host(&self, name: &str) -> Candidate {
        let base = format!("{}/v1", self.simulator.base_url());
        self.made(OpenAi::builder(name).provider(name).base_url(base), name, "a key that nobody checks")
    }

    fn made<V: Vendor>(&self, builder: Builder<V>, model: &str, api_key: &str) -> Candidate {
        let adapter = builder
            .key(model)
            .api_key(api_key)
            .http_client(self.http.clone())
            // Small, so that what never ends is told as such before long.
            .max_event_bytes(16 << 10)
            .max_response_bytes(64 << 10)
            .build();
        Candidate::new(Arc::new(adapter.unwrap()))
    }
}

/// What an observer was told.
pub struct Seen(Receiver<Attempt>);

impl Seen {
    /// An observer, and what it will have been told.
    pub fn observer() -> (impl Observer + 'static, Self) {
        let (sender, receiver) = channel();
        // Whoever does not look any more does not need to be told.
        let observer = move |attempt: &Attempt| drop(sender.send(attempt.clone()));
        (observer, Self(receiver))
    }

    /// The attempts since the last time, as they ended.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.try_iter().collect()
    }

    /// The same in short.
    pub fn trail(&self) -> Vec<String> {
        self.attempts().iter().map(short).collect()
    }
}
