//! Blocks that are the vendor's own: thoughts, which it has signed, and whatever it does with tools of its own. They are
//! kept as they are, since it wants them back.

use llm_protocol::Opaque;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::opaque::Opaques;

/// A block while it streams in: what it began with, and what has come to it.
pub(super) struct Own {
    block: Map<String, Value>,
    /// Pieces of the JSON of its `input`.
    input: String,
}

impl Own {
    /// The block that begins with this JSON, which is an object.
    pub(super) fn begin(json: &str, opaques: &mut Opaques) -> Result<Self, Failure> {
        let block = match opaques.value(json)? {
            Some(Value::Object(block)) => block,
            _ => Map::new(),
        };
        Ok(Self { block, input: String::new() })
    }

    pub(super) fn input(&mut self, piece: &str) {
        self.input.push_str(piece);
    }

    /// Takes in a delta of this JSON. Every text in it is the next piece of the text under the same name; its type says
    /// only what it is.
    pub(super) fn delta(&mut self, json: &str, opaques: &mut Opaques) -> Result<(), Failure> {
        let Some(Value::Object(delta)) = opaques.value(json)? else { return Ok(()) };
        for (name, piece) in delta.into_iter().filter(|(name, _)| name != "type") {
            match (self.block.get_mut(&name), piece) {
                (Some(Value::String(text)), Value::String(piece)) => text.push_str(&piece),
                (None | Some(Value::Null), piece) => {
                    self.block.insert(name, piece);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The block, complete.
    pub(super) fn end(mut self, opaques: &mut Opaques) -> Result<Option<Opaque>, Failure> {
        if !self.input.is_empty()
            && let Some(input) = opaques.value(&self.input)?
        {
            self.block.insert("input".to_owned(), input);
        }
        Ok(is_wanted_back(&self.block).then(|| opaques.part(Value::Object(self.block))))
    }
}

/// A thought that nobody has signed is not taken back by anyone.
fn is_wanted_back(block: &Map<String, Value>) -> bool {
    let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("type") {
        "" => false,
        "thinking" => !text("signature").is_empty(),
        _ => true,
    }
}

/// The block with this JSON, of an answer that came whole.
pub(super) fn whole(json: &str, opaques: &mut Opaques) -> Result<Option<Opaque>, Failure> {
    Own::begin(json, opaques)?.end(opaques)
}
