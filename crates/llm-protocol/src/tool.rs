//! Tools: what a model may call, and what it called.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::part::CacheTtl;
use crate::redact::Redacted;

/// A function that the model may call.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tool {
    /// Its name, unique within a request.
    pub name: String,
    /// What it does, for the model to read.
    pub description: Option<String>,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// Whether the vendor shall hold the model to the schema to the letter. Unset leaves it to the vendor, some of whom
    /// take only schemas of a certain form then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// All tools up to here are worth keeping in the vendor's prompt cache, as with
    /// [`Part::CacheMark`](crate::Part::CacheMark).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheTtl>,
}

impl Tool {
    /// A tool of this name whose arguments follow this JSON Schema.
    pub fn new(name: impl Into<String>, parameters: Value) -> Self {
        Self { name: name.into(), description: None, parameters, strict: None, cache: None }
    }

    /// Says what the tool does.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets whether the model is held to the schema to the letter.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }

    /// Marks all tools up to this one for the vendor's prompt cache.
    pub fn cached(mut self, ttl: CacheTtl) -> Self {
        self.cache = Some(ttl);
        self
    }
}

/// The name alone: what a tool is for may tell as much as a prompt.
impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether and which tool the model must call. Unset leaves it to the vendor's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool may be called.
    None,
    /// Some tool must be called.
    Required,
    /// This tool must be called.
    Named(String),
}

/// A call that the model asks for.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// The arguments: the JSON text that the model produced, unparsed.
    pub arguments: String,
}

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("arguments", &Redacted(&self.arguments))
            .finish()
    }
}

/// A piece of a call, as it streams in. Pieces of one call share their `index`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// Which call of this answer, from 0.
    pub index: u32,
    /// The call's id, on one of its pieces: the first, but where its host sends it late, or none.
    pub id: Option<String>,
    /// The tool's name, on its first piece.
    pub name: Option<String>,
    /// The next fragment of the arguments' JSON text.
    pub arguments: String,
}

impl fmt::Debug for ToolCallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCallDelta")
            .field("index", &self.index)
            .field("id", &self.id)
            .field("name", &self.name)
            .field("arguments", &Redacted(&self.arguments))
            .finish()
    }
}
