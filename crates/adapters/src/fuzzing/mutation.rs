//! What goes wrong on the way: events that are lost, doubled, swapped, cut, or not what they should be.

use serde_json::{Value, json};

use super::json;
use super::meant::Frame;
use super::source::Source;

const STRUCTURE: &[u8] = b"\n\r:{}[]\",\\ \xff0e";

/// Breaks a few events.
pub(super) fn frames(frames: &mut Vec<Frame>, source: &mut Source<'_>) {
    for _ in 0..=source.below(4) {
        if frames.is_empty() {
            return;
        }
        let at = source.below(frames.len());
        match source.below(6) {
            0 => drop(frames.remove(at)),
            1 => frames.insert(at, frames[source.below(frames.len())].clone()),
            2 => {
                let other = source.below(frames.len());
                frames.swap(at, other);
            }
            3 => frames[at].name = source.pick(&["", "error", "ping", "message", "message_start"]),
            _ => frames[at].data = odd(&frames[at].data, source),
        }
    }
}

/// The JSON with one of its values replaced by something that should not be there.
pub(super) fn odd(json: &str, source: &mut Source<'_>) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(json) else { return json.to_owned() };
    let at = source.below(json::count(&value));
    let replacement = match source.below(12) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1e300),
        4 => json!(""),
        5 => json!([]),
        6 => json!({}),
        7 => json!([{"type": "text", "text": source.text()}]),
        8 => json!({"type": source.text(), "error": {"message": 5}}),
        9 => json!(u64::MAX),
        10 => json!("\u{0}tool_use"),
        _ => json!(source.text()),
    };
    *json::nth(&mut value, at) = replacement;
    value.to_string()
}

/// Breaks a few bytes.
pub(super) fn bytes(bytes: &mut Vec<u8>, source: &mut Source<'_>) {
    for _ in 0..=source.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = source.below(bytes.len());
        match source.below(5) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << source.below(8),
            2 => bytes.insert(at, source.pick(STRUCTURE)),
            3 => drop(bytes.remove(at)),
            _ => {
                let end = (at + source.below(64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}
