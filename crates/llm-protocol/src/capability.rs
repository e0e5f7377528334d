//! What a candidate can do, asked before it is called.

use std::fmt;

use crate::adapter::{StreamingModelAdapter, ToolCallingModelAdapter};
use crate::request::{Request, ResponseFormat};

/// Something that a request may need and a candidate may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// Calling tools, or going on from a conversation in which tools were called.
    Tools,
    /// Answers that are JSON objects.
    JsonObject,
    /// Answers that follow a JSON Schema.
    JsonSchema,
    /// Looking at images.
    Images,
}

impl Capability {
    /// The name in messages and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::JsonObject => "json_object",
            Self::JsonSchema => "json_schema",
            Self::Images => "images",
        }
    }
}

/// What an adapter honours. Abilities that come with methods of their own are declared by handing out the object
/// that has them, so that a declaration cannot contradict the code.
#[derive(Clone, Copy, Default)]
pub struct Capabilities<'a> {
    streaming: Option<&'a dyn StreamingModelAdapter>,
    tools: Option<&'a dyn ToolCallingModelAdapter>,
    json_object: bool,
    json_schema: bool,
    images: bool,
    context_window: Option<u64>,
}

impl<'a> Capabilities<'a> {
    /// Plain, whole answers and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares streaming.
    pub fn with_streaming(mut self, adapter: &'a dyn StreamingModelAdapter) -> Self {
        self.streaming = Some(adapter);
        self
    }

    /// Declares tools.
    pub fn with_tools(mut self, adapter: &'a dyn ToolCallingModelAdapter) -> Self {
        self.tools = Some(adapter);
        self
    }

    /// Declares answers that are JSON objects.
    pub fn with_json_object(mut self) -> Self {
        self.json_object = true;
        self
    }

    /// Declares answers that follow a JSON Schema.
    pub fn with_json_schema(mut self) -> Self {
        self.json_schema = true;
        self
    }

    /// Declares that it looks at images.
    pub fn with_images(mut self) -> Self {
        self.images = true;
        self
    }

    /// Declares the context window, in tokens.
    pub fn with_context_window(mut self, tokens: Option<u64>) -> Self {
        self.context_window = tokens;
        self
    }

    /// The way to stream answers, where there is one.
    pub fn streaming(&self) -> Option<&'a dyn StreamingModelAdapter> {
        self.streaming
    }

    /// The way to call tools, where there is one.
    pub fn tools(&self) -> Option<&'a dyn ToolCallingModelAdapter> {
        self.tools
    }

    /// Whether answers can be made JSON objects.
    pub fn json_object(&self) -> bool {
        self.json_object
    }

    /// Whether answers can be made to follow a JSON Schema.
    pub fn json_schema(&self) -> bool {
        self.json_schema
    }

    /// Whether it looks at images.
    pub fn images(&self) -> bool {
        self.images
    }

    /// The context window, in tokens, where it is known.
    pub fn context_window(&self) -> Option<u64> {
        self.context_window
    }

    /// What the request needs and this candidate lacks.
    pub fn missing(&self, request: &Request) -> Option<Capability> {
        let format = match request.response_format {
            Some(ResponseFormat::JsonObject) if !self.json_object => Some(Capability::JsonObject),
            Some(ResponseFormat::JsonSchema { .. }) if !self.json_schema => Some(Capability::JsonSchema),
            _ => None,
        };
        let tools = (self.tools.is_none() && request.uses_tools()).then_some(Capability::Tools);
        let images = (!self.images && request.uses_images()).then_some(Capability::Images);
        tools.or(format).or(images)
    }
}

impl fmt::Debug for Capabilities<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capabilities")
            .field("streaming", &self.streaming.is_some())
            .field("tools", &self.tools.is_some())
            .field("json_object", &self.json_object)
            .field("json_schema", &self.json_schema)
            .field("images", &self.images)
            .field("context_window", &self.context_window)
            .finish()
    }
}
