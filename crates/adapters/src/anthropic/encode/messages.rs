//! The conversation in Anthropic's words: instructions apart, then turns of the two speakers in alternation, in which
//! the results of tool calls come first.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llm_protocol::{CacheTtl, Error, Image, Request, Role};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::encode::CacheControl;
use crate::history::{self, History, Ids, Piece, Rules, What};
use crate::opaque::Members;

const RULES: Rules = Rules {
    ids: Ids {
        shortest: 1,
        longest: 64,
        takes: |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
        once: true,
    },
    longest_name: 64,
    // What is the vendor's own takes none: thoughts, among others.
    marks: Some(|what| !matches!(what, What::Own(_) | What::Break)),
    tool_marks: true,
};

/// A conversation as it is written.
pub(super) struct Conversation<'a> {
    pub(super) system: Option<System<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
    /// Of the tools, in their order.
    pub(super) tool_marks: Vec<Option<CacheTtl>>,
    /// Whether the calls that the latest results are of came without a thought.
    pub(super) is_thoughtless: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(request: &'a Request, provider: &'a str) -> Result<Self, Error> {
        let history = History::new(request, provider, RULES)?;
        let is_thoughtless = is_thoughtless(&history.turns);
        let mut system = Vec::new();
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for turn in history.turns {
            let role = match turn.role {
                // Moved to the front they would speak of what has not been said yet.
                Role::System if !turns.is_empty() => {
                    return Err(Error::unsupported("instructions in the midst of a conversation"));
                }
                Role::System => {
                    system.extend(blocks(turn)?);
                    continue;
                }
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            if turns.last().is_none_or(|last| last.role != role) {
                turns.push(Turn { role, content: Vec::new() });
            }
            if let Some(last) = turns.last_mut() {
                last.content.extend(blocks(turn)?);
            }
        }
        if turns.first().is_none_or(|turn| turn.role != "user") {
            return Err(Error::unsupported("a conversation that does not begin with the user"));
        }
        Ok(Self { system: System::of(system), turns, tool_marks: history.tool_marks, is_thoughtless })
    }
}

/// Whether the conversation ends in results, or in what the user said after them, of calls before which there is no
/// thought.
fn is_thoughtless(turns: &[history::Turn<'_>]) -> bool {
    let ended = turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    ended.is_some_and(|turn| {
        let calls = turn.pieces.iter().any(|piece| matches!(piece.what, What::Call(_)));
        calls
            && !matches!(turn.pieces.first(), Some(Piece { what: What::Own(block), .. }) if is_thought(block))
    })
}

fn is_thought(block: &RawValue) -> bool {
    let members = Members::read(block.get());
    let kinds = members.into_iter().flat_map(|members| members.0).filter(|(name, _)| name == "type");
    kinds.map(|(_, kind)| kind.get()).any(|kind| matches!(kind, r#""thinking""# | r#""redacted_thinking""#))
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
            let Block::Text { text, cache_control: None } = block else { return Some(Self::Blocks(blocks)) };
            joined = Some(match joined {
                None => Cow::Borrowed(*text),
                Some(earlier) => format!("{earlier}\n\n{text}").into(),
            });
        }
        joined.map(Self::Text)
    }
}

#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// A piece of a turn, as the vendor has it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
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
        name: Cow<'a, str>,
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
    Own(&'a RawValue),
}

/// What a turn says.
fn blocks(turn: history::Turn<'_>) -> Result<Vec<Block<'_>>, Error> {
    let history::Turn { role, mut pieces, answers } = turn;
    // A mark is for a result as a whole: what is in it takes none.
    let mark = match answers {
        Some(_) => pieces.iter_mut().fold(None, |mark, piece| piece.mark.take().or(mark)),
        None => None,
    };
    let blocks = pieces.into_iter().filter_map(|piece| Block::of(piece, role).transpose());
    let content = blocks.collect::<Result<Vec<_>, _>>()?;
    Ok(match answers {
        Some(id) => {
            vec![Block::ToolResult { tool_use_id: id, content, cache_control: mark.map(Into::into) }]
        }
        None => content,
    })
}

impl<'a> Block<'a> {
    fn of(piece: Piece<'a>, role: Role) -> Result<Option<Self>, Error> {
        let cache_control = piece.mark.map(Into::into);
        Ok(Some(match piece.what {
            What::Text(text) => Self::Text { text, cache_control },
            What::Image(image) if matches!(role, Role::User | Role::Tool) => {
                Self::Image { source: Source::of(image), cache_control }
            }
            What::Image(_) => return Err(Error::unsupported("images beside the user's")),
            What::Call(call) => {
                let input = history::arguments(call.given)?;
                Self::ToolUse { id: call.id, name: call.name, input, cache_control }
            }
            What::Own(block) => Self::Own(block),
            What::Break => return Ok(None),
        }))
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: Cow<'a, str> },
    Url { url: &'a str },
}

impl<'a> Source<'a> {
    fn of(image: &'a Image) -> Self {
        match image {
            Image::Url { url } => Self::inline(url).unwrap_or(Self::Url { url }),
            Image::Bytes { media_type, data } => {
                Self::Base64 { media_type, data: STANDARD.encode(data).into() }
            }
            // The conversation was looked through for others.
            _ => Self::Url { url: "" },
        }
    }

    /// The image that is its own address, as other vendors have them.
    fn inline(url: &'a str) -> Option<Self> {
        let (_, rest) = url.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data"))?;
        let (kind, data) = rest.split_once(";base64,")?;
        // Behind the type there may be parameters, which say nothing of an image.
        let media_type = kind.split(';').next().unwrap_or(kind);
        Some(Self::Base64 { media_type, data: data.into() })
    }
}
