//! The smallest value that a JSON schema allows, which is what a faithful model says when it must follow one.

use serde_json::{Map, Value, json};

/// How deep a schema may lead; one that leads into itself is cut there.
const DEPTH: usize = 16;
/// How many values an instance may have: a few words of a schema can ask for more than any memory holds.
const NODES: usize = 10_000;
/// So much text counts as a value of its own.
const TEXT: usize = 64;
/// Nobody refers to anything with a longer path, and looking for it takes time.
const POINTER: usize = 1024;

/// A minimal instance: an object with what is required of it (all of its properties if nothing is), and the least
/// of everything else. What leads too deep, or comes after ten thousand values, is null.
pub(crate) fn instance(schema: &Value) -> Value {
    Walk { root: schema, left: NODES }.at(schema, DEPTH)
}

/// A walk through a schema, whatever there is of it.
struct Walk<'a> {
    root: &'a Value,
    /// How many values it may still make.
    left: usize,
}

impl Walk<'_> {
    /// Takes this much from what is left. Where it is too much, nothing is left.
    fn spend(&mut self, nodes: usize) -> bool {
        let left = self.left.checked_sub(nodes);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    fn at(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1).filter(|_| self.spend(1)) else { return Value::Null };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').filter(|pointer| pointer.len() <= POINTER);
            let target = pointer.and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.at(target, depth));
        }
        if let Some(only) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
            return if self.spend(size(only, self.left)) { only.clone() } else { Value::Null };
        }
        let first = ["anyOf", "oneOf", "allOf"].iter().find_map(|of| schema.get(of)?.get(0));
        match (kind(schema), first) {
            (None, Some(first)) => self.at(first, depth),
            (Some("object"), _) => self.object(schema, depth),
            (Some("array"), _) => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or_default();
                // Nobody means it who asks for more.
                (0..count.min(100)).map_while(|_| (self.left > 0).then(|| self.at(items, depth))).collect()
            }
            (Some("string"), _) => {
                let text = text(schema);
                if self.spend(text.len() / TEXT) { Value::String(text) } else { Value::Null }
            }
            (Some(kind @ ("integer" | "number")), _) => number(schema, kind == "integer"),
            (Some("boolean"), _) => json!(false),
            (Some(_), _) => Value::Null,
            (None, None) => json!({}),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let required = schema.get("required").and_then(Value::as_array).filter(|it| !it.is_empty());
        let all = properties.keys().filter(|_| required.is_none()).map(String::as_str);
        let names = required.into_iter().flatten().filter_map(Value::as_str).chain(all);
        let mut values = Map::new();
        for name in names {
            if !self.spend(name.len() / TEXT) || self.left == 0 {
                break;
            }
            let value = match properties.get(name) {
                Some(schema) => self.at(schema, depth),
                None if self.spend(1) => json!({}),
                None => break,
            };
            values.insert(name.to_owned(), value);
        }
        Value::Object(values)
    }
}

/// How many values this is made of, counted up to `most`. With one for every so much text.
fn size(value: &Value, most: usize) -> usize {
    let (mut left, mut found) = (vec![value], 0);
    while let Some(value) = left.pop() {
        found += 1;
        match value {
            Value::String(text) => found += text.len() / TEXT,
            Value::Array(items) => left.extend(items.iter().take(most)),
            Value::Object(members) => {
                found += members.keys().take(most).map(|name| name.len() / TEXT).sum::<usize>();
                left.extend(members.values().take(most));
            }
            _ => {}
        }
        if found + left.len() > most {
            return most.saturating_add(1);
        }
    }
    found
}

/// The type, or what the keywords make of it.
fn kind(schema: &Value) -> Option<&str> {
    let of_type = |kind: &'static str, keyword: &str| schema.get(keyword).map(|_| kind);
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        _ => of_type("object", "properties").or_else(|| of_type("array", "items")),
    }
}

fn text(schema: &Value) -> String {
    let length = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        Some("date") => "2026-01-01".to_owned(),
        Some("time") => "00:00:00Z".to_owned(),
        Some("email") => "a@example.com".to_owned(),
        Some("uri") => "https://example.com".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        _ => "x".repeat(usize::try_from(length.min(1000)).unwrap_or_default()),
    }
}

/// The least number that is allowed, but no less than zero where that is allowed.
fn number(schema: &Value, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let above = bound("exclusiveMinimum").map(|bound| if whole { bound.floor() + 1.0 } else { bound + 0.5 });
    let least = [bound("minimum"), above].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
    let below = bound("exclusiveMaximum").map(|bound| if whole { bound.ceil() - 1.0 } else { bound - 0.5 });
    let most = [bound("maximum"), below].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let number = if least > 0.0 { least } else { most.min(0.0) };
    if !whole {
        return json!(number);
    }
    // Through text, as there is no conversion that cannot lose anything.
    json!(format!("{:.0}", number.ceil()).parse::<i64>().unwrap_or_default())
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
