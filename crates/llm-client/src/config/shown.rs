//! What can be shown of a configuration's own words: anything in it may be a key that was put in the wrong place.

use std::collections::BTreeSet;

use llm_protocol::Scrubber;
use toml::{Table, Value};

use super::variable::is_left_alone;
use crate::error::one_line;

/// What has no more characters than this is no key.
const SHORTEST_KEY: usize = 13;
/// What is longer than this is no name, whatever it is made of.
const LONGEST_NAME: usize = 40;
/// Numbers within a name, and words with digits in them, are no longer than this.
const LONGEST_NUMBER: usize = 4;

const MASK: &str = "***";

/// The word or name, or what stands in its place where it could be a key.
pub(crate) fn shown(text: &str) -> &str {
    if is_harmless(text) { text } else { MASK }
}

/// Something short, or words and a few numbers: most keys are one long row of letters and digits, without a prefix that
/// would give them away.
fn is_harmless(text: &str) -> bool {
    // As it would be shown.
    if !is_left_alone(one_line(text).trim()) {
        return false;
    }
    if text.chars().count() < SHORTEST_KEY {
        return true;
    }
    let separates = |c: char| matches!(c, '_' | '-' | ':' | '.' | '/');
    let is_word = |word: &&str| {
        let rest = word.strip_prefix(|c: char| c.is_ascii_uppercase()).filter(|rest| !rest.is_empty());
        rest.unwrap_or(word).chars().all(|c| c.is_ascii_lowercase())
    };
    let (words, others): (Vec<&str>, Vec<&str>) = undated(text).split(separates).partition(is_word);
    let is_number =
        |word: &&str| word.len() <= LONGEST_NUMBER && word.chars().all(|c| c.is_ascii_alphanumeric());
    text.len() <= LONGEST_NAME
        && words.iter().all(|word| word.len() < SHORTEST_KEY)
        && others.iter().all(is_number)
        && others.len() <= words.len()
}

/// A name without the date at its end, as models have it: `-20251001`, `-2024-07-18`.
fn undated(text: &str) -> &str {
    let is_date = |date: &str, form: &str| {
        date.len() == form.len()
            && date.starts_with("-20")
            && date.chars().zip(form.chars()).all(|(c, like)| c == like || like == '0' && c.is_ascii_digit())
    };
    ["-00000000", "-0000-00-00"]
        .into_iter()
        .find_map(|form| {
            let (name, date) = text.split_at_checked(text.len().checked_sub(form.len())?)?;
            is_date(date, form).then_some(name)
        })
        .unwrap_or(text)
}

/// A message about what stands in this table, without what could be a key. Where there is no table, as the text is no
/// TOML, nothing of it is quoted.
pub(crate) fn without_keys(message: &str, table: Option<&Table>) -> String {
    let mut hidden = Vec::new();
    if let Some(table) = table {
        collect(table, &mut hidden);
    }
    // Longest first: one may be a part of another.
    hidden.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    let mut message = message.to_owned();
    for text in hidden {
        // Both as it is, and as it stands in quotes.
        let quoted = format!("{text:?}");
        let escaped = quoted.trim_matches('"');
        message = message.replace(escaped, MASK).replace(text, MASK);
    }
    // Only where there is something left to take out, as it is cut then.
    let scrubbed = Scrubber::default().scrub(&message);
    if scrubbed.matches(MASK).count() > message.matches(MASK).count() { scrubbed } else { message }
}

/// As TOML would have it written, if it can be shown.
pub(super) fn quoted(key: &str) -> String {
    let key = shown(key);
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// The names that there are, as the end of a message.
pub(super) fn listed(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<_> = names.map(|name| format!("`{}`", one_line(name))).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(": there is {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

fn collect<'a>(table: &'a Table, hidden: &mut Vec<&'a str>) {
    for (key, value) in table {
        hidden.extend(Some(key.as_str()).filter(|key| !is_harmless(key)));
        collect_value(value, hidden);
    }
}

fn collect_value<'a>(value: &'a Value, hidden: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => hidden.extend(Some(text.as_str()).filter(|text| !is_harmless(text))),
        Value::Array(items) => {
            for item in items {
                collect_value(item, hidden);
            }
        }
        Value::Table(inner) => collect(inner, hidden),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_keys_are_not() {
        for name in [
            "",
            "x",
            "hedge",
            "round-robin",
            "5 minutes",
            "fastest_first_token",
            "max_outputs_tokens",
            "anthropic:claude-haiku-4-5",
            "openai:gpt-4o-mini",
            "input_per_1m",
            "anthropic:claude-haiku-4-5-20251001",
            "openai:gpt-4o-mini-2024-07-18",
            "groq:llama-3.3-70B-Versatile",
            "Acme-Production-Team",
        ] {
            assert_eq!(shown(name), name);
        }
        for key in [
            "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
            "d41d8cd98f00b204e9800998ecf8427e",
            "d41d8cd9-8f00-b204-e980-0998ecf8427e",
            "ab12-cd34-ef56-gh78",
            "abcdefghijklm",
            "ABCDEFGHIJKLM",
            "1234567890123",
            "tgp_v1_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY",
            "sk-hunter22",
            "one-two-three-four-five-six-seven-eight-nine",
            "correct horse battery staple",
            "anthropic:claude-haiku-4-5-202510011",
            "anthropic:claude-haiku-4-5-99999999",
            "anthropic:claude-haiku-20251001-20251001",
            "ABCD-EFGH-IJKL-MNOP",
            "acmeProductionTeam",
            "Abc-aB3dE-Def-Ghi",
            "abc-AbCde-def-ghi",
            "d41d8cd98f00b204-20251001",
            "deadbeefdeadbeef-2025-10-01",
        ] {
            assert_eq!(shown(key), MASK, "{key}");
        }
    }
}
