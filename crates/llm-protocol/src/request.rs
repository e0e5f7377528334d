//! What is asked of a model, whoever answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::{Message, Role};
use crate::part::Part;
use crate::tool::{Tool, ToolChoice};

/// The form that the answer must have.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Any text.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name, which some vendors require.
        name: String,
        /// The JSON Schema.
        schema: Value,
        /// Whether the vendor shall hold the model to it to the letter. Some vendors always do; others take only
        /// schemas of a certain form then. True where JSON leaves it out.
        #[serde(default = "yes")]
        strict: bool,
    },
}

fn yes() -> bool {
    true
}

impl ResponseFormat {
    /// JSON that follows this schema to the letter. Some models write the members of an object in the schema's order; it
    /// is kept where the feature `preserve_order` of `serde_json` is on, and alphabetical otherwise.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Self {
        Self::JsonSchema { name: name.into(), schema, strict: true }
    }
}

/// Without the schema, which may tell as much as a prompt.
impl fmt::Debug for ResponseFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("Text"),
            Self::JsonObject => f.write_str("JsonObject"),
            Self::JsonSchema { name, .. } => {
                f.debug_struct("JsonSchema").field("name", name).finish_non_exhaustive()
            }
        }
    }
}

/// One call, in no vendor's words. What is unset is left to the vendor: there are no hidden defaults.
///
/// Strategies hand the same request to every candidate by reference; it is encoded once per candidate.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Request {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u32>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Seed for vendors that sample reproducibly.
    pub seed: Option<i64>,
    /// The form that the answer must have.
    pub response_format: Option<ResponseFormat>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which tool it must call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether one answer may hold several tool calls.
    pub parallel_tool_calls: Option<bool>,
    /// Whether [`Response::raw`](crate::Response::raw) shall hold what the provider sent.
    pub keep_raw: bool,
    /// Parameters in a vendor's own words, by provider name: sent as they are, to that provider only.
    pub extra: BTreeMap<String, Map<String, Value>>,
}

impl Request {
    /// A request with this conversation.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self { messages: messages.into(), ..Self::default() }
    }

    /// Sets the sampling temperature.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets the most tokens that the answer may have.
    pub fn max_tokens(mut self, max_tokens: u32) -> Self {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// Adds a text at which the answer ends.
    pub fn stop(mut self, stop: impl Into<String>) -> Self {
        self.stop.push(stop.into());
        self
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the form that the answer must have.
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// Adds a tool.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets whether and which tool the model must call.
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Sets whether one answer may hold several tool calls.
    pub fn parallel_tool_calls(mut self, several: bool) -> Self {
        self.parallel_tool_calls = Some(several);
        self
    }

    /// Has the answer keep what the provider sent, in [`Response::raw`](crate::Response::raw).
    pub fn keep_raw(mut self) -> Self {
        self.keep_raw = true;
        self
    }

    /// Adds a parameter in the words of one provider, which is sent to that provider only.
    pub fn extra(
        mut self,
        provider: impl Into<String>,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        self.extra.entry(provider.into()).or_default().insert(name.into(), value.into());
        self
    }

    /// Whether it asks nothing: no message says anything.
    pub fn is_empty(&self) -> bool {
        self.messages.iter().all(Message::is_blank)
    }

    /// Whether tools take part: offered now, or called earlier in the conversation.
    pub fn uses_tools(&self) -> bool {
        let called = |part: &Part| matches!(part, Part::ToolCall(_));
        let tool_turn = |message: &Message| message.role == Role::Tool || message.content.iter().any(called);
        !self.tools.is_empty() || self.messages.iter().any(tool_turn)
    }

    /// Whether there are images in the conversation.
    pub fn uses_images(&self) -> bool {
        let image = |part: &Part| matches!(part, Part::Image(_));
        self.messages.iter().flat_map(|message| &message.content).any(image)
    }
}

impl From<&str> for Request {
    fn from(text: &str) -> Self {
        Self::new([Message::user(text)])
    }
}

impl From<String> for Request {
    fn from(text: String) -> Self {
        Self::new([Message::user(text)])
    }
}

impl From<Vec<Message>> for Request {
    fn from(messages: Vec<Message>) -> Self {
        Self::new(messages)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("messages", &self.messages)
            .field("temperature", &self.temperature)
            .field("max_tokens", &self.max_tokens)
            .field("stop", &self.stop.len())
            .field("seed", &self.seed)
            .field("tools", &self.tools.len())
            .field("tool_choice", &self.tool_choice)
            .field("response_format", &self.response_format)
            .field("extra", &self.extra.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::{CacheTtl, Image};
    use crate::tool::ToolCall;

    #[test]
    fn nothing_is_set_that_nobody_set() {
        let request = Request::from("hello");
        assert_eq!(request, Request { messages: vec![Message::user("hello")], ..Request::default() });
    }

    #[test]
    fn blank_requests_are_empty() {
        assert!(Request::default().is_empty());
        assert!(Request::from(" \n").is_empty());
        assert!(!Request::from("x").is_empty());
        let call = Message::new(Role::Assistant, vec![Part::ToolCall(ToolCall::default())]);
        assert!(!Request::new([call]).is_empty());
    }

    #[test]
    fn tools_take_part_when_offered_or_used_before() {
        assert!(!Request::from("x").uses_tools());
        assert!(Request::from("x").tool(Tool::new("t", Value::Null)).uses_tools());
        assert!(Request::new([Message::tool("id", "t", "42")]).uses_tools());
        let call = Message::new(Role::Assistant, vec![Part::ToolCall(ToolCall::default())]);
        assert!(Request::new([call]).uses_tools());
    }

    #[test]
    fn debug_shows_no_prompt() {
        let call = ToolCall { arguments: "marmalade".into(), ..ToolCall::default() };
        let request = Request::new([
            Message::system("marmalade"),
            Message::new(Role::Assistant, vec![Part::ToolCall(call)]),
        ])
        .stop("marmalade")
        .extra("openai", "user", "marmalade");
        assert!(!format!("{request:?}").contains("marmalade"));
    }

    #[test]
    fn conversations_can_be_kept_as_json() {
        let request = Request::new([Message::user("hi"), Message::tool("id", "t", "42")])
            .tool(Tool::new("t", Value::Null).strict(true).cached(CacheTtl::OneHour))
            .parallel_tool_calls(false)
            .response_format(ResponseFormat::json_schema("n", Value::Null))
            .tool_choice(ToolChoice::Named("t".into()));
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request);
    }

    #[test]
    fn images_take_part_wherever_they_stand() {
        let picture = Message::user("what is this?").image(Image::url("https://example.com/cat.png"));
        assert!(Request::new([picture.clone(), Message::assistant("a cat")]).uses_images());
        assert!(!Request::from("what is this?").uses_images());
        assert!(!Request::new([picture]).uses_tools());
    }
}
