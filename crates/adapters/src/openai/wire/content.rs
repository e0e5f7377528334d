//! What the model says.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};

use crate::wire::{Patient, element, fill, skip};

/// Text: a string, nothing, or Mistral's list of parts, some of which are thoughts.
#[derive(Default)]
pub(in crate::openai) struct Content {
    pub(in crate::openai) said: String,
    pub(super) thought: String,
    /// It is something else, and not null or empty.
    pub(super) odd: bool,
}

impl<'de> Patient<'de> for Content {
    fn odd(&mut self) {
        self.odd = true;
    }

    fn text(&mut self, text: Cow<'de, str>) {
        self.said = text.into_owned();
    }

    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut part = Part::default();
        if !element(&mut part, list)? {
            return Ok(false);
        }
        self.said.push_str(&part.text.0);
        self.thought.push_str(&part.thinking.0);
        Ok(true)
    }
}

#[derive(Default)]
struct Part {
    text: Joined,
    thinking: Joined,
}

impl<'de> Patient<'de> for Part {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        match name {
            "text" => fill(&mut self.text, object)?,
            "thinking" => fill(&mut self.thinking, object)?,
            _ => skip(object)?,
        }
        Ok(())
    }
}

/// A text, or the texts of parts.
#[derive(Default)]
struct Joined(String);

impl<'de> Patient<'de> for Joined {
    fn text(&mut self, text: Cow<'de, str>) {
        self.0 = text.into_owned();
    }

    fn element<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut inner = Inner::default();
        if !element(&mut inner, list)? {
            return Ok(false);
        }
        self.0.push_str(&inner.0);
        Ok(true)
    }
}

#[derive(Default)]
struct Inner(String);

impl<'de> Patient<'de> for Inner {
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<(), A::Error> {
        if name == "text" {
            return fill(&mut self.0, object);
        }
        skip(object)
    }
}
