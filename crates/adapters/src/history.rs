//! A conversation as any vendor can take it over, whoever it was begun with: tool calls and their results paired under
//! ids that the vendor accepts, results right after their calls, foreign opaque parts left out.

use std::borrow::Cow;
use std::collections::HashSet;

use llm_protocol::{Error, Message, Part, Request, Role, ToolCall};
#[cfg(feature = "anthropic")]
use serde_json::value::RawValue;

use crate::encode::bad_request;

/// Which ids of tool calls a vendor accepts.
pub(crate) struct Ids {
    pub(crate) shortest: usize,
    pub(crate) longest: usize,
    pub(crate) takes: fn(char) -> bool,
}

impl Ids {
    fn accept(&self, id: &str) -> bool {
        let length = id.chars().count();
        length >= self.shortest.max(1) && length <= self.longest && id.chars().all(self.takes)
    }
}

/// A turn, with the ids that its calls have towards this vendor.
pub(crate) struct Turn<'a> {
    pub(crate) message: &'a Message,
    provider: &'a str,
    /// Of the calls in it, in their order.
    calls: Vec<Cow<'a, str>>,
    /// Of the call that it is the result of.
    pub(crate) answers: Option<Cow<'a, str>>,
}

/// A part that this vendor is to see.
pub(crate) enum Piece<'a> {
    /// Neither a call nor opaque.
    Part(&'a Part),
    /// With its id.
    Call(Cow<'a, str>, &'a ToolCall),
    /// Of the vendor's own.
    Own(&'a serde_json::Value),
}

impl<'a> Turn<'a> {
    pub(crate) fn role(&self) -> Role {
        self.message.role
    }

    /// The parts in their order, without other vendors' opaque ones.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'a>> {
        let (message, provider) = (self.message, self.provider);
        let mut ids = self.calls.iter().cloned();
        message.content.iter().filter_map(move |part| match part {
            Part::ToolCall(call) => Some(Piece::Call(ids.next()?, call)),
            Part::Opaque(opaque) => (opaque.provider == provider).then_some(Piece::Own(&opaque.value)),
            part => Some(Piece::Part(part)),
        })
    }
}

/// The conversation towards this provider.
///
/// An id is kept where the vendor accepts it and it is the only one of its name; any other becomes one that every
/// vendor accepts, the same in the call and in its result.
pub(crate) fn turns<'a>(
    request: &'a Request,
    provider: &'a str,
    ids: &'static Ids,
) -> Result<Vec<Turn<'a>>, Error> {
    let mut names = Names::new(ids);
    let mut turns: Vec<Turn<'a>> = Vec::with_capacity(request.messages.len());
    // Calls without a result yet: the id that they came with, and the one that they have here.
    let mut open: Vec<(&ToolCall, Cow<'a, str>)> = Vec::new();
    // Where the results of the latest calls go.
    let mut reply = 0;
    for message in &request.messages {
        check(message, provider)?;
        let mut turn = Turn { message, provider, calls: Vec::new(), answers: None };
        match message.role {
            Role::Assistant => {
                if turns.last().is_some_and(|last| last.role() != Role::Assistant) {
                    open.clear();
                }
                for call in calls(message) {
                    let id = names.name(call);
                    open.push((call, id.clone()));
                    turn.calls.push(id);
                }
                turns.push(turn);
                reply = turns.len();
            }
            Role::Tool => {
                let at = open
                    .iter()
                    .position(|(call, _)| is_answered_by(call, message))
                    .ok_or_else(|| bad_request("a tool result answers no call of the turn before it"))?;
                turn.answers = Some(open.remove(at).1);
                turns.insert(reply, turn);
                reply += 1;
            }
            Role::System | Role::User => turns.push(turn),
        }
    }
    Ok(turns)
}

fn calls(message: &Message) -> impl Iterator<Item = &ToolCall> {
    message.content.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    })
}

/// By the id; by the name where the result has no id, as results from vendors without ids.
fn is_answered_by(call: &ToolCall, result: &Message) -> bool {
    match (&result.tool_call_id, &result.name) {
        (Some(id), _) => call.id == *id,
        (None, Some(name)) => call.name == *name,
        (None, None) => true,
    }
}

/// What no vendor could make sense of.
fn check(message: &Message, provider: &str) -> Result<(), Error> {
    if message.role == Role::Assistant {
        return Ok(());
    }
    for part in &message.content {
        match part {
            Part::ToolCall(_) => {
                return Err(bad_request("a tool call stands in a turn that is not the model's"));
            }
            // In the model's own turns it can be left out; here it is part of what is asked.
            Part::Opaque(opaque) if opaque.provider != provider => {
                return Err(Error::unsupported("a part that only another vendor can read"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives every call an id of its own. What comes later in the conversation has no say in it: an id that was sent once
/// stays the same when the conversation goes on, as the vendor's prompt cache wants it.
struct Names<'a> {
    ids: &'a Ids,
    taken: HashSet<Cow<'a, str>>,
    made: u32,
}

impl<'a> Names<'a> {
    fn new(ids: &'a Ids) -> Self {
        Self { ids, taken: HashSet::new(), made: 0 }
    }

    fn name(&mut self, call: &'a ToolCall) -> Cow<'a, str> {
        let given = Cow::Borrowed(call.id.as_str());
        if self.ids.accept(&given) && self.taken.insert(given.clone()) {
            return given;
        }
        loop {
            self.made += 1;
            // Nine letters and digits: what the most particular vendor (Mistral) demands.
            let id: Cow<'a, str> = format!("call{:05}", self.made).into();
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}

/// A call's arguments as the JSON object that some vendors want. A model that gave none means an empty one.
#[cfg(feature = "anthropic")]
pub(crate) fn arguments(call: &ToolCall) -> Result<Cow<'_, RawValue>, Error> {
    let text = call.arguments.trim();
    let object = if text.is_empty() {
        RawValue::from_string("{}".to_owned()).ok().map(Cow::Owned)
    } else {
        serde_json::from_str(text).ok().filter(|_| text.starts_with('{')).map(Cow::Borrowed)
    };
    object.ok_or_else(|| Error::unsupported("tool arguments that are not a JSON object"))
}

#[cfg(test)]
mod tests;
