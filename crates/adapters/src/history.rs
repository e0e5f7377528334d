//! A conversation as a vendor can take it over, whoever it was begun with: neighbouring turns of the model are one, each
//! tool call has its result right behind it under an id that the vendor accepts, blank texts and other vendors' opaque
//! parts are left out, and marks for the prompt cache stand where they count. Codecs write what they find here.

mod marks;
mod names;

use std::borrow::Cow;

use llm_protocol::{CacheTtl, Error, Image, Message, Part, Request, Role, ToolCall};
use serde_json::value::RawValue;

use self::names::Names;
use crate::encode::bad_request;

/// What a vendor demands of a conversation.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) ids: Ids,
    /// The longest name of a tool that a call may have, in letters, digits, `_` and `-`.
    pub(crate) longest_name: usize,
    /// What takes marks for the prompt cache; none where they are not written.
    pub(crate) marks: Option<fn(&What<'_>) -> bool>,
    /// Whether those of tools are.
    pub(crate) tool_marks: bool,
}

/// Which ids of tool calls a vendor accepts.
#[derive(Clone, Copy)]
pub(crate) struct Ids {
    pub(crate) shortest: usize,
    pub(crate) longest: usize,
    pub(crate) takes: fn(char) -> bool,
    /// Whether no two calls of a conversation may share one; otherwise no two of a turn.
    pub(crate) once: bool,
}

/// A conversation that is in order.
pub(crate) struct History<'a> {
    pub(crate) turns: Vec<Turn<'a>>,
    /// The marks of the tools, in their order.
    pub(crate) tool_marks: Vec<Option<CacheTtl>>,
}

pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    pub(crate) pieces: Vec<Piece<'a>>,
    /// The id of the call that it is the result of.
    pub(crate) answers: Option<Cow<'a, str>>,
}

pub(crate) struct Piece<'a> {
    pub(crate) what: What<'a>,
    /// Everything up to here is to be cached.
    pub(crate) mark: Option<CacheTtl>,
}

