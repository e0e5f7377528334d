//! What Anthropic refuses of the marks that say what is to be cached.

use serde_json::Value;

use super::check::{Checked, given, string};
use crate::refusal::Refusal;

const MOST: usize = 4;

/// Looks through all places where a mark may stand, in the order in which they are cached.
pub(crate) fn check(body: &Value) -> Checked {
    let mut marks = Vec::new();
    for field in ["tools", "system"] {
        collect(body.get(field), field, &mut marks);
    }
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    for (index, content) in messages.map(|message| message.get("content")).enumerate() {
        collect(content, &format!("messages.{index}.content"), &mut marks);
    }
    // It stands for one at the end of all.
    marks.extend(given(body, "cache_control").map(|mark| ("cache_control".to_owned(), mark)));
    if marks.len() > MOST {
        let found = marks.len();
        let message =
            format!("A maximum of {MOST} blocks with cache_control may be provided. Found {found}.");
        return Err(Refusal::new(message));
    }
    marks.iter().try_for_each(|(_, mark)| check_mark(mark))?;
    let lasts = |mark: &Value| mark.get("ttl").is_some_and(|ttl| ttl == "1h");
    match marks.iter().skip_while(|(_, mark)| lasts(mark)).find(|(_, mark)| lasts(mark)) {
        None => Ok(()),
        Some((path, _)) => {
            let message = format!(
                "{path}.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            );
            Err(Refusal::new(message))
        }
    }
}

/// Marks with their places. The content of a tool's result has blocks of its own; arguments and schemas have none.
fn collect<'a>(blocks: Option<&'a Value>, path: &str, marks: &mut Vec<(String, &'a Value)>) {
    let blocks = blocks.and_then(Value::as_array).into_iter().flatten();
    for (index, block) in blocks.enumerate() {
        for (inner, part) in block.get("content").and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let mark = given(part, "cache_control");
            marks.extend(mark.map(|mark| (format!("{path}.{index}.content.{inner}.cache_control"), mark)));
        }
        let mark = given(block, "cache_control");
        marks.extend(mark.map(|mark| (format!("{path}.{index}.cache_control"), mark)));
    }
}

fn check_mark(mark: &Value) -> Checked {
    let kind = string(mark, "cache_control.", "type")?;
    if kind != "ephemeral" {
        let message = format!(
            "cache_control: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'ephemeral'"
        );
        return Err(Refusal::new(message));
    }
    if given(mark, "ttl").is_some_and(|ttl| ttl != "5m" && ttl != "1h") {
        return Err(Refusal::new("cache_control.ephemeral.ttl: Input should be '5m' or '1h'"));
    }
    Ok(())
}
