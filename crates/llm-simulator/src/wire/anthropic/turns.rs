//! What Anthropic refuses of a conversation: roles, empty turns, and tool calls without their results.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    blocks,
    check::{Checked, known, string},
};
use crate::refusal::Refusal;

/// Looks through the messages in their order, those of one role in a row as the one turn that they are.
pub(crate) fn check(body: &Value) -> Checked {
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let path = format!("messages.{index}");
        if !message.is_object() {
            return Err(Refusal::new(format!("{path}: Input should be a valid dictionary or object")));
        }
        let role = role(message, &path)?;
        known(message, &["role", "content"], &format!("{path}."))?;
        let last = index + 1 == messages.len();
        let blocks = content(message, &path, role, last)?;
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            None if role != "user" => {
                return Err(Refusal::new("messages: first message must use the \"user\" role"));
            }
            _ => turns.push(Turn { role, index, blocks }),
        }
    }
    unique(&turns)?;
    let answers = turns.iter().skip(1).map(Some).chain([None]);
    turns.iter().zip(answers).try_for_each(|(turn, next)| answered(turn, next))?;
    let questions = [None].into_iter().chain(turns.iter().map(Some));
    questions.zip(&turns).try_for_each(|(before, turn)| asked_for(before, turn))?;
    let thinks = body.pointer("/thinking/type").is_some_and(|kind| kind == "enabled");
    if thinks { thought(&turns) } else { Ok(()) }
}

/// A model that thinks has thought before it called the tools whose results it is to go on with. It does so once for
/// all calls in a row.
fn thought(turns: &[Turn<'_>]) -> Checked {
    let mut latest = None;
    for pair in turns.rchunks(2) {
        let [call, result] = pair else { break };
        if !result.has("tool_result") {
            break;
        }
        let found = call.blocks.first().and_then(|block| block.get("type")?.as_str()).unwrap_or("text");
        if matches!(found, "thinking" | "redacted_thinking") {
            return Ok(());
        }
        latest = latest.or(Some((call.index, found)));
    }
    let Some((index, found)) = latest else { return Ok(()) };
    let message = format!(
        "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`."
    );
    Err(Refusal::new(message))
}

/// The blocks of one or several messages of the same role.
struct Turn<'a> {
    role: &'a str,
    /// The number of its first message.
    index: usize,
    blocks: Vec<&'a Value>,
}

impl<'a> Turn<'a> {
    fn has(&self, kind: &str) -> bool {
        self.blocks.iter().any(|block| block.get("type").is_some_and(|it| it == kind))
    }

    /// What blocks of this type have under this name.
    fn ids(&self, kind: &str, field: &str) -> Vec<&'a str> {
        let blocks = self.blocks.iter().filter(|block| block.get("type").is_some_and(|it| it == kind));
        blocks.filter_map(|block| block.get(field)?.as_str()).collect()
    }
}

fn role<'a>(message: &'a Value, path: &str) -> Result<&'a str, Refusal> {
    match string(message, &format!("{path}."), "role")? {
        role @ ("user" | "assistant") => Ok(role),
        "system" => Err(Refusal::new(
            "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
        )),
        _ => Err(Refusal::new(format!("{path}.role: Input should be 'user' or 'assistant'"))),
    }
}

/// The blocks of a message, of which a text alone is one.
fn content<'a>(message: &'a Value, path: &str, role: &str, last: bool) -> Result<Vec<&'a Value>, Refusal> {
    let prefill = last && role == "assistant";
    let nothing = || {
        let why = "all messages must have non-empty content except for the optional final assistant message";
        Refusal::new(format!("{path}: {why}"))
    };
    let found = match message.get("content") {
        Some(Value::String(text)) if text.is_empty() => Vec::new(),
        Some(Value::String(text)) if text.trim().is_empty() => {
            return Err(Refusal::new("messages: text content blocks must contain non-whitespace text"));
        }
        Some(content @ Value::String(text)) => return ending(text, prefill).map(|()| vec![content]),
        Some(Value::Array(blocks)) => blocks.iter().collect(),
        Some(_) => return Err(Refusal::new(format!("{path}.content: Input should be a valid list"))),
        None => return Err(Refusal::new(format!("{path}.content: Field required"))),
    };
    if found.is_empty() && !prefill {
        return Err(nothing());
    }
    for (index, block) in found.iter().enumerate() {
        blocks::check(block, role, &format!("{path}.content.{index}"))?;
    }
    let text = found.last().and_then(|block| block.get("text")?.as_str()).unwrap_or_default();
    ending(text, prefill).map(|()| found)
}

fn ending(text: &str, prefill: bool) -> Checked {
    if prefill && text.ends_with(char::is_whitespace) {
        let why = "messages: final assistant content cannot end with trailing whitespace";
        return Err(Refusal::new(why));
    }
    Ok(())
}

fn unique(turns: &[Turn<'_>]) -> Checked {
    let mut seen = HashSet::new();
    for turn in turns {
        for id in turn.ids("tool_use", "id") {
            if !seen.insert(id) {
                let message = format!("messages.{}: `tool_use` ids must be unique", turn.index);
                return Err(Refusal::new(message));
            }
        }
    }
    Ok(())
}

/// Every call must have its result at the start of the next turn.
fn answered(turn: &Turn<'_>, next: Option<&Turn<'_>>) -> Checked {
    let is_result = |block: &&&Value| block.get("type").is_some_and(|kind| kind == "tool_result");
    let next = next.map_or(&[][..], |next| next.blocks.as_slice());
    let results = next.iter().take_while(is_result);
    let answered: HashSet<&str> = results.filter_map(|block| block.get("tool_use_id")?.as_str()).collect();
    let mut open = turn.ids("tool_use", "id");
    open.retain(|id| !answered.contains(id));
    if open.is_empty() {
        return Ok(());
    }
    let (index, open) = (turn.index, open.join(", "));
    let message = format!(
        "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {open}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    );
    Err(Refusal::new(message))
}

/// Every result must have its call in the turn before, and a call one result.
fn asked_for(before: Option<&Turn<'_>>, turn: &Turn<'_>) -> Checked {
    let calls = before.map(|before| before.ids("tool_use", "id")).unwrap_or_default();
    let calls: HashSet<&str> = calls.into_iter().collect();
    let (index, mut seen) = (turn.index, HashSet::new());
    for (number, block) in turn.blocks.iter().enumerate() {
        let result = block.get("type").filter(|kind| *kind == "tool_result").and(block.get("tool_use_id"));
        let Some(id) = result.and_then(Value::as_str) else { continue };
        if !calls.contains(&id) {
            let message = format!(
                "messages.{index}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(Refusal::new(message));
        }
        if !seen.insert(id) {
            let message = format!(
                "messages.{index}.content.{number}: each `tool_use` must have a single result. Found multiple `tool_result` blocks with id: {id}"
            );
            return Err(Refusal::new(message));
        }
    }
    Ok(())
}
