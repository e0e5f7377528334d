//! What Anthropic refuses of the blocks of a message.

use serde_json::Value;

use super::{
    check::{Checked, given, known, matches, string},
    media,
};
use crate::{opaque, refusal::Refusal};

/// A type of block: its fields, and the only role that may have it.
struct Kind {
    name: &'static str,
    role: Option<&'static str>,
    /// `None`: not looked at, as the simulator does not make such blocks.
    fields: Option<&'static [&'static str]>,
}

const fn kind(
    name: &'static str,
    role: Option<&'static str>,
    fields: Option<&'static [&'static str]>,
) -> Kind {
    Kind { name, role, fields }
}

const USER: Option<&str> = Some("user");
const ASSISTANT: Option<&str> = Some("assistant");

const KINDS: [Kind; 19] = [
    kind("text", None, Some(&["type", "text", "citations", "cache_control"])),
    kind("image", USER, Some(&["type", "source", "cache_control"])),
    kind("document", USER, Some(&["type", "source", "title", "context", "citations", "cache_control"])),
    kind("search_result", USER, None),
    kind("tool_use", ASSISTANT, Some(&["type", "id", "name", "input", "caller", "cache_control"])),
    kind("tool_result", USER, Some(&["type", "tool_use_id", "content", "is_error", "cache_control"])),
    kind("thinking", ASSISTANT, Some(&["type", "thinking", "signature"])),
    kind("redacted_thinking", ASSISTANT, Some(&["type", "data"])),
    kind("server_tool_use", ASSISTANT, None),
    kind("web_search_tool_result", ASSISTANT, None),
    kind("web_fetch_tool_result", ASSISTANT, None),
    kind("code_execution_tool_result", ASSISTANT, None),
    kind("bash_code_execution_tool_result", ASSISTANT, None),
    kind("text_editor_code_execution_tool_result", ASSISTANT, None),
    kind("tool_search_tool_result", ASSISTANT, None),
    kind("mcp_tool_use", ASSISTANT, None),
    kind("mcp_tool_result", ASSISTANT, None),
    kind(ONLY_IN_RESULTS, USER, None),
    kind("container_upload", USER, None),
];

/// The blocks that the result of a tool may have, and the one that stands nowhere else.
const IN_RESULTS: [&str; 5] = ["text", "image", "document", "search_result", ONLY_IN_RESULTS];
const ONLY_IN_RESULTS: &str = "tool_reference";

/// Looks at one block of a message of this role.
pub(crate) fn check(block: &Value, role: &str, path: &str) -> Checked {
    if !block.is_object() {
        return Err(Refusal::new(format!("{path}: Input should be a valid dictionary or object")));
    }
    let name = string(block, &format!("{path}."), "type")?;
    let mut kinds = KINDS.iter().filter(|kind| kind.name != ONLY_IN_RESULTS);
    let all: Vec<&str> = kinds.clone().map(|kind| kind.name).collect();
    let Some(kind) = kinds.find(|kind| kind.name == name) else {
        return Err(unknown(name, &all, path));
    };
    if let Some(only) = kind.role.filter(|only| *only != role) {
        let message = format!("{path}: `{name}` blocks can only be in `{only}` messages");
        return Err(Refusal::new(message));
    }
    inside(block, kind, path)
}

fn unknown(name: &str, expected: &[&str], path: &str) -> Refusal {
    let expected = expected.iter().map(|kind| format!("'{kind}'")).collect::<Vec<_>>().join(", ");
    Refusal::new(format!(
        "{path}: Input tag '{name}' found using 'type' does not match any of the expected tags: {expected}"
    ))
}

fn inside(block: &Value, kind: &Kind, path: &str) -> Checked {
    let fields = format!("{path}.{}.", kind.name);
    kind.fields.map_or(Ok(()), |known_fields| known(block, known_fields, &fields))?;
    match kind.name {
        "text" => text(block, &fields, "messages"),
        "image" => media::image(block, &fields),
        "tool_use" => tool_use(block, &fields),
        "tool_result" => tool_result(block, path, &fields),
        "thinking" => {
            let (thinking, signature) =
                (string(block, &fields, "thinking")?, string(block, &fields, "signature")?);
            if signature == opaque::signature(thinking) {
                return Ok(());
            }
            Err(Refusal::new(format!("{path}: Invalid `signature` in `thinking` block")))
        }
        "redacted_thinking" if !opaque::is_redacted(string(block, &fields, "data")?) => {
            Err(Refusal::new(format!("{path}: Invalid `data` in `redacted_thinking` block")))
        }
        _ => Ok(()),
    }
}

/// Looks at a block of text that stands in this field of the request.
pub(crate) fn text(block: &Value, path: &str, of: &str) -> Checked {
    let text = string(block, path, "text")?;
    if text.is_empty() {
        return Err(Refusal::new(format!("{of}: text content blocks must be non-empty")));
    }
    if text.trim().is_empty() {
        return Err(Refusal::new(format!("{of}: text content blocks must contain non-whitespace text")));
    }
    Ok(())
}

fn tool_use(block: &Value, path: &str) -> Checked {
    matches(string(block, path, "id")?, None, &format!("{path}id"))?;
    matches(string(block, path, "name")?, Some(128), &format!("{path}name"))?;
    match block.get("input") {
        Some(Value::Object(_)) => Ok(()),
        Some(_) => Err(Refusal::new(format!("{path}input: Input should be a valid dictionary"))),
        None => Err(Refusal::new(format!("{path}input: Field required"))),
    }
}

fn tool_result(block: &Value, at: &str, path: &str) -> Checked {
    matches(string(block, path, "tool_use_id")?, None, &format!("{path}tool_use_id"))?;
    let failed = match given(block, "is_error") {
        None => false,
        Some(Value::Bool(failed)) => *failed,
        Some(_) => return Err(Refusal::new(format!("{path}is_error: Input should be a valid boolean"))),
    };
    let empty = match given(block, "content") {
        None => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                let path = format!("{path}content.{index}");
                let name = string(block, &format!("{path}."), "type")?;
                let kind = KINDS.iter().find(|kind| kind.name == name && IN_RESULTS.contains(&name));
                inside(block, kind.ok_or_else(|| unknown(name, &IN_RESULTS, &path))?, &path)?;
            }
            blocks.is_empty()
        }
        Some(_) => return Err(Refusal::new(format!("{path}content: Input should be a valid list"))),
    };
    if failed && empty {
        return Err(Refusal::new(format!("{at}: content cannot be empty if `is_error` is true")));
    }
    Ok(())
}
