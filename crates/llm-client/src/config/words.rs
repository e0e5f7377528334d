//! Settings that are one word of several: a value that is no word is answered with the words there are, and not with
//! how TOML could write an enumeration.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{Error, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer};

/// An enumeration of words.
pub(super) trait Words: for<'de> Deserialize<'de> {
    /// What is expected, in the words of an error.
    const EXPECTED: &'static str;
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Words>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Written(PhantomData))
}

/// Only called for a setting that is there: one that is not has its default.
pub(super) fn optional<'de, D: Deserializer<'de>, T: Words>(deserializer: D) -> Result<Option<T>, D::Error> {
    let word = Option::<Word<T>>::deserialize(deserializer)?;
    Ok(word.map(|Word(word)| word))
}

struct Word<T>(T);

impl<'de, T: Words> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

struct Written<T>(PhantomData<T>);

impl<T: Words> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let word: StrDeserializer<'_, E> = text.into_deserializer();
        T::deserialize(word)
    }
}
