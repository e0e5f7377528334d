//! The tool calls of a stream, told apart by index and id.

use std::collections::BTreeMap;
use std::mem;

use llm_protocol::ToolCallDelta;

use crate::call_ids::CallIds;
use crate::failure::Failure;
use crate::openai::wire::Call;
use crate::wire::MAX_CALLS;

#[derive(Default)]
pub(super) struct Calls {
    /// The latest call under each index of the wire.
    latest: BTreeMap<u64, Known>,
    /// How many have a name, and so are calls.
    begun: u32,
    ids: CallIds,
    /// The id of each call, empty as long as it has none.
    given: Vec<String>,
}

#[derive(Default)]
struct Known {
    id: String,
    name: String,
    /// Its place among the calls, once it has a name.
    index: Option<u32>,
    /// What came before its name.
    early: String,
}

impl Calls {
    /// The ids of the calls, in their order.
    pub(super) fn ids(&self) -> &[String] {
        &self.given
    }

    /// Ids for the calls whose host sent none, or the same for several.
    pub(super) fn end(&mut self) -> Vec<ToolCallDelta> {
        let mut named = Vec::new();
        for (index, given) in (0..).zip(&mut self.given).filter(|(_, given)| given.is_empty()) {
            *given = self.ids.make(index as usize);
            let id = Some(given.clone());
            named.push(ToolCallDelta { index, id, ..ToolCallDelta::default() });
        }
        named
    }

    /// A piece of a call; none as long as the call has no name. Ids and names are passed on once, since some hosts
    /// repeat them with every piece; a new id begins a new call, or a new name where there are no ids, since some hosts
    /// send every call with the same index.
    pub(super) fn delta(&mut self, call: Call<'_>) -> Result<Option<ToolCallDelta>, Failure> {
        let full = self.latest.len() >= MAX_CALLS;
        let wire_index = call.index.0.unwrap_or(0);
        if full && !self.latest.contains_key(&wire_index) {
            return Err(too_many());
        }
        let known = self.latest.entry(wire_index).or_default();
        let arguments = call.function.arguments();
        let differs = |known: &str, new: &str| !known.is_empty() && !new.is_empty() && known != new;
        let nameless = known.id.is_empty() && call.id.is_empty();
        if differs(&known.id, &call.id) || nameless && differs(&known.name, &call.function.name) {
            *known = Known::default();
        }
        let is_new_id = known.id.is_empty() && !call.id.is_empty();
        if is_new_id {
            known.id.clone_from(&call.id);
        }
        if let Some(index) = known.index {
            let id = Some(call.id).filter(|id| is_new_id && self.ids.claim(id));
            if let (Some(id), Some(given)) = (&id, self.given.get_mut(index as usize)) {
                given.clone_from(id);
            }
            return Ok(Some(ToolCallDelta { index, id, name: None, arguments }));
        }
        known.early.push_str(&arguments);
        if call.function.name.is_empty() {
            return Ok(None);
        }
        if self.begun as usize >= MAX_CALLS {
            return Err(too_many());
        }
        let index = self.begun;
        self.begun += 1;
        known.index = Some(index);
        known.name.clone_from(&call.function.name);
        let id = Some(known.id.clone()).filter(|id| self.ids.claim(id));
        self.given.push(id.clone().unwrap_or_default());
        Ok(Some(ToolCallDelta {
            index,
            id,
            name: Some(call.function.name),
            arguments: mem::take(&mut known.early),
        }))
    }
}

fn too_many() -> Failure {
    Failure::protocol(format!("the answer has more than {MAX_CALLS} tool calls"))
}
