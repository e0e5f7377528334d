//! Shares as people write them: `50` is one half, and so is `"50%"`.

use std::fmt;

use circuit_breaker::Percent;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
pub(super) fn serialize<S: Serializer>(value: &Option<Percent>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(share) => serializer.serialize_u8(share.get()),
        None => serializer.serialize_none(),
    }
}

/// Only called for a setting that is there: one that is not has its default.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Percent>, D::Error> {
    deserializer.deserialize_any(Written)
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Option<Percent>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whole per cent from 1 to 100, as 5 or \"5%\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Percent>, E> {
        let share = u8::try_from(number).ok().and_then(Percent::new);
        share.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Percent>, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Percent>, E> {
        let share = text.strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
        let share = share.and_then(Percent::new);
        share.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Percent>, E> {
        Ok(None)
    }
}
