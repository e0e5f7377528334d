//! The wire formats: what an answer, an event and an error look like in a vendor's words.
//!
//! A wire format is a module with a [`Codec`]. Everything that misbehaves is elsewhere and asks the codec for bytes,
//! so that a new format gets every fault without a line of its own.

mod anthropic;
mod openai;

use std::fmt;

use serde_json::Value;

use crate::{
    answer::{Answer, Place, Wanted},
    fault::ErrorWords,
    host::Host,
    opaque::Ids,
    refusal::Refusal,
};

/// A vendor's wire format, chosen by the path of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// OpenAI chat completions: `…/chat/completions`.
    OpenAi,
    /// Anthropic messages: `…/messages`.
    Anthropic,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        })
    }
}

impl Wire {
    pub(crate) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::OpenAi => &openai::OpenAi,
            Self::Anthropic => &anthropic::Anthropic,
        }
    }
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An answer of a model.
    Answer,
    /// The list of models.
    Models,
    /// The path is known, the method is not.
    WrongMethod,
    Unknown,
}

/// Finds the wire format and the purpose of a request. Prefixes do not matter, so that every base URL works.
pub(crate) fn route(method: &str, target: &str, anthropic_headers: bool) -> (Wire, Route) {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let (wire, expected, route) = if path.ends_with("/chat/completions") {
        (Wire::OpenAi, "POST", Route::Answer)
    } else if path.ends_with("/messages") {
        (Wire::Anthropic, "POST", Route::Answer)
    } else {
        // Both vendors list their models at the same path and in different words.
        let wire = if anthropic_headers { Wire::Anthropic } else { Wire::OpenAi };
        (wire, "GET", if path.ends_with("/models") { Route::Models } else { Route::Unknown })
    };
    (wire, if route != Route::Unknown && method != expected { Route::WrongMethod } else { route })
}

/// What a request asks for, as far as the simulator cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) model: String,
    pub(crate) streamed: bool,
    /// Whether a stream ends with usage (OpenAI sends it on request only).
    pub(crate) usage: bool,
}

/// A request as it came, with the header that decides what is allowed in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) body: &'a Value,
    /// Anthropic's version.
    pub(crate) version: Option<&'a str>,
    /// Anthropic's beta that lets a model think between its tool calls.
    pub(crate) interleaved: bool,
}

/// An answer with all that a vendor puts around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) id: &'a str,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: &'a str,
    pub(crate) answer: &'a Answer,
    pub(crate) usage: bool,
}

/// An answer as the events of a stream. Each string holds one event or several that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Sent at once, before the model has said anything.
    pub(crate) opening: Vec<String>,
    /// One for each delta of reasoning.
    pub(crate) reasoning: Vec<String>,
    /// One for each delta of text, for the start of a tool call and for each piece of its arguments.
    pub(crate) deltas: Vec<String>,
    /// Finish reason, usage, terminal event.
    pub(crate) finish: Vec<String>,
    /// The marker after the terminal event, where the vendor has one.
    pub(crate) done: Option<String>,
}

/// One wire format.
pub(crate) trait Codec: Sync {
    /// Reads what is asked for, or says in the vendor's words what is missing.
    fn read(&self, body: &Value) -> Result<Call, Refusal>;

    /// Refuses all else that the vendor would refuse.
    fn check(&self, asked: Asked<'_>) -> Result<(), Refusal>;

    /// Refuses what only this host would refuse, `thinking` if its model does.
    fn check_host(&self, _body: &Value, _host: Host, _thinking: bool) -> Result<(), Refusal> {
        Ok(())
    }

    /// The refusal of a field that is not known.
    fn unknown_field(&self, field: &str) -> Refusal;

    /// What a faithful model says to this request, if not a greeting.
    fn wanted(&self, body: &Value) -> Option<Wanted>;

    /// The id of a tool call: the `index`th of the `number`th request.
    fn call_id(&self, ids: Ids, number: u64, index: usize, host: Host) -> String;

    /// The name of the response header that carries the request id, and the id itself.
    fn request_id(&self, unique: &str) -> (&'static str, String);

    /// The id of the answer.
    fn answer_id(&self, unique: &str) -> String;

    /// Further headers that the vendor sends with this status, `now` in seconds since 1970. A success carries its
    /// hints about rate limits, which a client must not take for a request to wait.
    fn headers(&self, status: u16, now: u64) -> Vec<(&'static str, String)>;

    /// The body of an answer that is not streamed.
    fn body(&self, reply: &Reply<'_>) -> String;

    /// The events of a streamed answer.
    fn events(&self, reply: &Reply<'_>) -> Events;

    /// One event with one delta of text or of the arguments of a call.
    fn delta(&self, reply: &Reply<'_>, place: Place, text: &str) -> String;

    /// What a stream sends to keep the connection alive.
    fn keep_alive(&self) -> &'static str;

    /// An event whose data is no JSON.
    fn malformed(&self) -> &'static str;

    /// The start of an event that can be continued with any letters.
    fn endless(&self) -> &'static str;

    /// The error envelope for a status, of this model at this host.
    fn error(&self, status: u16, words: &ErrorWords, of: (&str, Host), request_id: &str) -> String;

    /// An error envelope as an event of a stream.
    fn error_event(&self, envelope: &str) -> String;

    /// The list of models.
    fn models(&self, models: &[String]) -> String;
}

/// A string as JSON. The bodies are written as templates rather than built as values, so that the fields come in the
/// vendor's order.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// An optional string as JSON.
fn nullable(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), quoted)
}

/// Items as JSON, or nothing if there are none.
fn list(name: &str, items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!(r#","{name}":[{}]"#, items.join(",")) }
}

/// The model and the stream flag, which both vendors put at the same place.
fn field_model(body: &Value) -> Option<&str> {
    body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty())
}

fn has_messages(body: &Value) -> bool {
    body.get("messages").and_then(Value::as_array).is_some_and(|messages| !messages.is_empty())
}

fn is_streamed(body: &Value) -> bool {
    body.get("stream").and_then(Value::as_bool).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Route, Wire, route};

    #[test]
    fn the_end_of_the_path_decides() {
        for (method, target, wire, expected) in [
            ("POST", "/v1/chat/completions", Wire::OpenAi, Route::Answer),
            ("POST", "/openai/deployments/d/chat/completions?api-version=1", Wire::OpenAi, Route::Answer),
            ("POST", "/v1/messages?beta=true", Wire::Anthropic, Route::Answer),
            ("GET", "/v1/messages", Wire::Anthropic, Route::WrongMethod),
            ("GET", "/api/v1/models", Wire::OpenAi, Route::Models),
            ("GET", "/v1/chat/completions?x=/models", Wire::OpenAi, Route::WrongMethod),
            ("POST", "/v1/embeddings", Wire::OpenAi, Route::Unknown),
        ] {
            assert_eq!(route(method, target, false), (wire, expected), "{method} {target}");
        }
        assert_eq!(route("GET", "/v1/models", true), (Wire::Anthropic, Route::Models));
    }
}
