//! Parts of an answer that only its vendor can read, as they are kept: whole, and within bounds.

use llm_protocol::Opaque;
use serde_json::Value;

use crate::failure::Failure;

/// How many JSON values an answer's opaque parts may have, counted generously by the signs that separate values. As
/// values they take many times the bytes of their text, so that bytes are no measure; texts, however long, cost what
/// they are.
const MAX_VALUES: usize = 1 << 20;

/// Makes the opaque parts of one answer.
pub(crate) struct Opaques {
    provider: String,
    left: usize,
}

impl Opaques {
    pub(crate) fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned(), left: MAX_VALUES }
    }

    /// The value of this JSON; none where it is no JSON.
    pub(crate) fn value(&mut self, json: &str) -> Result<Option<Value>, Failure> {
        let values = 1 + json.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
        let left = self.left.checked_sub(values);
        self.left = left.ok_or_else(|| {
            Failure::protocol(format!(
                "the answer has more than {MAX_VALUES} values that only its vendor can read"
            ))
        })?;
        Ok(serde_json::from_str(json).ok())
    }

    /// The part with this value.
    pub(crate) fn part(&self, value: Value) -> Opaque {
        Opaque::new(&*self.provider, value)
    }
}
