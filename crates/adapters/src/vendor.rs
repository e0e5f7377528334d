//! What one vendor's wire format is: a pure codec, without sockets, clocks or secrets in its texts.

use std::collections::VecDeque;
use std::fmt;

use llm_protocol::{Capability, Error, Request, Response, Secret, StreamEvent};

use reqwest::header::HeaderMap;

use crate::failure::Failure;
use crate::sse::Event;

/// A vendor whose wire format this crate speaks. Sealed: it is implemented by the codecs of this crate, and grows
/// with them.
pub trait Vendor: Codec {}

/// Turns requests into a vendor's JSON, and its JSON into answers, events and failures.
pub trait Codec: Clone + fmt::Debug + Send + Sync + 'static {
    /// The vendor's name, unless the user gives another.
    const PROVIDER: &'static str;
    /// Where its API is, in the words of the vendor's own SDK.
    const BASE_URL: &'static str;
    /// Where requests go, relative to the base URL.
    const PATH: &'static [&'static str];

    /// Headers of every request, the credential among them.
    fn headers(&self, key: Option<&Secret>) -> Vec<(&'static str, Secret)>;

    /// What requests of this format can ask for.
    fn abilities(&self) -> Abilities;

    /// The body of a request, or why this vendor cannot carry it.
    fn encode(&self, target: &Target<'_>, request: &Request, stream: bool) -> Result<Encoded, Error>;

    /// What a health check of this provider asks for, relative to the base URL.
    fn health_path(&self, provider: &str) -> &'static [&'static str];

    /// What an answer without success means.
    fn failure(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure;

    /// A whole answer of this provider's. A failure that comes as a success is a failure.
    fn decode(&self, provider: &str, body: &[u8]) -> Result<Response, Failure>;

    /// A decoder for one streamed answer of this provider's.
    fn decoder(&self, provider: &str) -> Box<dyn Decode>;
}

/// What requests of a format can ask for, beside text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Abilities {
    pub tools: bool,
    pub json_object: bool,
    pub json_schema: bool,
    pub images: bool,
}

impl Abilities {
    /// The others. What is no ability of a format cannot be taken away.
    pub(crate) fn without(mut self, lacking: Capability) -> Self {
        match lacking {
            Capability::Tools => self.tools = false,
            Capability::JsonObject => self.json_object = false,
            Capability::JsonSchema => self.json_schema = false,
            Capability::Images => self.images = false,
            _ => {}
        }
        self
    }
}

/// A request as it goes out.
pub struct Encoded {
    pub body: Vec<u8>,
    /// Whether the asked-for response format is in it; `None` when none was asked for.
    pub structured_output_honored: Option<bool>,
}

/// Without the body, which is the prompt.
impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded").field("body", &self.body.len()).finish_non_exhaustive()
    }
}

/// Reads the events of one streamed answer, in order.
pub trait Decode: Send {
    /// Takes in the next event and appends what it says to `out`.
    fn event(&mut self, event: Event<'_>, out: &mut VecDeque<StreamEvent>) -> Result<Flow, Failure>;

    /// Whether the answer is complete if nothing more comes.
    fn is_complete(&self) -> bool;
}

/// Whether more events are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Read on.
    More,
    /// That was the last one.
    Done,
}

/// What is asked, beside the request.
#[derive(Debug)]
pub struct Target<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    /// For requests that set none of their own.
    pub max_output_tokens: Option<u32>,
}
