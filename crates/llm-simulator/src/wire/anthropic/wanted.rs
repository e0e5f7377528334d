//! What a faithful model says to a request of Anthropic's that leaves it no choice.

use serde_json::{Value, json};

use crate::{answer::Wanted, schema};

/// A call of the tool that must be called, or JSON in the format that is asked for.
pub(crate) fn wanted(body: &Value) -> Option<Wanted> {
    call(body).or_else(|| {
        let format = body.pointer("/output_config/format").or_else(|| body.get("output_format"))?;
        Some(Wanted::Json(schema::instance(format.get("schema")?).to_string()))
    })
}

fn call(body: &Value) -> Option<Wanted> {
    let tools = body.get("tools")?.as_array()?;
    let choice = body.get("tool_choice")?;
    let tool = match choice.get("type")?.as_str()? {
        // Those without a schema the vendor runs itself.
        "any" => tools.iter().find(|tool| tool.get("input_schema").is_some()),
        "tool" => tools.iter().find(|tool| tool.get("name") == choice.get("name")),
        _ => None,
    }?;
    let name = tool.get("name")?.as_str()?.to_owned();
    let arguments = tool.get("input_schema").map_or(json!({}), schema::instance);
    Some(Wanted::Call { name, arguments: arguments.to_string(), finish: None })
}
