//! Tools, and the form of the answer, in OpenAI's words.

use llm_protocol::{ResponseFormat, Tool, ToolChoice};
use serde::Serialize;
use serde_json::{Value, json};

use crate::encode::Parameters;

#[derive(Serialize)]
pub(super) struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Parameters<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Offered<'a> {
    Function { function: Function<'a> },
}

impl<'a> From<&'a Tool> for Offered<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self::Function {
            function: Function {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters: Parameters(&tool.parameters),
                strict: tool.strict,
            },
        }
    }
}

pub(super) fn choice(choice: &ToolChoice) -> Option<Value> {
    Some(match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
        _ => return None,
    })
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Format<'a> {
    JsonObject,
    JsonSchema {
        #[serde(rename = "json_schema")]
        named: Named<'a>,
    },
}

#[derive(Serialize)]
pub(super) struct Named<'a> {
    name: &'a str,
    schema: &'a Value,
    strict: bool,
}

/// `None` for text, which is what everyone answers with anyway.
pub(super) fn format(format: &ResponseFormat) -> Option<Format<'_>> {
    match format {
        ResponseFormat::JsonObject => Some(Format::JsonObject),
        ResponseFormat::JsonSchema { name, schema, strict } => {
            Some(Format::JsonSchema { named: Named { name, schema, strict: *strict } })
        }
        _ => None,
    }
}
