//! The conversation in OpenAI's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llm_protocol::{Error, Image, Request, Role};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::encode::{CacheControl, bad_request};
use crate::history::{self, History, Ids, Rules, Turn, What};
use crate::opaque::{self, Members};
use crate::openai::Dialect;

/// What a host takes for the id of a call. Most take any, and some know what they have sent again by it.
fn ids(dialect: Dialect) -> Ids {
    match dialect {
        Dialect::OpenAi => Ids { shortest: 1, longest: 40, takes: |c| !c.is_control(), once: true },
        Dialect::Mistral => Ids { shortest: 9, longest: 9, takes: |c| c.is_ascii_alphanumeric(), once: true },
        _ => Ids { shortest: 1, longest: usize::MAX, takes: |_| true, once: false },
    }
}

/// Only texts take marks.
fn takes_marks(what: &What<'_>) -> bool {
    matches!(what, What::Text(_))
}

/// A conversation that can be written as JSON.
pub(super) struct Messages<'a> {
    turns: Vec<Turn<'a>>,
    dialect: Dialect,
}

impl<'a> Messages<'a> {
    pub(super) fn new(
        request: &'a Request,
        provider: &'a str,
        dialect: Dialect,
        cache_marks: bool,
    ) -> Result<Self, Error> {
        let marks: Option<fn(&What<'_>) -> bool> = cache_marks.then_some(takes_marks);
        let rules = Rules { ids: ids(dialect), longest_name: 64, marks, tool_marks: false };
        let mut turns = History::new(request, provider, rules)?.turns;
        // Thoughts alone are no message.
        turns
            .retain(|turn| turn.role != Role::Assistant || turn.pieces.iter().any(|piece| says(&piece.what)));
        if turns.is_empty() {
            return Err(Error::unsupported("a conversation of which only other vendors can read anything"));
        }
        turns.iter().try_for_each(check)?;
        if dialect == Dialect::Mistral && turns.windows(2).any(interrupts) {
            return Err(Error::unsupported("words of the user's right after the result of a tool"));
        }
        Ok(Self { turns, dialect })
    }
}

fn says(what: &What<'_>) -> bool {
    matches!(what, What::Text(_) | What::Call(_) | What::Image(_))
}

fn interrupts(neighbours: &[Turn<'_>]) -> bool {
    matches!(neighbours, [before, after] if before.role == Role::Tool && after.role == Role::User)
}

/// Refuses what a turn has no place for.
fn check(turn: &Turn<'_>) -> Result<(), Error> {
    for piece in &turn.pieces {
        match &piece.what {
            What::Image(_) if turn.role != Role::User => {
                return Err(Error::unsupported("images beside the user's"));
            }
            What::Own(fields) if turn.role == Role::Assistant && Members::read(fields.get()).is_none() => {
                return Err(bad_request("an opaque part of the model's own turn is no object of fields"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.turns.iter().map(|turn| Message { turn, dialect: self.dialect }))
    }
}

struct Message<'a> {
    turn: &'a Turn<'a>,
    dialect: Dialect,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let turn = self.turn;
        let own = Own::of(turn);
        let calls: Vec<_> = turn.pieces.iter().filter_map(|piece| Call::of(&piece.what, &own)).collect();
        let role = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let mut message = serializer.serialize_map(None)?;
        message.serialize_entry("role", role)?;
        if let Some(id) = &turn.answers {
            message.serialize_entry("tool_call_id", id)?;
        }
        let content = Content::of(turn);
        // Hosts that want a string or nothing at all are offended by an empty one.
        let content = Some(content).filter(|content| calls.is_empty() || !content.is_empty());
        message.serialize_entry("content", &content)?;
        if !calls.is_empty() {
            message.serialize_entry("tool_calls", &calls)?;
        }
        for (name, value) in &own.fields {
            message.serialize_entry(name, value)?;
        }
        if self.dialect == Dialect::DeepSeek && !calls.is_empty() && !own.has(REASONING) {
            // Somebody else's call came without, and a call without it is refused.
            message.serialize_entry(REASONING, "")?;
        }
        message.end()
    }
}

const REASONING: &str = "reasoning_content";

/// Fields that the host has put into the model's turn itself, and wants back.
struct Own<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
    /// The same of single calls.
    calls: Vec<Members<'a>>,
}

impl<'a> Own<'a> {
    fn of(turn: &'a Turn<'a>) -> Self {
        let mut own = Self { fields: Vec::new(), calls: Vec::new() };
        let parts = turn.pieces.iter().filter_map(|piece| match piece.what {
            What::Own(json) if turn.role == Role::Assistant => Members::read(json.get()),
            _ => None,
        });
        for (name, value) in parts.flat_map(|members| members.0) {
            match &*name {
                // They are what the conversation says they are.
                "role" | "content" | "tool_call_id" => {}
                "tool_calls" => {
                    own.calls.extend(
                        opaque::elements(value.get())
                            .into_iter()
                            .filter_map(|call| Members::read(call.get())),
                    );
                }
                _ => own.add(name, value),
            }
        }
        own
    }

    /// What several turns that are one here say under one name is put together, as far as it can be.
    fn add(&mut self, name: Cow<'a, str>, value: &'a RawValue) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                if let Some(both) = together(known, value) {
                    *known = Cow::Owned(both);
                }
            }
            None => self.fields.push((name, Cow::Borrowed(value))),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    fn extra_content(&self, id: &str) -> Option<&'a RawValue> {
        self.calls.iter().find_map(|Members(members)| {
            let of = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            let known = serde_json::from_str::<Cow<'_, str>>(of("id")?.get()).ok()?;
            of("extra_content").filter(|_| known == id)
        })
    }
}

