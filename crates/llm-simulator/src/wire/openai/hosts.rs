//! What one host that speaks OpenAI's format refuses and another does not.

use serde_json::Value;

use super::check::{Checked, given, missing_properties, wrong_value};
use crate::{host::Host, refusal::Refusal};

/// How the models are called that think before they answer, and what sounds like them and does not.
const THINKING: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];
const NOT_THINKING: &str = "gpt-5-chat";
/// Those that think only when they are told to.
const AT_REQUEST: &str = "gpt-5.";

/// The fields that OpenAI knows.
const FIELDS: [&str; 35] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Refuses what this host would refuse.
pub(crate) fn check(body: &Value, host: Host, thinks: bool) -> Checked {
    choice(body, host)?;
    match host {
        Host::OpenAi => {
            fields(body)?;
            thinking(body)?;
            schemas(body)
        }
        Host::Mistral => {
            own_words(body)?;
            ids(body)?;
            order(body)?;
            silent(body)
        }
        Host::DeepSeek => {
            silent(body)?;
            if thinks { reasoning(body) } else { Ok(()) }
        }
        Host::Groq | Host::OpenRouter => Ok(()),
    }
}

fn messages(body: &Value) -> impl Iterator<Item = (usize, &Value)> {
    body.get("messages").and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

fn choice(body: &Value, host: Host) -> Checked {
    match given(body, "tool_choice").and_then(Value::as_str) {
        None | Some("none" | "auto" | "required") => Ok(()),
        Some("any") if host == Host::Mistral => Ok(()),
        Some(other) => Err(wrong_value("tool_choice", other, &["none", "auto", "required"])),
    }
}

/// OpenAI itself refuses what it does not know; its imitators have fields of their own.
fn fields(body: &Value) -> Checked {
    let given = body.as_object().into_iter().flat_map(serde_json::Map::keys);
    match given.into_iter().find(|field| !FIELDS.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => {
            let message = format!("Unknown parameter: '{field}'.");
            Err(Refusal::new(message).param(field).code("unknown_parameter"))
        }
    }
}

/// Models that think have fields of their own.
fn thinking(body: &Value) -> Checked {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if !THINKING.iter().any(|like| model.starts_with(like)) || model.starts_with(NOT_THINKING) {
        return Ok(());
    }
    for (field, instead) in [("max_tokens", " Use 'max_completion_tokens' instead."), ("stop", "")] {
        if given(body, field).is_some() {
            return Err(unsupported(field, instead));
        }
    }
    let told = given(body, "reasoning_effort").is_some_and(|effort| effort != "none");
    let thinks = told || !model.starts_with(AT_REQUEST);
    match given(body, "temperature").filter(|_| thinks) {
        Some(number) if number.as_f64() != Some(1.0) => {
            let message = format!(
                "Unsupported value: 'temperature' does not support {number} with this model. Only the default (1) value is supported."
            );
            Err(Refusal::new(message).param("temperature").code("unsupported_value"))
        }
        _ => Ok(()),
    }
}

/// OpenAI wants to see the properties of an object, even if there are none.
fn schemas(body: &Value) -> Checked {
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    for (index, tool) in tools.enumerate() {
        let parameters = tool.pointer("/function/parameters");
        let is_object = parameters.is_some_and(|it| it.get("type").is_some_and(|kind| kind == "object"));
        if is_object && parameters.is_some_and(|parameters| given(parameters, "properties").is_none()) {
            let name = tool.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
            return Err(missing_properties(name, index));
        }
    }
    Ok(())
}

pub(crate) fn unsupported(field: &str, instead: &str) -> Refusal {
    let message = format!("Unsupported parameter: '{field}' is not supported with this model.{instead}");
    Refusal::new(message).param(field).code("unsupported_parameter")
}

/// Mistral has words of its own for some of OpenAI's fields.
fn own_words(body: &Value) -> Checked {
    match ["seed", "max_completion_tokens"].into_iter().find(|field| body.get(field).is_some()) {
        None => Ok(()),
        Some(field) => Err(Refusal::new("Extra inputs are not permitted").param(field).status(422)),
    }
}

/// Mistral wants the model to say something to a result before the user does.
fn order(body: &Value) -> Checked {
    let mut roles = messages(body).map(|(_, message)| role(message)).peekable();
    while let Some(role) = roles.next() {
        if role == "tool" && roles.peek() == Some(&"user") {
            let refusal = Refusal::new("Unexpected role 'user' after role 'tool'");
            return Err(refusal.kind("invalid_request_message_order").code("3230"));
        }
    }
    Ok(())
}

/// A turn of the model that says nothing and calls nothing, which OpenAI lets pass.
fn silent(body: &Value) -> Checked {
    let says_nothing = |message: &Value| match message.get("content") {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(_)) => false,
        _ => true,
    };
    let is_silent = |message: &Value| {
        role(message) == "assistant" && given(message, "tool_calls").is_none() && says_nothing(message)
    };
    if messages(body).any(|(_, message)| is_silent(message)) {
        return Err(Refusal::new("Invalid assistant message: content or tool_calls must be set"));
    }
    Ok(())
}

/// DeepSeek's models want to read what they thought before they called a tool.
fn reasoning(body: &Value) -> Checked {
    let lacks = |message: &Value| {
        role(message) == "assistant"
            && given(message, "tool_calls").is_some()
            && !message.get("reasoning_content").is_some_and(Value::is_string)
    };
    match messages(body).find(|(_, message)| lacks(message)) {
        None => Ok(()),
        Some((index, _)) => {
            let message = format!(
                "Missing `reasoning_content` field in the assistant message at message index {index}. For more information, please refer to https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
            );
            Err(Refusal::new(message))
        }
    }
}

/// Mistral takes its own ids only.
fn ids(body: &Value) -> Checked {
    let ids = messages(body).flat_map(|(_, message)| {
        let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
        calls.filter_map(|call| call.get("id")).chain(message.get("tool_call_id"))
    });
    let own = |id: &&str| id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric());
    match ids.filter_map(Value::as_str).find(|id| !own(id)) {
        None => Ok(()),
        Some(id) => {
            let message = format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.");
            Err(Refusal::new(message).code("3280"))
        }
    }
}
