//! Pieces of JSON that all vendors share, read with patience: an answer is not thrown away for a detail.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A short text that is looked at and not kept: borrowed, where JSON allows it.
#[derive(Default, Deserialize)]
pub(crate) struct Word<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A number of tokens. What is no such number is unknown.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count(pub(crate) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer)?.as_u64()))
    }
}
