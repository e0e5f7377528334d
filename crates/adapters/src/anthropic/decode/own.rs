//! Blocks that are the vendor's own: thoughts, which it has signed, and whatever it does with tools of its own. They are
//! kept as they are, since it wants them back.

use llm_protocol::Opaque;

use crate::failure::Failure;
use crate::opaque::{self, Growing, Left, Members};

/// A block while it streams in: what it began with, and what has come to it.
#[derive(Default)]
pub(super) struct Own {
    block: Growing,
    /// Pieces of the JSON of its `input`.
    input: String,
}

impl Own {
    /// The block that begins with this JSON.
    pub(super) fn begin(json: &str, left: &mut Left) -> Result<Self, Failure> {
        let mut own = Self::default();
        own.block.grow(members(json)?, |_| false, left)?;
        Ok(own)
    }

    pub(super) fn input(&mut self, piece: &str) {
        self.input.push_str(piece);
    }

    /// Takes in a delta of this JSON. Every text in it is the next piece of the text under the same name; its type says
    /// only what it is.
    pub(super) fn delta(&mut self, json: &str, left: &mut Left) -> Result<(), Failure> {
        let Members(mut members) = members(json)?;
        members.retain(|(name, _)| name != "type");
        self.block.grow(Members(members), |_| true, left)
    }

    /// The block, complete.
    pub(super) fn end(mut self, provider: &str, left: &mut Left) -> Result<Option<Opaque>, Failure> {
        // What breaks off is no JSON, and the block is as it began.
        if serde_json::from_str::<serde::de::IgnoredAny>(&self.input).is_ok() {
            self.block.set("input", &self.input, left)?;
        }
        let wanted = match self.block.text("type").unwrap_or_default() {
            "" => false,
            // A thought that nobody has signed is not taken back by anyone.
            "thinking" => self.block.text("signature").is_some_and(|signature| !signature.is_empty()),
            _ => true,
        };
        Ok(wanted.then(|| opaque::part(provider, &self.block)).flatten())
    }
}

fn members(json: &str) -> Result<Members<'_>, Failure> {
    Members::read(json).ok_or_else(opaque::too_large)
}
