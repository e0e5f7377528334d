//! Settings that belong to the configuration and that this version cannot do. They are refused by name: a setting
//! that is silently ignored is a promise that is silently broken.

use toml::{Table, Value};

use super::shown::quoted;

const SETTINGS: [&str; 4] = [
    "candidate.access_key_id_env",
    "candidate.region",
    "candidate.secret_access_key_env",
    "candidate.session_token_env",
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
            _ => None,
        }
    })
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
