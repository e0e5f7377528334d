//! What Anthropic refuses of the marks that say what is to be cached.

use serde_json::Value;

use super::check::{Checked, given, string};
use crate::refusal::Refusal;

const MOST: usize = 4;

/// Looks through all places where a mark may stand.
pub(crate) fn check(body: &Value) -> Checked {
    let mut marks = Vec::new();
    marks.extend(given(body, "cache_control"));
    for field in ["tools", "system"] {
        collect(body.get(field), &mut marks);
    }
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    for content in messages.filter_map(|message| message.get("content")) {
        collect(Some(content), &mut marks);
        // The content of a tool's result has blocks of its own; arguments and schemas have none.
        let results = content.as_array().into_iter().flatten().filter_map(|block| block.get("content"));
        results.for_each(|content| collect(Some(content), &mut marks));
    }
    if marks.len() > MOST {
        let found = marks.len();
        let message =
            format!("A maximum of {MOST} blocks with cache_control may be provided. Found {found}.");
        return Err(Refusal::new(message));
    }
    marks.into_iter().try_for_each(check_mark)
}

fn collect<'a>(blocks: Option<&'a Value>, marks: &mut Vec<&'a Value>) {
    let blocks = blocks.and_then(Value::as_array).into_iter().flatten();
    marks.extend(blocks.filter_map(|block| given(block, "cache_control")));
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