pub(crate) enum What<'a> {
    /// Not blank.
    Text(&'a str),
    Image(&'a Image),
    Call(Call<'a>),
    /// Of the vendor's own: JSON.
    Own(&'a RawValue),
    /// Another turn of the model's begins, in what is one turn here.
    Break,
}

/// A call, as this vendor is to see it.
pub(crate) struct Call<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) given: &'a ToolCall,
}

impl<'a> History<'a> {
    /// The conversation towards this provider.
    pub(crate) fn new(request: &'a Request, provider: &'a str, rules: Rules) -> Result<Self, Error> {
        let mut writer = Writer {
            provider,
            names: Names::new(request, rules),
            takes_marks: rules.marks,
            turns: Vec::with_capacity(request.messages.len()),
            open: Vec::new(),
            reply: 0,
        };
        for message in &request.messages {
            writer.take(message)?;
        }
        writer.close()?;
        let mut history = Self { turns: writer.turns, tool_marks: Vec::new() };
        if rules.tool_marks {
            history.tool_marks = request.tools.iter().map(|tool| tool.cache).collect();
        }
        marks::settle(&mut history);
        Ok(history)
    }
}

/// Takes a conversation in, message by message.
struct Writer<'a> {
    provider: &'a str,
    names: Names<'a>,
    takes_marks: Option<fn(&What<'_>) -> bool>,
    turns: Vec<Turn<'a>>,
    /// The latest calls that have no result yet, each with its id here.
    open: Vec<(&'a ToolCall, Cow<'a, str>)>,
    /// Where the next of their results goes.
    reply: usize,
}

impl<'a> Writer<'a> {
    fn take(&mut self, message: &'a Message) -> Result<(), Error> {
        match message.role {
            Role::Assistant => self.model(message),
            Role::Tool => self.result(message),
            Role::System | Role::User => {
                let at = self.turns.len();
                self.turns.push(Turn { role: message.role, pieces: Vec::new(), answers: None });
                self.fill(at, message)?;
                // Blank texts may have been all there was.
                self.turns.pop_if(|turn| turn.pieces.is_empty());
                Ok(())
            }
        }
    }

    fn model(&mut self, message: &'a Message) -> Result<(), Error> {
        if self.turns.last().is_some_and(|last| last.role == Role::Assistant) {
            if let Some(turn) = self.turns.last_mut() {
                turn.pieces.push(Piece { what: What::Break, mark: None });
            }
        } else {
            self.close()?;
            self.names.begin_turn();
            self.turns.push(Turn { role: Role::Assistant, pieces: Vec::new(), answers: None });
        }
        self.fill(self.turns.len() - 1, message)?;
        if let Some(turn) = self.turns.last_mut() {
            turn.pieces.pop_if(|piece| matches!(piece.what, What::Break));
        }
        self.turns.pop_if(|turn| turn.pieces.is_empty());
        self.reply = self.turns.len();
        Ok(())
    }

    fn result(&mut self, message: &'a Message) -> Result<(), Error> {
        let at = self.open.iter().position(|(call, _)| is_answered_by(call, message));
        let at = at.ok_or_else(|| bad_request("a tool result answers no call of the turn before it"))?;
        let answers = Some(self.open.remove(at).1);
        self.turns.insert(self.reply, Turn { role: Role::Tool, pieces: Vec::new(), answers });
        self.fill(self.reply, message)?;
        self.reply += 1;
        Ok(())
    }

    /// The model's turn, with its results, is over.
    fn close(&mut self) -> Result<(), Error> {
        if self.open.is_empty() { Ok(()) } else { Err(bad_request("a tool call has no result")) }
    }

    /// Puts what a message says into the turn at this place.
    fn fill(&mut self, at: usize, message: &'a Message) -> Result<(), Error> {
        for part in &message.content {
            let what = match part {
                Part::Text { text } if text.trim().is_empty() => continue,
                Part::Text { text } => What::Text(text),
                Part::Image(image) => What::Image(image),
                Part::ToolCall(call) if message.role == Role::Assistant => {
                    let (id, name) = (self.names.id(call), self.names.name(call));
                    self.open.push((call, id.clone()));
                    What::Call(Call { id, name, given: call })
                }
                Part::ToolCall(_) => {
                    return Err(bad_request("a tool call stands in a turn that is not the model's"));
                }
                Part::Opaque(part) if part.provider == self.provider => What::Own(own(&part.json)?),
                Part::Opaque(_) if message.role == Role::Assistant => continue,
                // It is part of what is asked.
                Part::Opaque(_) => {
                    return Err(Error::unsupported("a part that only another vendor can read"));
                }
                Part::CacheMark { ttl } => {
                    if let Some(takes) = self.takes_marks {
                        marks::set(takes, &mut self.turns, at, *ttl);
                    }
                    continue;
                }
                _ => return Err(Error::unsupported("a part of an unknown type")),
            };
            if let Some(turn) = self.turns.get_mut(at) {
                turn.pieces.push(Piece { what, mark: None });
            }
        }
        Ok(())
    }
}

fn own(json: &str) -> Result<&RawValue, Error> {
    serde_json::from_str(json).map_err(|_| bad_request("an opaque part is not JSON"))
}

/// By the id; by the name where the result has no id, as results from vendors without ids.
fn is_answered_by(call: &ToolCall, result: &Message) -> bool {
    let named = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    match (named(&result.tool_call_id), named(&result.name)) {
        (Some(id), _) => call.id == id,
        (None, Some(name)) => call.name == name,
        (None, None) => true,
    }
}

/// A call's arguments as the JSON object that some vendors want. A model that gave none means an empty one.
#[cfg(feature = "anthropic")]
pub(crate) fn arguments(call: &ToolCall) -> Result<Cow<'_, RawValue>, Error> {
    let text = crate::wire::mended(call.arguments.trim());
    let object = match text {
        Cow::Borrowed("") => RawValue::from_string("{}".to_owned()).ok().map(Cow::Owned),
        Cow::Borrowed(text) => {
            serde_json::from_str(text).ok().filter(|_| text.starts_with('{')).map(Cow::Borrowed)
        }
        Cow::Owned(text) => {
            let is_object = text.starts_with('{');
            RawValue::from_string(text).ok().filter(|_| is_object).map(Cow::Owned)
        }
    };
    object.ok_or_else(|| Error::unsupported("tool arguments that are not a JSON object"))
}

#[cfg(test)]
mod tests;
