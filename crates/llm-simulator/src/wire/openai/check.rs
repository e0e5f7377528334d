//! What OpenAI refuses, in its own words: the fields of a request other than messages, tools and formats.

use serde_json::Value;

use super::{formats, messages, tools};
use crate::refusal::Refusal;

pub(crate) type Checked = Result<(), Refusal>;

/// Refuses what the vendor would refuse.
pub(crate) fn check(body: &Value) -> Checked {
    limits(body)?;
    sampling(body)?;
    streaming(body)?;
    tools::check(body)?;
    messages::check(body)?;
    formats::check(body)
}

/// A field that is there and not null, which is the same as absent.
pub(crate) fn given<'a>(body: &'a Value, field: &str) -> Option<&'a Value> {
    body.get(field).filter(|value| !value.is_null())
}

fn limits(body: &Value) -> Checked {
    let both = ["max_tokens", "max_completion_tokens"].map(|field| given(body, field));
    for (field, limit) in ["max_tokens", "max_completion_tokens"].into_iter().zip(both) {
        match limit {
            Some(limit) if !limit.is_u64() => return Err(wrong_type(field, "an integer", limit)),
            Some(limit) if limit.as_u64() == Some(0) => {
                let message = format!(
                    "Invalid '{field}': integer below minimum value. Expected a value >= 1, but got 0 instead."
                );
                return Err(Refusal::new(message).param(field).code("integer_below_min_value"));
            }
            _ => {}
        }
    }
    if both.iter().all(Option::is_some) {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Refusal::new(message).param("max_tokens").code("invalid_parameter_combination"));
    }
    Ok(())
}

fn sampling(body: &Value) -> Checked {
    for (field, least, most) in [
        ("temperature", 0.0, 2.0),
        ("top_p", 0.0, 1.0),
        ("frequency_penalty", -2.0, 2.0),
        ("presence_penalty", -2.0, 2.0),
    ] {
        let Some(value) = given(body, field) else { continue };
        let number = value.as_f64().ok_or_else(|| wrong_type(field, "a decimal", value))?;
        let (what, expected, code) = if number < least {
            ("below minimum", format!(">= {least}"), "decimal_below_min_value")
        } else if number > most {
            ("above maximum", format!("<= {most}"), "decimal_above_max_value")
        } else {
            continue;
        };
        let message = format!(
            "Invalid '{field}': decimal {what} value. Expected a value {expected}, but got {value} instead."
        );
        return Err(Refusal::new(message).param(field).code(code));
    }
    match given(body, "stop") {
        Some(Value::Array(stop)) if stop.len() > 4 => {
            let count = stop.len();
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {count} instead."
            );
            Err(Refusal::new(message).param("stop").code("array_above_max_length"))
        }
        Some(Value::Array(stop)) if stop.iter().all(Value::is_string) => Ok(()),
        None | Some(Value::String(_)) => Ok(()),
        Some(other) => Err(wrong_type("stop", "one of an array of strings or a string", other)),
    }
}

fn streaming(body: &Value) -> Checked {
    let streamed = given(body, "stream");
    if let Some(other) = streamed.filter(|stream| !stream.is_boolean()) {
        return Err(wrong_type("stream", "a boolean", other));
    }
    if given(body, "stream_options").is_some() && streamed != Some(&Value::Bool(true)) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::new(message).param("stream_options"));
    }
    Ok(())
}

pub(crate) fn missing(path: &str) -> Refusal {
    let message = format!("Missing required parameter: '{path}'.");
    Refusal::new(message).param(path).code("missing_required_parameter")
}

/// A schema of a function that is an object of nobody knows what.
pub(crate) fn missing_properties(function: &str, index: usize) -> Refusal {
    let message =
        format!("Invalid schema for function '{function}': In context=(), object schema missing properties.");
    Refusal::new(message)
        .param(format!("tools[{index}].function.parameters"))
        .code("invalid_function_parameters")
}

pub(crate) fn wrong_type(path: &str, expected: &str, value: &Value) -> Refusal {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{path}': expected {expected}, but got {got} instead.");
    Refusal::new(message).param(path).code("invalid_type")
}

pub(crate) fn wrong_value(path: &str, value: &str, supported: &[&str]) -> Refusal {
    let supported = supported.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>().join(", ");
    let message = format!("Invalid value: '{value}'. Supported values are: {supported}.");
    Refusal::new(message).param(path).code("invalid_value")
}

pub(crate) fn empty(path: &str) -> Refusal {
    let message = format!(
        "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    );
    Refusal::new(message).param(path).code("empty_array")
}

pub(crate) fn too_long(path: &str, most: usize, length: usize) -> Refusal {
    let message = format!(
        "Invalid '{path}': string too long. Expected a string with maximum length {most}, but got a string with length {length} instead."
    );
    Refusal::new(message).param(path).code("string_above_max_length")
}

/// A string that must be there.
pub(crate) fn string<'a>(of: &'a Value, path: &str, field: &str) -> Result<&'a str, Refusal> {
    let path = format!("{path}.{field}");
    let value = of.get(field).ok_or_else(|| missing(&path))?;
    value.as_str().ok_or_else(|| wrong_type(&path, "a string", value))
}

/// The name of a tool or of a format.
pub(crate) fn name<'a>(of: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    let name = string(of, path, "name")?;
    let path = format!("{path}.name");
    if name.len() > 64 {
        return Err(too_long(&path, 64, name.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(allowed) {
        let message = format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        );
        return Err(Refusal::new(message).param(path).code("invalid_value"));
    }
    Ok(name)
}
