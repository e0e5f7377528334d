//! What a host wants back when the conversation goes on, beside what was said. It stands in fields of the message.

use std::mem;

use llm_protocol::Opaque;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::opaque::{self, Growing, Left, Members};
use crate::openai::Dialect;

/// What is to be sent back of one answer.
pub(super) struct Thoughts {
    provider: String,
    /// The host wants its reasoning back whatever it led to.
    wanted: bool,
    left: Left,
    /// OpenRouter's, some of them signed or encrypted: pieces of one text have one type and one index.
    details: Vec<Growing>,
    /// DeepSeek's and others', who want it back with the calls that it led to.
    content: String,
    /// What hosts have said of single calls, by their places: Google signs them so.
    calls: Vec<(u32, Box<RawValue>)>,
}

#[derive(Serialize)]
struct OfCall {
    id: String,
    extra_content: Box<RawValue>,
}

/// The fields, as they go back into the message. Those of calls go into the calls.
#[derive(Serialize)]
struct Fields<D, C> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<D>,
    #[serde(skip_serializing_if = "String::is_empty")]
    reasoning_content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<C>,
}

impl Thoughts {
    pub(super) fn new(provider: &str, dialect: Dialect) -> Self {
        Self {
            provider: provider.to_owned(),
            wanted: dialect == Dialect::DeepSeek,
            left: Left::default(),
            details: Vec::new(),
            content: String::new(),
            calls: Vec::new(),
        }
    }

    /// A piece of `reasoning_content`.
    pub(super) fn content(&mut self, piece: &str) {
        self.content.push_str(piece);
    }

    /// What is said of the call at this place beside what it is.
    pub(super) fn call(&mut self, index: u32, extra_content: Option<&RawValue>) -> Result<(), Failure> {
        if let Some(extra_content) = extra_content {
            self.left.take()?;
            self.calls.push((index, extra_content.to_owned()));
        }
        Ok(())
    }

    /// The next of `reasoning_details`, and whether there are any.
    pub(super) fn details(&mut self, json: &str) -> Result<bool, Failure> {
        let details = opaque::elements(json);
        let any = !details.is_empty();
        for detail in details {
            let Some(members) = Members::read(detail.get()) else { continue };
            if self.details.last().is_none_or(|last| !goes_on(last, &members)) {
                self.left.take()?;
                self.details.push(Growing::default());
            }
            if let Some(last) = self.details.last_mut() {
                last.grow(members, |name| matches!(name, "text" | "summary"), &mut self.left)?;
            }
        }
        Ok(any)
    }

    /// The part of the answer that is to be sent back, where there is one; `ids` are those of its calls.
    pub(super) fn end(&mut self, ids: &[String]) -> Option<Opaque> {
        let details = Some(mem::take(&mut self.details)).filter(|details| !details.is_empty());
        self.part(details, ids)
    }

    /// The same of an answer that came whole, with its `reasoning_details` as they are.
    pub(super) fn whole(&mut self, details: Option<&RawValue>, ids: &[String]) -> Option<Opaque> {
        self.part(details.filter(|details| opaque::has_elements(details.get())), ids)
    }

    fn part(&mut self, reasoning_details: Option<impl Serialize>, ids: &[String]) -> Option<Opaque> {
        let mut reasoning_content = mem::take(&mut self.content);
        if ids.is_empty() && !self.wanted {
            reasoning_content.clear();
        }
        let calls = mem::take(&mut self.calls).into_iter();
        let tool_calls: Vec<_> = calls
            .filter_map(|(index, extra_content)| {
                Some(OfCall { id: ids.get(index as usize)?.clone(), extra_content })
            })
            .collect();
        let says = reasoning_details.is_some() || !reasoning_content.is_empty() || !tool_calls.is_empty();
        let fields = Fields { reasoning_details, reasoning_content, tool_calls };
        says.then(|| opaque::part(&self.provider, &fields)).flatten()
    }
}

/// Whether this is more of the text that came last. One that is signed is at its end.
fn goes_on(last: &Growing, more: &Members<'_>) -> bool {
    let of_more = |name: &str| more.0.iter().find(|(known, _)| known == name).map(|(_, json)| json.get());
    let is_text = matches!(last.text("type"), Some("reasoning.text" | "reasoning.summary"));
    let same = |name: &str| last.json(name).as_deref() == of_more(name);
    is_text && last.text("signature").is_none_or(str::is_empty) && same("type") && same("index")
}
