//! What a faithful model says to a request of OpenAI's that leaves it no choice.

use serde_json::{Value, json};

use crate::{
    answer::{Finish, Wanted},
    schema,
};

/// A call of the tool that must be called, or JSON in the format that is asked for.
pub(crate) fn wanted(body: &Value) -> Option<Wanted> {
    call(body).or_else(|| format(body))
}

fn call(body: &Value) -> Option<Wanted> {
    let tools = body.get("tools")?.as_array()?;
    let choice = body.get("tool_choice")?;
    let named = choice.pointer("/function/name").and_then(Value::as_str);
    let (tool, finish) = match (named, choice.as_str()) {
        // The vendor says `stop` to whoever has named the tool, as there is nothing to tell.
        (Some(named), _) => (tools.iter().find(|tool| name(tool) == Some(named))?, Some(Finish::Stop)),
        (None, Some("required" | "any")) => (tools.first()?, None),
        (None, _) => return None,
    };
    let arguments = tool.pointer("/function/parameters").map_or(json!({}), schema::instance);
    Some(Wanted::Call { name: name(tool)?.to_owned(), arguments: arguments.to_string(), finish })
}

fn name(tool: &Value) -> Option<&str> {
    tool.pointer("/function/name")?.as_str()
}

fn format(body: &Value) -> Option<Wanted> {
    let format = body.get("response_format")?;
    let json = match format.get("type")?.as_str()? {
        "json_object" => json!({}),
        "json_schema" => schema::instance(format.pointer("/json_schema/schema")?),
        _ => return None,
    };
    Some(Wanted::Json(json.to_string()))
}
