//! A request in Anthropic's words.

mod messages;
mod tools;

use llm_protocol::{Error, Request};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::messages::Conversation;
use self::tools::Offered;
use crate::encode::{self, Fields};
use crate::vendor::{Encoded, Target};

/// What the user's own parameters cannot replace.
const RESERVED: [&str; 4] = ["model", "messages", "stream", "system"];

/// The wire requires a limit; this is for requests and models that have none.
const DEFAULT_MAX_TOKENS: u32 = 4096;

pub(super) fn body(target: &Target<'_>, request: &Request, stream: bool) -> Result<Encoded, Error> {
    encode::check(request)?;
    if request.seed.is_some() {
        return Err(Error::unsupported("a seed"));
    }
    let conversation = Conversation::new(request, target.provider)?;
    let extra = encode::extra(request, target.provider, &RESERVED)?;
    if conversation.is_thoughtless && thinks(extra) {
        return Err(Error::unsupported("thinking after tool calls that came without a thought"));
    }
    let replaced = extra.is_some_and(|extra| extra.contains_key("output_config"));
    let replaced = replaced && tools::further(extra).is_none();
    let structured_output_honored = encode::honored(request, replaced);
    let body = encode::bytes(&Body { target, request, stream, conversation, extra })?;
    Ok(Encoded { body, structured_output_honored })
}

/// Whether the user's own parameters switch thinking on. The vendor then wants the turn that its latest results belong to
/// to begin with a thought of its own, which a call of another vendor's does not have.
fn thinks(extra: Option<&Map<String, Value>>) -> bool {
    let thinking = extra.and_then(|extra| extra.get("thinking")?.get("type")?.as_str());
    thinking == Some("enabled")
}

struct Body<'a> {
    target: &'a Target<'a>,
    request: &'a Request,
    stream: bool,
    conversation: Conversation<'a>,
    extra: Option<&'a Map<String, Value>>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer, self.extra)?;
        fields.field("model", self.target.model)?;
        let max_tokens = request.max_tokens.or(self.target.max_output_tokens).unwrap_or(DEFAULT_MAX_TOKENS);
        fields.field("max_tokens", &max_tokens)?;
        fields.optional("system", self.conversation.system.as_ref())?;
        fields.field("messages", &self.conversation.turns)?;
        fields.optional("temperature", request.temperature)?;
        fields.optional("stop_sequences", (!request.stop.is_empty()).then_some(&request.stop))?;
        let format = request.response_format.as_ref();
        match format.and_then(|format| tools::output_config(format, self.extra)) {
            Some(config) if tools::further(self.extra).is_some() => {
                fields.merged("output_config", &config)?;
            }
            config => fields.optional("output_config", config)?,
        }
        if !request.tools.is_empty() {
            let marks = self.conversation.tool_marks.iter().copied();
            let offered = request.tools.iter().zip(marks).map(|(tool, mark)| Offered::new(tool, mark));
            fields.field("tools", &offered.collect::<Vec<_>>())?;
            fields.optional("tool_choice", tools::choice(request))?;
        }
        if self.stream {
            fields.field("stream", &true)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests;
