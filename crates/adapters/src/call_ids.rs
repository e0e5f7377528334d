//! Ids of the tool calls of one answer: results are told apart by them, so each call has one of its own, whatever its
//! host has sent.

use std::collections::HashSet;

#[cfg(feature = "openai")]
use llm_protocol::ToolCall;

#[derive(Default)]
pub(crate) struct CallIds(HashSet<String>);

impl CallIds {
    /// Whether a call can have this id: it is one, and no earlier call has it.
    pub(crate) fn claim(&mut self, id: &str) -> bool {
        !id.is_empty() && self.0.insert(id.to_owned())
    }

    /// An id for the call at this place, which came without one of its own.
    pub(crate) fn make(&mut self, place: usize) -> String {
        let mut id = format!("call_{}", place + 1);
        while !self.claim(&id) {
            id.push('_');
        }
        id
    }

    /// The id, or one in its stead.
    #[cfg(feature = "anthropic")]
    pub(crate) fn claim_or_make(&mut self, id: String, place: usize) -> String {
        if self.claim(&id) { id } else { self.make(place) }
    }

    /// Gives ids to the calls that have none. Those that have one come first, as in a stream: there it is only known at
    /// the end who has none.
    #[cfg(feature = "openai")]
    pub(crate) fn complete(mut self, calls: &mut [ToolCall]) {
        let without: Vec<_> =
            calls.iter_mut().enumerate().filter(|(_, call)| !self.claim(&call.id)).collect();
        for (place, call) in without {
            call.id = self.make(place);
        }
    }
}

#[cfg(all(test, feature = "anthropic"))]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_an_id_of_its_own() {
        let mut ids = CallIds::default();
        let given = ["a", "", "call_4", "a", ""].map(str::to_owned);
        let had: Vec<_> = (0..).zip(given).map(|(place, id)| ids.claim_or_make(id, place)).collect();
        assert_eq!(had, ["a", "call_2", "call_4", "call_4_", "call_5"]);
    }
}
