//! Tools, and the form of the answer, in Anthropic's words.

use llm_protocol::{CacheTtl, Request, ResponseFormat, Tool, ToolChoice};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::encode::{CacheControl, Parameters};

#[derive(Serialize)]
pub(super) struct Offered<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Parameters<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

impl<'a> Offered<'a> {
    pub(super) fn new(tool: &'a Tool, mark: Option<CacheTtl>) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: Parameters(&tool.parameters),
            strict: tool.strict,
            cache_control: mark.map(Into::into),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

/// Whether and which tool must be called, and whether several may be: the vendor has one place for both.
pub(super) fn choice(request: &Request) -> Option<Choice<'_>> {
    let disable_parallel_tool_use = (request.parallel_tool_calls == Some(false)).then_some(true);
    let (kind, name) = match &request.tool_choice {
        None if disable_parallel_tool_use.is_none() => return None,
        None | Some(ToolChoice::Auto) => ("auto", None),
        // It takes no further words.
        Some(ToolChoice::None) => {
            return Some(Choice { kind: "none", name: None, disable_parallel_tool_use: None });
        }
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_str())),
        Some(_) => return None,
    };
    Some(Choice { kind, name, disable_parallel_tool_use })
}

#[derive(Serialize)]
pub(super) struct OutputConfig<'a> {
    format: Format<'a>,
    #[serde(flatten)]
    further: Option<&'a Map<String, Value>>,
}

/// What the user's own parameters say of the output beside its format.
pub(super) fn further(extra: Option<&Map<String, Value>>) -> Option<&Map<String, Value>> {
    extra?.get("output_config")?.as_object().filter(|further| !further.contains_key("format"))
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Format<'a> {
    JsonSchema { schema: &'a Value },
}

/// The vendor always holds its models to a schema, and has no place for its name.
pub(super) fn output_config<'a>(
    format: &'a ResponseFormat,
    extra: Option<&'a Map<String, Value>>,
) -> Option<OutputConfig<'a>> {
    match format {
        ResponseFormat::JsonSchema { schema, .. } => {
            Some(OutputConfig { format: Format::JsonSchema { schema }, further: further(extra) })
        }
        _ => None,
    }
}
