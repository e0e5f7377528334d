//! Settings that belong to the configuration and that this version cannot do. They are refused by name: a setting
//! that is silently ignored is a promise that is silently broken.

use toml::{Table, Value};

use super::shown::quoted;

/// Whatever their value.
const SETTINGS: [&str; 9] = [
    "candidate.access_key_id_env",
    "candidate.region",
    "candidate.secret_access_key_env",
    "candidate.session_token_env",
    "candidate.weight",
    "failover.hedge_after",
    "fan_out.cutoff",
    "fan_out.grace",
    "store",
];

/// With these values only. A number of answers for the quorum is another.
const VALUES: [(&str, &str); 6] = [
    ("failover.order", "fastest_first_token"),
    ("failover.order", "least_in_flight"),
    ("failover.order", "round_robin"),
    ("failover.order", "weighted"),
    ("fan_out.quorum", "first"),
    ("fan_out.quorum", "majority"),
];

/// The first of them in this table, by its full path.
pub(super) fn find(table: &Table) -> Option<String> {
    find_in(table, "", "")
}

/// `shown` is the path with positions and quotes, `name` the one without.
fn find_in(table: &Table, shown: &str, name: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let shown = join(shown, &quoted(key));
        let name = join(name, key);
        if SETTINGS.contains(&name.as_str()) {
            return Some(first_leaf(value, shown));
        }
        match value {
            Value::Table(inner) => find_in(inner, &shown, &name),
            Value::Array(items) => items.iter().enumerate().find_map(|(at, item)| {
                item.as_table().and_then(|inner| find_in(inner, &format!("{shown}[{at}]"), &name))
            }),
            value => is_value_not_built(&name, value).then(|| format!("{shown} = {value}")),
        }
    })
}

fn is_value_not_built(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => VALUES.contains(&(name, text.as_str())),
        Value::Integer(answers) => name == "fan_out.quorum" && *answers > 0,
        _ => false,
    }
}

/// A section is named by the first setting in it.
fn first_leaf(value: &Value, shown: String) -> String {
    match value.as_table().and_then(|table| table.iter().next()) {
        Some((key, inner)) => first_leaf(inner, join(&shown, &quoted(key))),
        None => shown,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
