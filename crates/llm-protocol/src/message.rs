//! What is said to a model, and by whom.

use serde::{Deserialize, Serialize};

use crate::part::{CacheTtl, Image, Part};
use crate::response::{Piece, Response};

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

    /// Adds a part at the end.
    pub fn part(mut self, part: Part) -> Self {
        self.content.push(part);
        self
    }

    /// Adds an image at the end.
    pub fn image(self, image: Image) -> Self {
        self.part(Part::Image(image))
    }

    /// Marks the end of this turn as the end of what the vendor shall keep in its prompt cache.
    pub fn cached(self, ttl: CacheTtl) -> Self {
        self.part(Part::CacheMark { ttl })
    }

    /// The text parts of this turn, joined.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Part::as_text).collect()
    }

    /// Whether it says nothing: no part, or only blank text.
    pub fn is_blank(&self) -> bool {
        self.content.iter().all(Part::is_blank)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::user(text)
    }
}

/// The answer as a turn of the conversation, to go on from. Its opaque parts stand where they stood in the answer.
/// Reasoning that is not part of them is left out, since vendors take none that they have not signed, and so are the
/// words of a refusal.
impl From<Response> for Message {
    fn from(response: Response) -> Self {
        let part = |piece| match piece {
            Piece::Text(text) => Part::Text { text },
            Piece::Call(call) => Part::ToolCall(call),
            Piece::Opaque(part) => Part::Opaque(part),
        };
        Self::new(Role::Assistant, response.into_pieces().into_iter().map(part).collect())
    }
}

/// As by value.
impl From<&Response> for Message {
    fn from(response: &Response) -> Self {
        let Response { text, tool_calls, opaque, .. } = response;
        let (text, tool_calls, opaque) = (text.clone(), tool_calls.clone(), opaque.clone());
        Response { text, tool_calls, opaque, ..Response::default() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::{Opaque, Placed};
    use crate::tool::ToolCall;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into() }
    }

    #[test]
    fn an_answer_becomes_a_turn_with_everything_in_its_place() {
        let thought = |name: &str| Opaque::new("acme", name);
        let placed =
            |name: &str, after_text, after_calls| Placed::new(after_text, after_calls, thought(name));
        let mut answer = Response::new("Let me look. Done.");
        answer.tool_calls = vec![call("1"), call("2")];
        answer.opaque =
            vec![placed("a", 0, 0), placed("b", 12, 0), placed("c", 12, 1), placed("d", usize::MAX, 9)];
        let turn = Message::from(&answer);
        assert_eq!(turn.role, Role::Assistant);
        assert_eq!(
            turn.content,
            [
                Part::Opaque(thought("a")),
                Part::text("Let me look."),
                Part::Opaque(thought("b")),
                Part::ToolCall(call("1")),
                Part::Opaque(thought("c")),
                Part::text(" Done."),
                Part::ToolCall(call("2")),
                Part::Opaque(thought("d")),
            ]
        );
        assert_eq!(turn.text(), answer.text);
        assert_eq!(Message::from(answer), turn);
    }

    #[test]
    fn marks_alone_say_nothing() {
        assert!(Message::user(" ").cached(CacheTtl::default()).is_blank());
        assert!(!Message::user("").image(Image::url("https://example.com/cat.png")).is_blank());
    }
}
