//! Tokens of a call, in one counting for all vendors.

use serde::{Deserialize, Serialize};

/// Tokens of a call. What the provider did not say is `None`, never 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Usage {
    /// Input that was neither read from nor written to a prompt cache.
    pub input_tokens: Option<u64>,
    /// Everything that the model produced, reasoning included.
    pub output_tokens: Option<u64>,
    /// Input read from a prompt cache.
    pub cache_read_tokens: Option<u64>,
    /// Input written to a prompt cache.
    pub cache_write_tokens: Option<u64>,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Input, both cache parts and output together; `None` when input or output is unknown.
    pub fn total(&self) -> Option<u64> {
        let cache = self.cache_read_tokens.unwrap_or(0).saturating_add(self.cache_write_tokens.unwrap_or(0));
        Some(self.input_tokens?.saturating_add(self.output_tokens?).saturating_add(cache))
    }

    /// Whether nothing at all is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over what a later report of the same call says; what it leaves out stays.
    pub fn merge(&mut self, later: &Self) {
        self.zip(later, |old, new| new.or(old));
    }

    /// Adds another call's tokens: the sum of what is known.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (known, None) | (None, known) => known,
        });
    }

    fn zip(&mut self, other: &Self, f: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) {
        self.input_tokens = f(self.input_tokens, other.input_tokens);
        self.output_tokens = f(self.output_tokens, other.output_tokens);
        self.cache_read_tokens = f(self.cache_read_tokens, other.cache_read_tokens);
        self.cache_write_tokens = f(self.cache_write_tokens, other.cache_write_tokens);
        self.reasoning_tokens = f(self.reasoning_tokens, other.reasoning_tokens);
    }
}

/// On the wire the total is written out; it is derived, so it is not read back.
#[derive(Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "they are the names in JSON")]
struct Wire {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    #[serde(default, skip_deserializing)]
    total_tokens: Option<u64>,
}

impl From<Usage> for Wire {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cache_read_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            total_tokens: usage.total(),
        }
    }
}

impl From<Wire> for Usage {
    fn from(wire: Wire) -> Self {
        Self {
            input_tokens: wire.input_tokens,
            output_tokens: wire.output_tokens,
            cache_read_tokens: wire.cache_read_tokens,
            cache_write_tokens: wire.cache_write_tokens,
            reasoning_tokens: wire.reasoning_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_known_when_input_and_output_are() {
        let mut usage = Usage { input_tokens: Some(10), ..Usage::default() };
        assert_eq!(usage.total(), None);
        usage.merge(&Usage { output_tokens: Some(5), reasoning_tokens: Some(3), ..Usage::default() });
        assert_eq!(usage.total(), Some(15));
        usage.merge(&Usage { cache_read_tokens: Some(100), cache_write_tokens: Some(7), ..Usage::default() });
        assert_eq!(usage.total(), Some(122));
        assert!(!usage.is_unknown());
    }

    #[test]
    fn later_reports_replace_and_other_calls_add() {
        let mut usage = Usage { input_tokens: Some(10), output_tokens: Some(1), ..Usage::default() };
        usage.merge(&Usage { output_tokens: Some(8), ..Usage::default() });
        assert_eq!((usage.input_tokens, usage.output_tokens), (Some(10), Some(8)));
        usage.add(&Usage { input_tokens: Some(u64::MAX), cache_read_tokens: Some(2), ..Usage::default() });
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens),
            (Some(u64::MAX), Some(8), Some(2))
        );
        assert_eq!(usage.reasoning_tokens, None);
    }

    #[test]
    fn json_has_the_total_and_goes_both_ways() {
        let usage = Usage { input_tokens: Some(18), output_tokens: Some(27), ..Usage::default() };
        let json = serde_json::to_value(usage).unwrap();
        assert_eq!(json["total_tokens"], 45);
        assert!(json["cache_read_tokens"].is_null());
        assert_eq!(serde_json::from_value::<Usage>(json).unwrap(), usage);
    }
}
