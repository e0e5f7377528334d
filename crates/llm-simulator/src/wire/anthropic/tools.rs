//! What Anthropic refuses of tools and of the choice among them.

use std::collections::HashSet;

use serde_json::Value;

use super::check::{Checked, given, matches, required, string};
use crate::refusal::Refusal;

/// Looks through the tools, and through the fields that need them.
pub(crate) fn check(body: &Value) -> Checked {
    let tools = match given(body, "tools") {
        None => &[][..],
        Some(Value::Array(tools)) => tools.as_slice(),
        Some(_) => return Err(Refusal::new("tools: Input should be a valid list")),
    };
    let mut names = HashSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let name = check_tool(tool, &format!("tools.{index}"))?;
        if !names.insert(name) {
            return Err(Refusal::new("tools: Tool names must be unique."));
        }
    }
    if names.is_empty() && uses_tools(body) {
        let message = "Requests which include `tool_use` or `tool_result` blocks must define tools";
        return Err(Refusal::new(message));
    }
    let Some(choice) = given(body, "tool_choice") else { return Ok(()) };
    if names.is_empty() {
        return Err(Refusal::new("tool_choice may only be specified while providing tools."));
    }
    match string(choice, "tool_choice.", "type")? {
        "auto" | "any" | "none" => Ok(()),
        "tool" => {
            let name = string(choice, "tool_choice.tool.", "name")?;
            let unknown = || Refusal::new(format!("Tool '{name}' not found in provided tools"));
            if names.contains(name) { Ok(()) } else { Err(unknown()) }
        }
        other => {
            let message = format!(
                "tool_choice: Input tag '{other}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            );
            Err(Refusal::new(message))
        }
    }
}

/// The name of a tool that is as it should be.
fn check_tool<'a>(tool: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    if !tool.is_object() {
        return Err(Refusal::new(format!("{path}: Input should be a valid dictionary or object")));
    }
    if given(tool, "type").is_some_and(|kind| kind != "custom") {
        // Tools that the vendor runs itself have no schema.
        return string(tool, &format!("{path}."), "name");
    }
    let path = format!("{path}.custom");
    let name = string(tool, &format!("{path}."), "name")?;
    matches(name, Some(128), &format!("{path}.name"))?;
    let path = format!("{path}.input_schema");
    let schema = given(tool, "input_schema").ok_or_else(|| required(&path))?;
    if !schema.is_object() {
        return Err(Refusal::new(format!("{path}: Input should be a valid dictionary")));
    }
    if string(schema, &format!("{path}."), "type")? != "object" {
        return Err(Refusal::new(format!("{path}.type: Input should be 'object'")));
    }
    if ["oneOf", "allOf", "anyOf"].iter().any(|of| schema.get(of).is_some()) {
        let why = "input_schema does not support oneOf, allOf, or anyOf at the top level";
        return Err(Refusal::new(format!("{path}: {why}")));
    }
    if tool.get("strict") == Some(&Value::Bool(true)) {
        closed(schema, &path)?;
    }
    Ok(name)
}

fn uses_tools(body: &Value) -> bool {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let blocks = messages.filter_map(|message| message.get("content")?.as_array()).flatten();
    let mut kinds = blocks.filter_map(|block| block.get("type")?.as_str());
    kinds.any(|kind| matches!(kind, "tool_use" | "tool_result"))
}

/// Refuses a schema that lets an object have more than its properties, which output cannot be held to.
pub(crate) fn closed(schema: &Value, path: &str) -> Checked {
    let open = |schema: &Value| {
        let is_object = schema.get("type").is_some_and(|kind| kind == "object");
        is_object && schema.get("additionalProperties") != Some(&Value::Bool(false))
    };
    // A list of what is left instead of a recursion, as there is no knowing how deep it is.
    let mut left = vec![schema];
    while let Some(schema) = left.pop() {
        if open(schema) {
            let why = "For 'object' type, 'additionalProperties' must be explicitly set to false";
            return Err(Refusal::new(format!("{path}: {why}")));
        }
        for of in ["properties", "$defs", "definitions"] {
            left.extend(
                schema.get(of).and_then(Value::as_object).into_iter().flatten().map(|(_, below)| below),
            );
        }
        for of in ["anyOf", "oneOf", "allOf"] {
            left.extend(schema.get(of).and_then(Value::as_array).into_iter().flatten());
        }
        left.extend(schema.get("items"));
    }
    Ok(())
}
