//! The conversation in Anthropic's words: instructions apart, then turns of the two speakers in alternation, in which
//! the results of tool calls come first.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llm_protocol::{Error, Image, Part, Request, Role};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::encode::CacheControl;
use crate::history::{self, Ids, Piece};

const IDS: Ids =
    Ids { shortest: 1, longest: 64, takes: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') };

/// A conversation as it is written.
pub(super) struct Conversation<'a> {
    pub(super) system: Option<System<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(request: &'a Request, provider: &'a str) -> Result<Self, Error> {
        let mut system = Vec::new();
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for turn in history::turns(request, provider, &IDS)? {
            let role = match turn.role() {
                // Moved to the front they would speak of what has not been said yet.
                Role::System if !turns.is_empty() && !turn.message.is_blank() => {
                    return Err(Error::unsupported("instructions in the midst of a conversation"));
                }
                Role::System => {
                    extend(&mut system, &turn)?;
                    continue;
                }
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            if turns.last().is_none_or(|last| last.role != role) {
                turns.push(Turn { role, content: Vec::new() });
            }
            if let Some(last) = turns.last_mut() {
                match turn.answers.clone() {
                    Some(id) => last.content.push(Block::result(id, &turn)?),
                    None => extend(&mut last.content, &turn)?,
                }
            }
            // Blank texts and other vendors' parts may have been all there was.
            turns.pop_if(|last| last.content.is_empty());
        }
        if turns.first().is_none_or(|turn| turn.role != "user") {
            return Err(Error::unsupported("a conversation that does not begin with the user"));
        }
        Ok(Self { system: System::of(system), turns })
    }
}

/// Instructions: one text where that says it all.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum System<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl<'a> System<'a> {
    fn of(blocks: Vec<Block<'a>>) -> Option<Self> {
        let mut joined: Option<Cow<'a, str>> = None;
        for block in &blocks {
            let Block::Text { text, cache_control: None, .. } = block else {
                return Some(Self::Blocks(blocks));
            };
            joined = Some(match joined {
                None => text.clone(),
                Some(earlier) => format!("{earlier}\n\n{text}").into(),
            });
        }
        joined.map(Self::Text)
    }
}

#[derive(Serialize)]
pub(super) struct Turn<'a> {
    pub(super) role: &'static str,
    content: Vec<Block<'a>>,
}

/// A piece of a turn, as the vendor has it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    /// One of the vendor's own, as it came.
    #[serde(untagged)]
    Own(&'a Value),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: String },
    Url { url: &'a str },
}

impl<'a> Block<'a> {
    /// The block for a piece of a turn; none for a mark, and for a blank text, which the vendor refuses.
    fn of(piece: Piece<'a>, role: Role) -> Result<Option<Self>, Error> {
        Ok(Some(match piece {
            Piece::Own(block) => Self::Own(block),
            Piece::Call(id, call) => {
                let input = history::arguments(call)?;
                Self::ToolUse { id, name: &call.name, input, cache_control: None }
            }
            Piece::Part(Part::Text { text }) if text.trim().is_empty() => return Ok(None),
            Piece::Part(Part::Text { text }) => Self::Text { text: text.into(), cache_control: None },
            Piece::Part(Part::CacheMark { .. }) => return Ok(None),
            Piece::Part(Part::Image(image)) if matches!(role, Role::User | Role::Tool) => {
                Self::Image { source: Source::of(image)?, cache_control: None }
            }
            Piece::Part(Part::Image(_)) => return Err(Error::unsupported("images beside the user's")),
            Piece::Part(_) => return Err(Error::unsupported("a part of an unknown type")),
        }))
    }

    /// The result of a tool call. A mark is for it as a whole: what is in it takes none.
    fn result(id: Cow<'a, str>, turn: &history::Turn<'a>) -> Result<Self, Error> {
        let blocks = turn.pieces().map(|piece| Self::of(piece, Role::Tool));
        let content = blocks.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let mark = turn.pieces().find_map(|piece| mark_of(&piece));
        Ok(Self::ToolResult { tool_use_id: id, content, cache_control: mark })
    }

    /// Where its mark for the prompt cache goes. What is opaque takes none.
    fn cache_control(&mut self) -> Option<&mut Option<CacheControl>> {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::ToolUse { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => Some(cache_control),
            Self::Own(_) => None,
        }
    }
}

impl<'a> Source<'a> {
    fn of(image: &'a Image) -> Result<Self, Error> {
        match image {
            Image::Url { url } => Ok(Self::Url { url }),
            Image::Bytes { media_type, data } => Ok(Self::Base64 { media_type, data: STANDARD.encode(data) }),
            _ => Err(Error::unsupported("an image of an unknown kind")),
        }
    }
}

/// Adds what the turn says to the blocks that are there, the last of which its mark is for.
fn extend<'a>(blocks: &mut Vec<Block<'a>>, turn: &history::Turn<'a>) -> Result<(), Error> {
    for piece in turn.pieces() {
        if let Some(mark) = mark_of(&piece) {
            if let Some(slot) = blocks.iter_mut().rev().find_map(Block::cache_control) {
                *slot = Some(mark);
            }
        } else {
            blocks.extend(Block::of(piece, turn.role())?);
        }
    }
    Ok(())
}

fn mark_of(piece: &Piece<'_>) -> Option<CacheControl> {
    match piece {
        Piece::Part(Part::CacheMark { ttl }) => Some((*ttl).into()),
        _ => None,
    }
}
