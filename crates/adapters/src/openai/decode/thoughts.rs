//! Reasoning that a host wants back when the conversation goes on. It stands in fields of the message.

use std::mem;

use llm_protocol::Opaque;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::opaque::Opaques;

/// The thoughts of one answer.
pub(super) struct Thoughts {
    opaques: Opaques,
    /// OpenRouter's, some of them signed or encrypted: pieces of one text have one type and one index.
    details: Vec<Value>,
    /// DeepSeek's and others', who want it back with the calls that it led to, and only then.
    content: String,
}

impl Thoughts {
    pub(super) fn new(provider: &str) -> Self {
        Self { opaques: Opaques::new(provider), details: Vec::new(), content: String::new() }
    }

    /// A piece of `reasoning_content`.
    pub(super) fn content(&mut self, piece: &str) {
        self.content.push_str(piece);
    }

    /// `reasoning_details`, or the next of them.
    pub(super) fn details(&mut self, json: &str) -> Result<(), Failure> {
        if let Some(Value::Array(details)) = self.opaques.value(json)? {
            for detail in details {
                self.detail(detail);
            }
        }
        Ok(())
    }

    fn detail(&mut self, detail: Value) {
        match (self.details.last_mut(), detail) {
            (Some(Value::Object(last)), Value::Object(more)) if goes_on(last, &more) => append(last, more),
            (_, detail) => self.details.push(detail),
        }
    }

    /// The part of the answer that is to be sent back, where there is one.
    pub(super) fn end(&mut self, has_calls: bool) -> Option<Opaque> {
        let mut fields = Map::new();
        let details = mem::take(&mut self.details);
        if !details.is_empty() {
            fields.insert("reasoning_details".to_owned(), details.into());
        }
        let content = mem::take(&mut self.content);
        if has_calls && !content.is_empty() {
            fields.insert("reasoning_content".to_owned(), content.into());
        }
        (!fields.is_empty()).then(|| self.opaques.part(Value::Object(fields)))
    }
}

/// Whether this is more of the text that came last.
fn goes_on(last: &Map<String, Value>, more: &Map<String, Value>) -> bool {
    let is_text = |kind: &str| matches!(kind, "reasoning.text" | "reasoning.summary");
    last.get("type").and_then(Value::as_str).is_some_and(is_text)
        && last.get("type") == more.get("type")
        && last.get("index") == more.get("index")
}

fn append(last: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (last.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(Value::String(text)), Value::String(piece)) if matches!(&*name, "text" | "summary") => {
                text.push_str(&piece);
            }
            (_, value) => {
                last.insert(name, value);
            }
        }
    }
}
