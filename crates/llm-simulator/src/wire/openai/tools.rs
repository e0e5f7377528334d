//! What OpenAI refuses of tools and of the choice among them.

use serde_json::Value;

use super::{
    check::{Checked, empty, given, missing, name, wrong_type, wrong_value},
    formats::strict,
};
use crate::refusal::Refusal;

/// Looks through the tools, and through the fields that need them.
pub(crate) fn check(body: &Value) -> Checked {
    let tools = match given(body, "tools") {
        None => return without(body),
        Some(Value::Array(tools)) if tools.is_empty() => return Err(empty("tools")),
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(wrong_type("tools", "an array of objects", other)),
    };
    for (index, tool) in tools.iter().enumerate() {
        check_tool(tool, &format!("tools[{index}]"))?;
    }
    match given(body, "tool_choice") {
        // Which words there are depends on the host.
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Object(choice)) => match choice.get("type").and_then(Value::as_str) {
            None => Err(missing("tool_choice.type")),
            Some("allowed_tools" | "custom") => Ok(()),
            Some("function") => named(choice.get("function"), tools),
            Some(other) => {
                Err(wrong_value("tool_choice.type", other, &["function", "allowed_tools", "custom"]))
            }
        },
        Some(other) => Err(wrong_type("tool_choice", "one of a string or an object", other)),
    }
}

/// A choice without anything to choose from.
fn without(body: &Value) -> Checked {
    for field in ["tool_choice", "parallel_tool_calls"] {
        if given(body, field).is_some() {
            let message =
                format!("Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified.");
            return Err(Refusal::new(message).param(field));
        }
    }
    Ok(())
}

fn named(function: Option<&Value>, tools: &[Value]) -> Checked {
    let function = function.ok_or_else(|| missing("tool_choice.function"))?;
    let wanted = name(function, "tool_choice.function")?;
    let is_wanted = |tool: &Value| tool.pointer("/function/name").and_then(Value::as_str) == Some(wanted);
    if tools.iter().any(is_wanted) {
        return Ok(());
    }
    let message =
        format!("Invalid value for 'tool_choice': Tool choice '{wanted}' not found in 'tools' parameter.");
    Err(Refusal::new(message).param("tool_choice"))
}

fn check_tool(tool: &Value, path: &str) -> Checked {
    if !tool.is_object() {
        return Err(wrong_type(path, "an object", tool));
    }
    match tool.get("type").and_then(Value::as_str) {
        Some("function") => {}
        // They take a text, and have no schema.
        Some("custom") => return Ok(()),
        Some(other) => return Err(wrong_value(&format!("{path}.type"), other, &["function", "custom"])),
        None => return Err(missing(&format!("{path}.type"))),
    }
    let path = format!("{path}.function");
    let function = tool.get("function").ok_or_else(|| missing(&path))?;
    let name = name(function, &path)?;
    let path = format!("{path}.parameters");
    let Some(parameters) = given(function, "parameters") else { return Ok(()) };
    if !parameters.is_object() {
        return Err(wrong_type(&path, "an object", parameters));
    }
    let invalid = |why: String| {
        let message = format!("Invalid schema for function '{name}': {why}");
        Refusal::new(message).param(path.as_str()).code("invalid_function_parameters")
    };
    // No type at all is no object only where the schema is strict.
    let kind = parameters.get("type").filter(|kind| *kind != "object");
    if let Some(kind) = kind {
        let why = format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: {kind}'.");
        return Err(invalid(why));
    }
    if function.get("strict") == Some(&Value::Bool(true)) {
        strict(parameters).map_err(invalid)?;
    }
    Ok(())
}
