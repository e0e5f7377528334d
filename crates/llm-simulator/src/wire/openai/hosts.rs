//! What one host that speaks OpenAI's format refuses and another does not.

use serde_json::Value;

use super::check::{Checked, given, wrong_value};
use crate::{host::Host, refusal::Refusal};

/// How the models are called that think before they answer.
const THINKING: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];

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
pub(crate) fn check(body: &Value, host: Host) -> Checked {
    choice(body, host)?;
    match host {
        Host::OpenAi => {
            fields(body)?;
            thinking(body)
        }
        Host::Mistral => ids(body),
        Host::Groq | Host::OpenRouter | Host::DeepSeek => Ok(()),
    }
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
    if !THINKING.iter().any(|like| model.starts_with(like)) {
        return Ok(());
    }
    for (field, instead) in [("max_tokens", " Use 'max_completion_tokens' instead."), ("stop", "")] {
        if given(body, field).is_some() {
            return Err(unsupported(field, instead));
        }
    }
    Ok(())
}

pub(crate) fn unsupported(field: &str, instead: &str) -> Refusal {
    let message = format!("Unsupported parameter: '{field}' is not supported with this model.{instead}");
    Refusal::new(message).param(field).code("unsupported_parameter")
}

/// Mistral takes its own ids only.
fn ids(body: &Value) -> Checked {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let ids = messages.flat_map(|message| {
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
