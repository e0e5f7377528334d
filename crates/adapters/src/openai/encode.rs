//! A request in OpenAI's words.

mod messages;
mod tools;

use llm_protocol::{Error, Request};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use self::messages::Messages;
use self::tools::Offered;
use super::{Dialect, OpenAi, TokenLimitField};
use crate::encode::{self, Fields};
use crate::vendor::{Encoded, Target};

/// What the user's own parameters cannot replace.
const RESERVED: [&str; 3] = ["model", "messages", "stream"];

pub(super) fn body(
    vendor: &OpenAi,
    target: &Target<'_>,
    request: &Request,
    stream: bool,
) -> Result<Encoded, Error> {
    encode::check(request)?;
    let dialect = vendor.dialect(target.provider);
    let cache_marks = vendor.cache_marks.unwrap_or(dialect == Dialect::OpenRouter);
    let messages = Messages::new(request, target.provider, dialect, cache_marks)?;
    let extra = encode::extra(request, target.provider, &RESERVED)?;
    let choices = extra.and_then(|extra| extra.get("n")?.as_f64());
    if choices.is_some_and(|choices| choices > 1.0) {
        return Err(encode::bad_request("the extra parameter n is over 1: there is one answer a call"));
    }
    let structured_output_honored = encode::honored(request, has(extra, "response_format"));
    let body = encode::bytes(&Body { vendor, dialect, target, request, stream, messages, extra })?;
    Ok(Encoded { body, structured_output_honored })
}

fn has(extra: Option<&Map<String, Value>>, name: &str) -> bool {
    extra.is_some_and(|extra| extra.contains_key(name))
}

struct Body<'a> {
    vendor: &'a OpenAi,
    dialect: Dialect,
    target: &'a Target<'a>,
    request: &'a Request,
    stream: bool,
    messages: Messages<'a>,
    extra: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Body<'_> {
    fn token_limit_field(&self) -> &'static str {
        match self.vendor.token_limit_field {
            Some(TokenLimitField::MaxCompletionTokens) => "max_completion_tokens",
            None if self.dialect == Dialect::OpenAi => "max_completion_tokens",
            Some(TokenLimitField::MaxTokens) | None => "max_tokens",
        }
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = self.request;
        let mut fields = Fields::new(serializer, self.extra)?;
        fields.field("model", self.target.model)?;
        fields.field("messages", &self.messages)?;
        fields.optional("temperature", request.temperature)?;
        let max_tokens = request.max_tokens.or(self.target.max_output_tokens);
        fields.optional(self.token_limit_field(), max_tokens)?;
        fields.optional("stop", (!request.stop.is_empty()).then_some(&request.stop))?;
        let seed = if self.dialect == Dialect::Mistral { "random_seed" } else { "seed" };
        fields.optional(seed, request.seed)?;
        fields.optional("response_format", request.response_format.as_ref().and_then(tools::format))?;
        if !request.tools.is_empty() {
            fields.field("tools", &request.tools.iter().map(Offered::from).collect::<Vec<_>>())?;
            fields.optional("tool_choice", request.tool_choice.as_ref().and_then(tools::choice))?;
            // Without tools it says nothing, and OpenAI refuses it.
            fields.optional("parallel_tool_calls", request.parallel_tool_calls)?;
        }
        if self.stream {
            fields.field("stream", &true)?;
            // Mistral counts unasked, and refuses to be asked.
            let include_usage = self.vendor.include_usage.unwrap_or(self.dialect != Dialect::Mistral);
            fields.optional("stream_options", include_usage.then_some(StreamOptions { include_usage }))?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests;
