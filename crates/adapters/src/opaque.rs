//! Parts of an answer that only its vendor can read, as they are kept: JSON texts, to the letter. What they are made of
//! is read one level deep, so that neither depth nor number of what is in them costs more than its bytes.

use std::borrow::Cow;
use std::fmt;

use llm_protocol::Opaque;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::failure::Failure;

/// How many members an object may have that is looked into, and how many all of an answer's may have together. Each
/// costs many times its bytes.
const MAX_MEMBERS: usize = 256;
const MAX_IN_ALL: usize = 1 << 16;

/// The members of a JSON object, in their order, each with its JSON.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Of this JSON, if it is an object, and not a larger one than anyone has use for.
    pub(crate) fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = object.next_key::<Name<'de>>()? {
                    if members.len() >= MAX_MEMBERS {
                        return Err(serde::de::Error::custom("too many members"));
                    }
                    members.push((name, object.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Borrowed, where JSON allows it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of a JSON list, each with its JSON; none of what is no list.
#[cfg(feature = "openai")]
pub(crate) fn elements(json: &str) -> Vec<&RawValue> {
    serde_json::from_str(json).unwrap_or_default()
}

/// Whether this JSON is a list with anything in it. Looks no further: a list may be as long as an answer.
#[cfg(feature = "openai")]
pub(crate) fn has_elements(json: &str) -> bool {
    json.strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
}

/// An object of a stream, which grows: texts by their next pieces, and by members that were not there.
#[derive(Default)]
pub(crate) struct Growing(Vec<(String, Grown)>);

enum Grown {
    Text(String),
    /// JSON of anything else.
    Other(String),
}

impl Growing {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(known, grown)| match grown {
            Grown::Text(text) if known == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// The JSON of a member.
    #[cfg(feature = "openai")]
    pub(crate) fn json(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, grown)| match grown {
            Grown::Text(text) => serde_json::to_string(text).unwrap_or_default().into(),
            Grown::Other(json) => Cow::Borrowed(json.as_str()),
        })
    }

    /// Sets what is no text.
    pub(crate) fn set(&mut self, name: &str, json: &str, left: &mut Left) -> Result<(), Failure> {
        self.put(name, Grown::Other(json.to_owned()), left)
    }

    fn put(&mut self, name: &str, grown: Grown, left: &mut Left) -> Result<(), Failure> {
        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| known == name) {
            *known = grown;
            return Ok(());
        }
        if self.0.len() >= MAX_MEMBERS {
            return Err(too_large());
        }
        left.take()?;
        self.0.push((name.to_owned(), grown));
        Ok(())
    }

    /// Takes over the members of this object. Those that are there are replaced, but for texts that grow; null replaces
    /// nothing.
    pub(crate) fn grow(
        &mut self,
        members: Members<'_>,
        grows: impl Fn(&str) -> bool,
        left: &mut Left,
    ) -> Result<(), Failure> {
        for (name, value) in members.0 {
            let known = self.0.iter_mut().find(|(known, _)| *known == name).map(|(_, grown)| grown);
            match (known, serde_json::from_str::<String>(value.get())) {
                (Some(Grown::Text(text)), Ok(piece)) if grows(&name) => text.push_str(&piece),
                (_, Ok(text)) => self.put(&name, Grown::Text(text), left)?,
                (Some(_), Err(_)) if value.get() == "null" => {}
                (_, Err(_)) => self.set(&name, value.get(), left)?,
            }
        }
        Ok(())
    }
}

impl Serialize for Growing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, grown) in &self.0 {
            match grown {
                Grown::Text(text) => object.serialize_entry(name, text)?,
                Grown::Other(json) => {
                    let json: &RawValue = serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
                    object.serialize_entry(name, json)?;
                }
            }
        }
        object.end()
    }
}

/// How many members there may still be.
pub(crate) struct Left(usize);

impl Default for Left {
    fn default() -> Self {
        Self(MAX_IN_ALL)
    }
}

impl Left {
    pub(crate) fn take(&mut self) -> Result<(), Failure> {
        self.0 = self.0.checked_sub(1).ok_or_else(too_large)?;
        Ok(())
    }
}

pub(crate) fn too_large() -> Failure {
    Failure::protocol("the answer has more members that only its vendor can read than anyone has use for")
}

/// The part of this provider's that says this.
pub(crate) fn part(provider: &str, value: &impl Serialize) -> Option<Opaque> {
    Some(Opaque::new(provider, serde_json::to_string(value).ok()?))
}
