//! The tool calls of a stream, told apart by index and id.

use std::collections::{BTreeMap, BTreeSet};
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
    /// The calls that have been given an id.
    with_id: BTreeSet<u32>,
}

#[derive(Default)]
struct Known {
    id: String,
    /// Its place among the calls, once it has a name.
    index: Option<u32>,
    /// What came before its name.
    early: String,
}

impl Calls {
    pub(super) fn any(&self) -> bool {
        self.begun > 0
    }

    /// Ids for the calls whose host sent none, or the same for several.
    pub(super) fn end(&mut self) -> Vec<ToolCallDelta> {
        let without = (0..self.begun).filter(|index| !self.with_id.contains(index));
        let named = without.map(|index| {
            let id = Some(self.ids.make(index as usize));
            ToolCallDelta { index, id, ..ToolCallDelta::default() }
        });
        named.collect()
    }

    /// A piece of a call; none as long as the call has no name. Ids and names are passed on once, since some hosts
    /// repeat them with every piece; a new id begins a new call, since some hosts send every call with the same index.
    pub(super) fn delta(&mut self, call: Call<'_>) -> Result<Option<ToolCallDelta>, Failure> {
        let full = self.latest.len() >= MAX_CALLS;
        let wire_index = call.index.0.unwrap_or(0);
        if full && !self.latest.contains_key(&wire_index) {
            return Err(too_many());
        }
        let known = self.latest.entry(wire_index).or_default();
        let arguments = call.function.arguments();
        if !call.id.is_empty() && !known.id.is_empty() && known.id != call.id {
            *known = Known::default();
        }
        let is_new_id = known.id.is_empty() && !call.id.is_empty();
        if is_new_id {
            known.id.clone_from(&call.id);
        }
        if let Some(index) = known.index {
            let id = Some(call.id).filter(|id| is_new_id && self.ids.claim(id));
            if id.is_some() {
                self.with_id.insert(index);
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
        let id = Some(known.id.clone()).filter(|id| self.ids.claim(id));
        if id.is_some() {
            self.with_id.insert(index);
        }
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
