//! What a call will cost its limiter, as far as that can be told before it goes out.

use std::fmt::{self, Write};

use circuit_breaker::Cost;
use llm_protocol::{Part, Request, ResponseFormat};

/// Bytes of English text or of JSON for each token, about. Other scripts have more bytes to a character, and more
/// tokens too.
const BYTES_PER_TOKEN: u64 = 4;

/// About an image of a megapixel: vendors count from some hundreds of tokens to 1400. What it shows changes nothing, and
/// its real size would have to be decoded.
const TOKENS_PER_IMAGE: u64 = 1000;

/// A rough estimate of what a request will cost a limiter: what a client asks its limiter with, unless
/// [told otherwise](crate::ClientBuilder::estimate_cost).
///
/// One request. As input, a quarter of the UTF-8 bytes of all that is text, rounded up (messages, tool calls and their
/// results, tools with their descriptions and schemas, the schema of the answer), and 1000 tokens for each image. As
/// output, the request's own `max_tokens`, and unknown without them, so that nothing is reserved: a candidate may set its
/// own, which no request knows. Vendors' own parts (signed thoughts), `extra` parameters, ids, and whatever vendors put
/// around all this are left out.
///
/// Lengths are added up and nothing is tokenised, so that it costs little, and is rough: what vendors count depends on
/// the language and on their tokeniser. The usage that a provider tells with a whole answer sets it right.
///
/// ```
/// use llm_reliability::estimate_cost;
/// use llm_reliability::llm_protocol::Request;
///
/// let cost = estimate_cost(&Request::from("Why is the sky blue?").max_tokens(300));
/// assert_eq!((cost.requests, cost.input_tokens, cost.output_tokens), (1, Some(5), Some(300)));
/// ```
pub fn estimate_cost(request: &Request) -> Cost {
    let mut tally = Tally::default();
    for part in request.messages.iter().flat_map(|message| &message.content) {
        match part {
            Part::Text { text } => tally.text(text),
            Part::ToolCall(call) => {
                tally.text(&call.name);
                tally.text(&call.arguments);
            }
            Part::Image(_) => tally.images += 1,
            _ => {}
        }
    }
    for tool in &request.tools {
        tally.text(&tool.name);
        tally.text(tool.description.as_deref().unwrap_or_default());
        tally.written(&tool.parameters);
    }
    if let Some(ResponseFormat::JsonSchema { name, schema, .. }) = &request.response_format {
        tally.text(name);
        tally.written(schema);
    }
    let cost = Cost::REQUEST.with_input_tokens(tally.tokens());
    request.max_tokens.map_or(cost, |most| cost.with_output_tokens(most.into()))
}

#[derive(Default)]
struct Tally {
    bytes: u64,
    images: u64,
}

impl Tally {
    fn text(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
    }

    /// Without writing it anywhere.
    fn written(&mut self, json: &impl fmt::Display) {
        // Counting never fails.
        let _ = write!(self, "{json}");
    }

    const fn tokens(&self) -> u64 {
        self.bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(self.images.saturating_mul(TOKENS_PER_IMAGE))
    }
}

impl Write for Tally {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}
