//! What Anthropic refuses, in its own words: headers and the fields of a request other than messages and tools.

use serde_json::{Map, Value};

use super::{blocks, marks, tools, turns};
use crate::{refusal::Refusal, wire::Asked};

pub(crate) type Checked = Result<(), Refusal>;

/// The fields that the vendor knows.
const FIELDS: [&str; 22] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "output_config",
    "output_format",
    "container",
    "mcp_servers",
    "context_management",
    "inference_geo",
    "speed",
    "cache_control",
];

/// The first version that leaves sampling to the model.
const NO_SAMPLING: &str = "2026-10-21";
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];

/// Refuses what the vendor would refuse.
pub(crate) fn check(asked: Asked<'_>) -> Checked {
    let body = asked.body;
    let version = asked.version.ok_or_else(|| Refusal::new("anthropic-version: header is required"))?;
    known(body, &FIELDS, "")?;
    if version >= NO_SAMPLING
        && let Some(field) = SAMPLING.iter().find(|field| given(body, field).is_some())
    {
        let message = format!("{field}: not supported in API version {NO_SAMPLING} and later");
        return Err(Refusal::new(message));
    }
    sampling(body)?;
    system(body)?;
    tools::check(body)?;
    thinking(body, asked.interleaved)?;
    format(body)?;
    marks::check(body)?;
    turns::check(body)
}

/// A field that is there and not null, which is the same as absent.
pub(crate) fn given<'a>(of: &'a Value, field: &str) -> Option<&'a Value> {
    of.get(field).filter(|value| !value.is_null())
}

pub(crate) fn extra(field: &str) -> Refusal {
    Refusal::new(format!("{field}: Extra inputs are not permitted"))
}

pub(crate) fn required(field: &str) -> Refusal {
    Refusal::new(format!("{field}: Field required"))
}

/// Refuses fields that are not among these; `path` is where they stand, with a point at its end.
pub(crate) fn known(of: &Value, fields: &[&str], path: &str) -> Checked {
    let none = Map::new();
    let given = of.as_object().unwrap_or(&none).keys();
    let stranger = given.map(String::as_str).find(|field| !fields.contains(field));
    stranger.map_or(Ok(()), |field| Err(extra(&format!("{path}{field}"))))
}

/// A string that must be there.
pub(crate) fn string<'a>(of: &'a Value, path: &str, field: &str) -> Result<&'a str, Refusal> {
    let value = of.get(field).ok_or_else(|| required(&format!("{path}{field}")))?;
    let wrong = || Refusal::new(format!("{path}{field}: Input should be a valid string"));
    value.as_str().ok_or_else(wrong)
}

/// A string of letters, digits, `_` and `-`.
pub(crate) fn matches(text: &str, most: Option<usize>, path: &str) -> Checked {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let count = most.map_or_else(|| "+".to_owned(), |most| format!("{{1,{most}}}"));
    if !text.is_empty() && text.chars().all(allowed) && most.is_none_or(|most| text.len() <= most) {
        return Ok(());
    }
    let message = format!("{path}: String should match pattern '^[a-zA-Z0-9_-]{count}$'");
    Err(Refusal::new(message))
}

/// Without it nothing is answered.
pub(crate) fn max_tokens(body: &Value) -> Checked {
    let limit = given(body, "max_tokens").ok_or_else(|| required("max_tokens"))?;
    match limit.as_u64() {
        Some(1..) => Ok(()),
        Some(0) => Err(Refusal::new("max_tokens: must be greater than or equal to 1")),
        None => Err(Refusal::new("max_tokens: Input should be a valid integer")),
    }
}

fn sampling(body: &Value) -> Checked {
    for field in ["temperature", "top_p"] {
        let Some(value) = given(body, field) else { continue };
        let number = value.as_f64();
        let number =
            number.ok_or_else(|| Refusal::new(format!("{field}: Input should be a valid number")))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(Refusal::new(format!("{field}: range: 0..1")));
        }
    }
    if given(body, "top_k").is_some_and(|value| !value.is_u64()) {
        return Err(Refusal::new("top_k: Input should be a valid integer"));
    }
    if given(body, "stream").is_some_and(|value| !value.is_boolean()) {
        return Err(Refusal::new("stream: Input should be a valid boolean"));
    }
    let Some(sequences) = given(body, "stop_sequences") else { return Ok(()) };
    let list = sequences.as_array();
    let list = list.ok_or_else(|| Refusal::new("stop_sequences: Input should be a valid list"))?;
    for (index, sequence) in list.iter().enumerate() {
        let path = format!("stop_sequences.{index}");
        let wrong = || Refusal::new(format!("{path}: Input should be a valid string"));
        if sequence.as_str().ok_or_else(wrong)?.trim().is_empty() {
            return Err(Refusal::new("stop_sequences: each stop sequence must contain non-whitespace"));
        }
    }
    Ok(())
}

fn system(body: &Value) -> Checked {
    match given(body, "system") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => blocks.iter().enumerate().try_for_each(|(index, block)| {
            let path = format!("system.{index}.");
            if string(block, &path, "type")? != "text" {
                return Err(Refusal::new(format!("{path}type: Input should be 'text'")));
            }
            known(block, &["type", "text", "citations", "cache_control"], &path)?;
            blocks::text(block, &path, "system")
        }),
        Some(_) => Err(Refusal::new("system: Input should be a valid list")),
    }
}

fn thinking(body: &Value, interleaved: bool) -> Checked {
    let Some(thinking) = given(body, "thinking") else { return Ok(()) };
    match string(thinking, "thinking.", "type")? {
        "disabled" | "adaptive" => return Ok(()),
        "enabled" => {}
        other => {
            let message = format!(
                "thinking: Input tag '{other}' found using 'type' does not match any of the expected tags: 'disabled', 'enabled', 'adaptive'"
            );
            return Err(Refusal::new(message));
        }
    }
    let path = "thinking.enabled.budget_tokens";
    let budget = given(thinking, "budget_tokens").ok_or_else(|| required(path))?;
    let budget = budget.as_u64();
    let budget = budget.ok_or_else(|| Refusal::new(format!("{path}: Input should be a valid integer")))?;
    let choice = body.pointer("/tool_choice/type").and_then(Value::as_str);
    let refused = if budget < 1024 {
        format!("{path}: Input should be greater than or equal to 1024")
    } else if !interleaved && body.get("max_tokens").and_then(Value::as_u64).is_some_and(|it| it <= budget) {
        "`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned()
    } else if matches!(choice, Some("any" | "tool")) {
        "Thinking may not be enabled when tool_choice forces tool use.".to_owned()
    } else if given(body, "temperature").and_then(Value::as_f64).is_some_and(|number| number < 1.0) {
        "`temperature` may only be set to 1 when thinking is enabled.".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::new(refused))
}

fn format(body: &Value) -> Checked {
    let newer = body.get("output_config").and_then(|config| given(config, "format"));
    let older = given(body, "output_format");
    for (format, path) in [(newer, "output_config.format"), (older, "output_format")] {
        let Some(format) = format else { continue };
        if string(format, &format!("{path}."), "type")? != "json_schema" {
            return Err(Refusal::new(format!("{path}.type: Input should be 'json_schema'")));
        }
        let path = format!("{path}.schema");
        let schema = given(format, "schema").ok_or_else(|| required(&path))?;
        if !schema.is_object() {
            return Err(Refusal::new(format!("{path}: Input should be a valid dictionary")));
        }
        tools::closed(schema, &path)?;
    }
    Ok(())
}
