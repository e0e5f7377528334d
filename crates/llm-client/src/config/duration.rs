//! Durations as people write them: `"15s"`, `"500ms"`, `"1m 30s"`.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

use super::shown;

#[allow(clippy::ref_option, reason = "serde passes the field by reference")]
pub(super) fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(duration) => serializer.collect_str(&humantime::format_duration(*duration)),
        None => serializer.serialize_none(),
    }
}

/// Only called for a setting that is there: one that is not has its default.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(Written)
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Option<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"15s\" or \"500ms\"")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Duration>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Duration>, E> {
        humantime::parse_duration(text).map(Some).map_err(|error| {
            // What is no duration at all may be a key, and the explanation may quote it.
            let (shown, why) = (shown(text), error.to_string());
            let why = if shown == text { format!(": {why}") } else { String::new() };
            E::custom(format_args!("{shown:?} is no duration such as \"15s\"{why}"))
        })
    }
}
