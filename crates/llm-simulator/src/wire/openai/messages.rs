//! What OpenAI refuses of a conversation: roles, contents, and tool calls without their results.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    check::{Checked, empty, missing, name, string, too_long, wrong_type, wrong_value},
    parts,
};
use crate::refusal::Refusal;

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
/// How long the id of a tool call may be.
const MAX_ID: usize = 40;

/// Looks through the messages in their order.
pub(crate) fn check(body: &Value) -> Checked {
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut calls = Open::default();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages[{index}]");
        if !message.is_object() {
            return Err(wrong_type(&path, "an object", message));
        }
        let role = string(message, &path, "role")?;
        if !ROLES.contains(&role) {
            return Err(wrong_value(&format!("{path}.role"), role, &ROLES));
        }
        if role == "tool" {
            calls.take(message, index)?;
        } else {
            calls.close()?;
            calls = Open::default();
        }
        content(message, role, &path)?;
        if role == "assistant" {
            calls = Open::of(message, &path)?;
        }
    }
    calls.close()
}

/// The tool calls of the last assistant message.
#[derive(Default)]
struct Open<'a> {
    /// In their order, for the message.
    ids: Vec<&'a str>,
    known: HashSet<&'a str>,
    /// With the numbers of the messages that have the results.
    answered: HashMap<&'a str, usize>,
}

impl<'a> Open<'a> {
    fn of(message: &'a Value, path: &str) -> Result<Self, Refusal> {
        let path = format!("{path}.tool_calls");
        let calls = match message.get("tool_calls") {
            None => return Ok(Self::default()),
            Some(Value::Array(calls)) if calls.is_empty() => return Err(empty(&path)),
            Some(Value::Array(calls)) => calls,
            Some(other) => return Err(wrong_type(&path, "an array of objects", other)),
        };
        let mut open = Self::default();
        for (index, call) in calls.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let id = string(call, &path, "id")?;
            check_id(id, &format!("{path}.id"))?;
            if !open.known.insert(id) {
                let message =
                    format!("Invalid parameter: Duplicate tool call id '{id}' found in '{path}.id'.");
                return Err(Refusal::new(message).param(format!("{path}.id")).code("invalid_value"));
            }
            open.ids.push(id);
            match string(call, &path, "type")? {
                "function" => {}
                // The simulator makes no such calls.
                "custom" => continue,
                other => {
                    return Err(wrong_value(&format!("{path}.type"), other, &["function", "custom"]));
                }
            }
            let path = format!("{path}.function");
            let function = call.get("function").ok_or_else(|| missing(&path))?;
            name(function, &path)?;
            string(function, &path, "arguments")?;
        }
        Ok(open)
    }

    /// Takes a message with the result of a call.
    fn take(&mut self, message: &'a Value, index: usize) -> Checked {
        let path = format!("messages[{index}]");
        let id = string(message, &path, "tool_call_id")?;
        check_id(id, &format!("{path}.tool_call_id"))?;
        if self.ids.is_empty() {
            let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
            return Err(Refusal::new(message).param(format!("messages.[{index}].role")));
        }
        if !self.known.contains(id) {
            let message = format!(
                "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of previous message: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            );
            return Err(Refusal::new(message).param(format!("messages.[{index}].tool_call_id")));
        }
        if let Some(first) = self.answered.insert(id, index) {
            let message = format!(
                "Invalid parameter: Duplicate value for 'tool_call_id' of '{id}', in messages[{first}] and messages[{index}]."
            );
            return Err(Refusal::new(message).param(format!("messages.[{index}].tool_call_id")));
        }
        Ok(())
    }

    /// Something else follows, or nothing.
    fn close(&self) -> Checked {
        let unanswered: Vec<&str> =
            self.ids.iter().copied().filter(|id| !self.answered.contains_key(id)).collect();
        if unanswered.is_empty() {
            return Ok(());
        }
        let ids = unanswered.join(", ");
        let message = format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
        );
        Err(Refusal::new(message).param("messages"))
    }
}

fn check_id(id: &str, path: &str) -> Checked {
    if id.len() > MAX_ID {
        return Err(too_long(path, MAX_ID, id.len()));
    }
    if id.is_empty() {
        let message = format!(
            "Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead."
        );
        return Err(Refusal::new(message).param(path).code("empty_string"));
    }
    Ok(())
}

fn content(message: &Value, role: &str, path: &str) -> Checked {
    let at = format!("{path}.content");
    let said_otherwise = || {
        let others = ["tool_calls", "function_call", "refusal", "audio"];
        role == "assistant" && others.iter().any(|other| message.get(other).is_some_and(|it| !it.is_null()))
    };
    match message.get("content") {
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(parts)) if parts.is_empty() => Err(empty(&at)),
        Some(Value::Array(parts)) => parts::check(parts, role, path),
        None | Some(Value::Null) if said_otherwise() => Ok(()),
        None => Err(missing(&at)),
        Some(Value::Null) => {
            let message = "Invalid value for 'content': expected a string, got null.";
            Err(Refusal::new(message).param(at))
        }
        Some(other) => Err(wrong_type(&at, "one of a string or array of objects", other)),
    }
}
