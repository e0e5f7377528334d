//! The smallest value that a JSON schema allows, which is what a faithful model says when it must follow one.

use serde_json::{Map, Value, json};

/// How deep a schema may lead; one that leads into itself is cut there.
const DEPTH: usize = 16;

/// A minimal instance: an object with what is required of it (all of its properties if nothing is), and the least
/// of everything else.
pub(crate) fn instance(schema: &Value) -> Value {
    at(schema, schema, DEPTH)
}

fn at(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(depth) = depth.checked_sub(1) else { return Value::Null };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| at(target, root, depth));
    }
    if let Some(only) = schema.get("const").or_else(|| schema.pointer("/enum/0")) {
        return only.clone();
    }
    let first = ["anyOf", "oneOf", "allOf"].iter().find_map(|of| schema.get(of)?.get(0));
    match (kind(schema), first) {
        (None, Some(first)) => at(first, root, depth),
        (Some("object"), _) => object(schema, root, depth),
        (Some("array"), _) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or_default();
            // Nobody means it who asks for more.
            (0..count.min(100)).map(|_| at(items, root, depth)).collect()
        }
        (Some("string"), _) => text(schema),
        (Some(kind @ ("integer" | "number")), _) => number(schema, kind == "integer"),
        (Some("boolean"), _) => json!(false),
        (Some(_), _) => Value::Null,
        (None, None) => json!({}),
    }
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

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array).filter(|required| !required.is_empty());
    let names: Vec<&str> = match required {
        Some(required) => required.iter().filter_map(Value::as_str).collect(),
        None => properties.keys().map(String::as_str).collect(),
    };
    let values = names.into_iter().map(|name| {
        let value = properties.get(name).map_or(json!({}), |schema| at(schema, root, depth));
        (name.to_owned(), value)
    });
    Value::Object(values.collect())
}

fn text(schema: &Value) -> Value {
    let length = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
    Value::String(match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        Some("date") => "2026-01-01".to_owned(),
        Some("time") => "00:00:00Z".to_owned(),
        Some("email") => "a@example.com".to_owned(),
        Some("uri") => "https://example.com".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        _ => "x".repeat(usize::try_from(length.min(1000)).unwrap_or_default()),
    })
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
mod tests {
    use serde_json::{Value, json};

    use super::instance;

    #[test]
    fn an_instance_has_what_is_required_and_the_least_of_it() {
        let tree = json!({"$defs": {"Tree": {"type": "object", "required": ["leaf"], "properties": {
            "leaf": {"type": "string"}, "left": {"$ref": "#/$defs/Tree"}}}}, "$ref": "#/$defs/Tree"});
        for (schema, expected) in [
            (json!({"type": "string"}), json!("")),
            (json!({"type": "string", "minLength": 2}), json!("xx")),
            (json!({"type": "string", "format": "date"}), json!("2026-01-01")),
            (json!({"type": "integer"}), json!(0)),
            (json!({"type": "integer", "minimum": 3}), json!(3)),
            (json!({"type": "integer", "exclusiveMinimum": 3}), json!(4)),
            (json!({"type": "integer", "maximum": -2}), json!(-2)),
            (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
            (json!({"type": "number", "maximum": 9}), json!(0.0)),
            (json!({"type": "boolean"}), json!(false)),
            (json!({"type": "null"}), json!(null)),
            (json!({"type": ["string", "null"]}), json!("")),
            (json!({"enum": ["b", "a"]}), json!("b")),
            (json!({"type": "string", "const": "c"}), json!("c")),
            (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), json!(0)),
            (json!({"oneOf": [{"type": "null"}]}), json!(null)),
            (json!({"type": "array", "items": {"type": "integer"}}), json!([])),
            (json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}), json!([0, 0])),
            (
                json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}),
                json!({"a": 0, "b": ""}),
            ),
            (
                json!({"type": "object", "required": ["b"], "properties": {"a": {}, "b": {"type": "string"}}}),
                json!({"b": ""}),
            ),
            (tree, json!({"leaf": ""})),
            (json!({}), json!({})),
            (json!("no schema"), json!({})),
        ] {
            assert_eq!(instance(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_leads_into_itself_has_an_end() {
        let own = json!({"$ref": "#"});
        assert_eq!(instance(&own), Value::Null);
        let node = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(instance(&node).to_string().ends_with("null}}}}}}}}"));
        assert_eq!(instance(&json!({"$ref": "#/$defs/nowhere"})), Value::Null);
    }
}
