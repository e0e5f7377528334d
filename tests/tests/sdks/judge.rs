//! The same bytes for an SDK and for our adapter, and what each makes of them.

use llm_adapters::HttpClient;
use llm_simulator::{Simulator, Wire};
use llm_tests::{http, secs};
use serde_json::{Value, json};

use crate::SDKS;
use crate::bytes::{Replay, record};
use crate::said::{Ours, Said, ours};

/// An answer to be read twice.
pub(crate) struct Exhibit {
    pub(crate) name: String,
    pub(crate) wire: Wire,
    /// Whose it is; our adapters call themselves so.
    pub(crate) provider: String,
    pub(crate) stream: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Exhibit {
    /// What the simulator sends for this model.
    pub(crate) async fn of(simulator: &Simulator, wire: Wire, model: &str, stream: bool) -> Self {
        let name = format!("{model} ({wire}, {})", if stream { "streamed" } else { "whole" });
        let bytes = record(simulator, wire, model, stream).await;
        Self { name, wire, provider: wire.to_string(), stream, bytes }
    }

    /// The head of the response.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let head = text.split("\r\n\r\n").next().unwrap();
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
    }
}

/// What both made of it.
pub(crate) struct Read {
    pub(crate) ours: Ours,
    pub(crate) sdk: Said,
    /// The exception of the SDK, or null.
    pub(crate) raised: Value,
    /// What pydantic has against the bytes.
    pub(crate) invalid: Value,
    /// Fields that the SDK's types do not know.
    pub(crate) strange: Value,
}

/// Has every answer read by both.
pub(crate) async fn read(exhibits: &[Exhibit]) -> Vec<Read> {
    let replay = Replay::start(exhibits.iter().map(|exhibit| exhibit.bytes.clone()).collect()).await;
    let job = |(number, exhibit): (usize, &Exhibit)| {
        let (vendor, url) = (exhibit.wire.to_string(), replay.base_url(number));
        json!({"do": "read", "vendor": vendor, "base_url": url, "stream": exhibit.stream})
    };
    let jobs: Vec<Value> = exhibits.iter().enumerate().map(job).collect();
    let (told, http) = (SDKS.run(&jobs).await, http(secs(30)));
    let mut read = Vec::new();
    for (number, (exhibit, told)) in exhibits.iter().zip(told).enumerate() {
        let ours = by_us(&http, exhibit, &replay.base_url(number)).await;
        let sdk = Said::sdk(exhibit.wire, &told["said"]);
        let [raised, invalid, strange] = ["error", "invalid", "strange"].map(|field| told[field].clone());
        read.push(Read { ours, sdk, raised, invalid, strange });
    }
    read
}

async fn by_us(http: &HttpClient, exhibit: &Exhibit, url: &str) -> Ours {
    ours(http, &exhibit.provider, exhibit.wire, url, exhibit.stream).await
}

/// What is not as it should be, all of it: one difference alone rarely tells why.
#[derive(Default)]
pub(crate) struct Differences(Vec<String>);

impl Differences {
    pub(crate) fn note<T: PartialEq + std::fmt::Debug>(
        &mut self,
        of: &Exhibit,
        what: &str,
        found: T,
        expected: T,
    ) {
        if found != expected {
            self.0.push(format!("{}, {what}:\n   found {found:?}\nexpected {expected:?}", of.name));
            self.0.push(format!("   bytes {}", String::from_utf8_lossy(&of.bytes).escape_debug()));
        }
    }

    pub(crate) fn none(self) {
        assert!(self.0.is_empty(), "differences:\n{}", self.0.join("\n"));
    }
}
