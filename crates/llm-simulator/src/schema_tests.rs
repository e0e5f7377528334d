//! Tests of the smallest values that schemas allow.

use serde_json::{Value, json};

use super::{NODES, instance};

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

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

#[test]
fn an_instance_has_a_bounded_size() {
    let list = |items: Value| json!({"type": "array", "minItems": 100, "items": items});
    let long = "x".repeat(5000);
    let own: Value = ["a", "b", "c"].into_iter().map(|name| (name, json!({"$ref": "#"}))).collect();
    let many: Value = (0..100).map(|number| (number.to_string(), json!({"type": "null"}))).collect();
    for schema in [
        list(list(list(json!({"type": "null"})))),
        json!({"type": "object", "required": ["a", "b", "c"], "properties": own}),
        list(list(json!({"const": [1, 2, 3, 4, 5, 6, 7, 8]}))),
        list(list(json!({"enum": [long.clone()]}))),
        list(list(json!({"type": "string", "minLength": 1000}))),
        list(json!({"type": "object", "required": [long.clone(), "b"]})),
        list(list(json!({"type": "object", "properties": many}))),
        list(list(json!({"type": "object", "required": ["a", "b", "c"]}))),
    ] {
        let made = instance(&schema);
        assert!(nodes(&made) <= NODES + 1, "{} of {schema}", nodes(&made));
        assert!(made.to_string().len() < 100 * NODES, "{}", made.to_string().len());
    }
    // One that does not fit is left out, and what there is of text counts.
    assert_eq!(instance(&json!({"const": vec![0; NODES]})), Value::Null);
    let pointer = format!("#/{long}");
    assert_eq!(instance(&json!({"$ref": pointer, &long: {"type": "string"}})), Value::Null);
}
