//! A request in Anthropic's words.

use std::borrow::Cow;

use llm_protocol::{Error, Request, Role};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::encode::{self, Fields};
use crate::vendor::Target;

/// What the user's own parameters cannot replace.
const RESERVED: [&str; 4] = ["model", "messages", "stream", "system"];

/// The wire requires a limit; this is for requests and models that have none.
const DEFAULT_MAX_TOKENS: u32 = 4096;

pub(super) fn body(target: &Target<'_>, request: &Request, stream: bool) -> Result<Vec<u8>, Error> {
    encode::check(request)?;
    if request.seed.is_some() {
        return Err(Error::unsupported("a seed"));
    }
    let (system, turns) = conversation(request)?;
    if turns.first().is_none_or(|turn| turn.role != "user") {
        return Err(Error::unsupported("a conversation that does not begin with the user"));
    }
    let extra = encode::extra(request, target.provider, &RESERVED)?;
    encode::bytes(&Body { target, request, stream, system, turns, extra })
}

/// Instructions go apart from the conversation, which they have to precede. Texts that are blank are left out, and turns of one speaker in a row
/// are one turn: the vendor refuses both.
fn conversation(request: &Request) -> Result<(Option<Cow<'_, str>>, Vec<Turn<'_>>), Error> {
    let mut system: Option<Cow<'_, str>> = None;
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in &request.messages {
        let text = encode::text(message)?;
        if text.trim().is_empty() {
            continue;
        }
        let role = match message.role {
            // Moved to the front they would speak of what has not been said yet.
            Role::System if !turns.is_empty() => {
                return Err(Error::unsupported("instructions in the midst of a conversation"));
            }
            Role::System => {
                system = Some(match system {
                    None => text,
                    Some(earlier) => format!("{earlier}\n\n{text}").into(),
                });
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => return Err(Error::unsupported("tools")),
        };
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.push(Block { kind: "text", text }),
            None => turns.push(Turn { role, content: vec![Block { kind: "text", text }] }),
        }
    }
    Ok((system, turns))
}

struct Body<'a> {
    target: &'a Target<'a>,
    request: &'a Request,
    stream: bool,
    system: Option<Cow<'a, str>>,
    turns: Vec<Turn<'a>>,
    extra: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: Cow<'a, str>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer, self.extra)?;
        fields.field("model", self.target.model)?;
        let max_tokens = request.max_tokens.or(self.target.max_output_tokens).unwrap_or(DEFAULT_MAX_TOKENS);
        fields.field("max_tokens", &max_tokens)?;
        fields.optional("system", self.system.as_deref())?;
        fields.field("messages", &self.turns)?;
        fields.optional("temperature", request.temperature)?;
        fields.optional("stop_sequences", (!request.stop.is_empty()).then_some(&request.stop))?;
        if self.stream {
            fields.field("stream", &true)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests;
