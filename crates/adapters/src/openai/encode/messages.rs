//! The conversation in OpenAI's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llm_protocol::{CacheTtl, Error, Image, Part, Request, Role, ToolCall};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::encode::{CacheControl, bad_request};
use crate::history::{self, Ids, Piece, Turn};

/// What OpenAI itself takes, and what Mistral does.
const IDS: Ids = Ids { shortest: 1, longest: 40, takes: |c| !c.is_control() };
const IDS_OF_MISTRAL: Ids = Ids { shortest: 9, longest: 9, takes: |c| c.is_ascii_alphanumeric() };

/// A conversation that can be written as JSON.
pub(super) struct Messages<'a> {
    turns: Vec<Turn<'a>>,
    cache_marks: bool,
}

impl<'a> Messages<'a> {
    /// `cache_marks` are written only for hosts that know them.
    pub(super) fn new(request: &'a Request, provider: &'a str, cache_marks: bool) -> Result<Self, Error> {
        let ids = if provider == "mistral" { &IDS_OF_MISTRAL } else { &IDS };
        let turns = history::turns(request, provider, ids)?;
        turns.iter().try_for_each(check)?;
        Ok(Self { turns, cache_marks })
    }
}

/// Refuses what a turn has no place for.
fn check(turn: &Turn<'_>) -> Result<(), Error> {
    for piece in turn.pieces() {
        match (turn.role(), piece) {
            (Role::Assistant, Piece::Own(fields)) if !fields.is_object() => {
                return Err(bad_request("an opaque part of the model's own turn is no object of fields"));
            }
            (Role::Assistant | Role::System | Role::Tool, Piece::Part(Part::Image(_))) => {
                return Err(Error::unsupported("images beside the user's"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.turns.iter().map(|turn| Message::of(turn, self.cache_marks)))
    }
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    /// Fields that the host has put there itself, and wants back.
    #[serde(flatten)]
    own: Map<String, Value>,
}

impl<'a> Message<'a> {
    fn of(turn: &'a Turn<'a>, cache_marks: bool) -> Self {
        let role = match turn.role() {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let mut parts = Vec::new();
        let mut tool_calls = Vec::new();
        let mut own = Map::new();
        for piece in turn.pieces() {
            match piece {
                Piece::Call(id, call) => tool_calls.push(Call::new(id, call)),
                Piece::Own(Value::Object(fields)) if turn.role() == Role::Assistant => {
                    let ours = ["role", "content", "tool_calls", "tool_call_id"];
                    let fields = fields.iter().filter(|(name, _)| !ours.contains(&name.as_str()));
                    own.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
                }
                Piece::Own(part) => parts.push(Item::Own(part)),
                Piece::Part(Part::Text { text }) => parts.push(Item::text(text)),
                Piece::Part(Part::Image(image)) => parts.push(Item::image(image)),
                Piece::Part(Part::CacheMark { ttl }) if cache_marks => mark(&mut parts, *ttl),
                Piece::Part(_) => {}
            }
        }
        // Hosts that want a string or nothing at all are offended by an empty one.
        let content = (tool_calls.is_empty() || !parts.is_empty()).then(|| Content::of(parts));
        Self { role, tool_call_id: turn.answers.as_deref(), content, tool_calls, own }
    }
}

/// Marks the last text, which is the only thing that takes a mark here.
fn mark(parts: &mut [Item<'_>], ttl: CacheTtl) {
    let texts = parts.iter_mut().rev().find_map(|part| match part {
        Item::Text { cache_control, .. } => Some(cache_control),
        _ => None,
    });
    if let Some(cache_control) = texts {
        *cache_control = Some(ttl.into());
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Items(Vec<Item<'a>>),
}

impl<'a> Content<'a> {
    /// One string where that says it all: not every host takes lists.
    fn of(items: Vec<Item<'a>>) -> Self {
        let plain = |item: &Item<'_>| matches!(item, Item::Text { cache_control: None, .. });
        if !items.iter().all(plain) {
            // An empty text is refused in a list.
            let says = |item: &Item<'_>| !matches!(item, Item::Text { text: "", .. });
            return Self::Items(items.into_iter().filter(says).collect());
        }
        let mut joined = Cow::Borrowed("");
        for item in items {
            if let Item::Text { text, .. } = item {
                if joined.is_empty() { joined = Cow::Borrowed(text) } else { joined.to_mut().push_str(text) }
            }
        }
        Self::Text(joined)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Text {
        #[serde(rename = "type")]
        kind: &'static str,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        #[serde(rename = "type")]
        kind: &'static str,
        image_url: ImageUrl<'a>,
    },
    Own(&'a Value),
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
}

impl<'a> Item<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text { kind: "text", text, cache_control: None }
    }

    fn image(image: &'a Image) -> Self {
        let url = match image {
            Image::Bytes { media_type, data } => {
                format!("data:{media_type};base64,{}", STANDARD.encode(data)).into()
            }
            Image::Url { url } => Cow::Borrowed(url.as_str()),
            _ => Cow::Borrowed(""),
        };
        Self::Image { kind: "image_url", image_url: ImageUrl { url } }
    }
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> Call<'a> {
    /// A model that gave no arguments means an empty object, and not every host takes it from an empty text.
    fn new(id: Cow<'a, str>, call: &'a ToolCall) -> Self {
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        Self { id, kind: "function", function: Function { name: &call.name, arguments } }
    }
}
