//! What OpenAI refuses of structured output: formats, and schemas that are to be followed strictly.

use std::collections::HashSet;

use serde_json::Value;

use super::check::{Checked, given, missing, name, string, wrong_type, wrong_value};
use crate::refusal::Refusal;

/// How deep a strict schema may be nested.
const DEPTH: usize = 32;

/// Looks through `response_format`.
pub(crate) fn check(body: &Value) -> Checked {
    let Some(format) = given(body, "response_format") else { return Ok(()) };
    if !format.is_object() {
        return Err(wrong_type("response_format", "an object", format));
    }
    match string(format, "response_format", "type")? {
        "text" => Ok(()),
        "json_object" if says_json(body) => Ok(()),
        "json_object" => {
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.";
            Err(Refusal::new(message).param("messages"))
        }
        "json_schema" => json_schema(format),
        other => Err(wrong_value("response_format.type", other, &["json_object", "json_schema", "text"])),
    }
}

fn json_schema(format: &Value) -> Checked {
    let path = "response_format.json_schema";
    let json_schema = given(format, "json_schema").ok_or_else(|| missing(path))?;
    let name = name(json_schema, path)?;
    let path = "response_format.json_schema.schema";
    let schema = given(json_schema, "schema").ok_or_else(|| missing(path))?;
    if !schema.is_object() {
        return Err(wrong_type(path, "an object", schema));
    }
    if json_schema.get("strict") != Some(&Value::Bool(true)) {
        return Ok(());
    }
    strict(schema).map_err(|why| {
        let message = format!("Invalid schema for response_format '{name}': {why}");
        Refusal::new(message).param("response_format")
    })
}

/// Whether any message has the word in its text.
fn says_json(body: &Value) -> bool {
    let messages = body.get("messages").and_then(Value::as_array);
    let has = |text: &Value| text.as_str().is_some_and(|text| text.to_lowercase().contains("json"));
    messages.into_iter().flatten().filter_map(|message| message.get("content")).any(|content| {
        let parts = content.as_array().into_iter().flatten();
        has(content) || parts.filter_map(|part| part.get("text")).any(has)
    })
}

/// Says what keeps a schema from being followed strictly.
pub(crate) fn strict(schema: &Value) -> Result<(), String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") && schema.get("$ref").is_none() {
        let kind = schema.get("type").map_or_else(|| "\"None\"".to_owned(), Value::to_string);
        return Err(format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: {kind}'."));
    }
    at(schema, &[], DEPTH)
}

fn at(schema: &Value, path: &[&str], depth: usize) -> Result<(), String> {
    let context = || {
        let steps: Vec<String> = path.iter().map(|step| format!("'{step}'")).collect();
        let comma = if steps.len() == 1 { "," } else { "" };
        format!("In context=({}{comma})", steps.join(", "))
    };
    let depth =
        depth.checked_sub(1).ok_or_else(|| format!("{}, the schema is nested too deeply.", context()))?;
    let below = |schema: &Value, steps: &[&str]| at(schema, &[path, steps].concat(), depth);
    if let Some(keyword) = FORBIDDEN.iter().find(|keyword| schema.get(**keyword).is_some()) {
        return Err(format!("{}, '{keyword}' is not permitted.", context()));
    }
    if TYPED.iter().all(|keyword| schema.get(*keyword).is_none()) {
        return Err(format!("{}, schema must have a 'type' key.", context()));
    }
    if is(schema, "object") {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            let why = "'additionalProperties' is required to be supplied and to be false.";
            return Err(format!("{}, {why}", context()));
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: HashSet<&str> = required.filter_map(Value::as_str).collect();
        for (name, property) in members(schema, "properties") {
            if !required.contains(name) {
                let why = "'required' is required to be supplied and to be an array including every key in properties.";
                return Err(format!("{}, {why} Missing '{name}'.", context()));
            }
            below(property, &["properties", name])?;
        }
    }
    if is(schema, "array") {
        let items =
            schema.get("items").ok_or_else(|| format!("{}, array schema missing items.", context()))?;
        below(items, &["items"])?;
    }
    for (index, choice) in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
        below(choice, &["anyOf", &index.to_string()])?;
    }
    for definitions in ["$defs", "definitions"] {
        for (name, definition) in members(schema, definitions) {
            below(definition, &[definitions, name])?;
        }
    }
    Ok(())
}

const FORBIDDEN: [&str; 8] =
    ["allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "patternProperties", "contains"];
const TYPED: [&str; 5] = ["type", "$ref", "anyOf", "enum", "const"];

fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|known| known == kind),
        Some(known) => known == kind,
        None => false,
    }
}

fn members<'a>(schema: &'a Value, of: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let members = schema.get(of).and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}