/// Two lists as one, or two texts.
fn together(one: &RawValue, other: &RawValue) -> Option<Box<RawValue>> {
    let texts = [one, other].map(|json| serde_json::from_str::<String>(json.get()));
    if let [Ok(one), Ok(other)] = texts {
        return serde_json::value::to_raw_value(&(one + &other)).ok();
    }
    let items: Vec<_> = [one, other].into_iter().flat_map(|json| opaque::elements(json.get())).collect();
    if items.is_empty() { None } else { serde_json::value::to_raw_value(&items).ok() }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Items(Vec<Item<'a>>),
}

impl<'a> Content<'a> {
    /// One string where that says it all: not every host takes lists.
    fn of(turn: &'a Turn<'a>) -> Self {
        let plain = |piece: &history::Piece<'_>| match piece.what {
            What::Text(_) => piece.mark.is_none(),
            What::Call(_) | What::Break => true,
            What::Own(_) => turn.role == Role::Assistant,
            What::Image(_) => false,
        };
        if !turn.pieces.iter().all(plain) {
            return Self::Items(turn.pieces.iter().filter_map(|piece| Item::of(piece, turn.role)).collect());
        }
        let mut joined = Cow::Borrowed("");
        let mut pause = false;
        for piece in &turn.pieces {
            match piece.what {
                What::Break => pause = true,
                What::Text(text) if joined.is_empty() => (joined, pause) = (Cow::Borrowed(text), false),
                What::Text(text) => {
                    let between = if pause { "\n\n" } else { "" };
                    joined = format!("{joined}{between}{text}").into();
                    pause = false;
                }
                _ => {}
            }
        }
        Self::Text(joined)
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Items(items) => items.is_empty(),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ImageUrl {
        image_url: ImageUrl<'a>,
    },
    #[serde(untagged)]
    Own(&'a RawValue),
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
}

impl<'a> Item<'a> {
    fn of(piece: &history::Piece<'a>, role: Role) -> Option<Self> {
        match piece.what {
            What::Text(text) => Some(Self::Text { text, cache_control: piece.mark.map(Into::into) }),
            What::Image(image) => Some(Self::ImageUrl { image_url: ImageUrl { url: address(image) } }),
            What::Own(part) if role != Role::Assistant => Some(Self::Own(part)),
            What::Own(_) | What::Call(_) | What::Break => None,
        }
    }
}

fn address(image: &Image) -> Cow<'_, str> {
    match image {
        Image::Bytes { media_type, data } => {
            format!("data:{media_type};base64,{}", STANDARD.encode(data)).into()
        }
        Image::Url { url } => Cow::Borrowed(url),
        // The conversation was looked through for others.
        _ => Cow::Borrowed(""),
    }
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> Call<'a> {
    fn of(what: &'a What<'a>, own: &Own<'a>) -> Option<Self> {
        let What::Call(call) = what else { return None };
        // A model that gave no arguments means an empty object, and not every host takes it from an empty text.
        let given = &call.given.arguments;
        let arguments = if given.trim().is_empty() { "{}" } else { given };
        let extra_content = own.extra_content(&call.given.id);
        let function = Function { name: &call.name, arguments };
        Some(Self { id: &call.id, kind: "function", function, extra_content })
    }
}
