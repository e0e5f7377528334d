//! JSON as hosts write it, and walks through it.

use std::fmt::Write as _;

use serde_json::Value;

/// The same JSON in ASCII, as some languages write it.
pub(super) fn ascii(json: &str) -> String {
    let mut ascii = String::new();
    for letter in json.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
            continue;
        }
        for half in letter.encode_utf16(&mut [0; 2]) {
            write!(ascii, "\\u{half:04x}").unwrap();
        }
    }
    ascii
}

/// Every text in a value.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// How many values are in a value.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// The values in it, itself first, in the order of the text.
pub(super) fn nth(value: &mut Value, at: usize) -> &mut Value {
    let mut left = at;
    find(value, &mut left).expect("there are that many")
}

fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| find(item, left)),
        Value::Object(members) => members.values_mut().find_map(|item| find(item, left)),
        _ => None,
    }
}
