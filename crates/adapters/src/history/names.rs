//! Ids and names of tool calls that a vendor accepts. Those that it does stay as they are.

use std::borrow::Cow;
use std::collections::HashSet;

use llm_protocol::{Request, ToolCall};

use super::{Ids, Rules};

/// Gives every call an id of its own, and a name that can be sent.
///
/// Ids depend only on what came before, so that a conversation that goes on keeps them.
pub(super) struct Names<'a> {
    rules: Rules,
    /// Names of tools that are offered now: whether they can be sent is for the vendor to say.
    offered: HashSet<&'a str>,
    taken: HashSet<Cow<'a, str>>,
    made: u32,
}

impl<'a> Names<'a> {
    pub(super) fn new(request: &'a Request, rules: Rules) -> Self {
        let offered = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        Self { rules, offered, taken: HashSet::new(), made: 0 }
    }

    /// Another turn of the model's begins.
    pub(super) fn begin_turn(&mut self) {
        if !self.rules.ids.once {
            self.taken.clear();
        }
    }

    pub(super) fn id(&mut self, call: &'a ToolCall) -> Cow<'a, str> {
        if self.rules.ids.accept(&call.id) && self.taken.insert(Cow::Borrowed(&call.id)) {
            return Cow::Borrowed(&call.id);
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

    /// Models make names up that no vendor takes back.
    pub(super) fn name(&self, call: &'a ToolCall) -> Cow<'a, str> {
        let takes = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let name = call.name.as_str();
        let fits = !name.is_empty() && name.len() <= self.rules.longest_name && name.chars().all(takes);
        if fits || self.offered.contains(name) {
            return Cow::Borrowed(name);
        }
        let name: String =
            name.chars().take(self.rules.longest_name).map(|c| if takes(c) { c } else { '_' }).collect();
        if name.is_empty() { "unnamed".into() } else { name.into() }
    }
}

impl Ids {
    fn accept(&self, id: &str) -> bool {
        let length = id.chars().count();
        length >= self.shortest.max(1) && length <= self.longest && id.chars().all(self.takes)
    }
}
