//! What is said to a model, and by whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::redact::Redacted;
use crate::response::Response;
use crate::tool::ToolCall;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The application's instructions.
    System,
    /// The person, or the program, that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub content: Vec<Part>,
    /// For [`Role::Tool`]: which call this is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// For [`Role::Tool`]: the tool's name, which some vendors want beside the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A turn of these parts.
    pub fn new(role: Role, content: Vec<Part>) -> Self {
        Self { role, content, tool_call_id: None, name: None }
    }

    /// The application's instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, vec![Part::text(text)])
    }

    /// A turn of the one who asks.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, vec![Part::text(text)])
    }

    /// A turn of the model.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, vec![Part::text(text)])
    }

    /// The result of the tool call with this id.
    pub fn tool(tool_call_id: impl Into<String>, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            tool_call_id: Some(tool_call_id.into()),
            name: Some(name.into()),
            ..Self::new(Role::Tool, vec![Part::text(text)])
        }
    }

    /// The text parts of this turn, joined.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Part::as_text).collect()
    }

    /// Whether it says nothing: no part, or only blank text.
    pub fn is_blank(&self) -> bool {
        self.content.iter().all(|part| part.as_text().is_some_and(|text| text.trim().is_empty()))
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::user(text)
    }
}

/// The answer as a turn of the conversation, to go on from.
impl From<&Response> for Message {
    fn from(response: &Response) -> Self {
        let text = (!response.text.is_empty()).then(|| Part::text(&response.text));
        let calls = response.tool_calls.iter().cloned().map(Part::ToolCall);
        Self::new(Role::Assistant, text.into_iter().chain(calls).collect())
    }
}

/// A piece of a turn.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// A call that the model asked for, in its own turn.
    ToolCall(ToolCall),
}

impl Part {
    /// A part of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// The text, of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::ToolCall(_) => None,
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { text } => f.debug_tuple("Text").field(&Redacted(text)).finish(),
            Self::ToolCall(call) => f.debug_tuple("ToolCall").field(call).finish(),
        }
    }
}
