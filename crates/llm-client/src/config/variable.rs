//! The name of the variable that holds a credential, where the credential itself may stand by mistake.

use llm_protocol::Scrubber;

/// Names without an underscore are no longer than this; keys always are.
const LONGEST_WORD: usize = 12;

/// Whether this can be a variable's name, and does not look like a key that was put in its place. Names in capitals
/// are never taken for keys.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(plain)
        && (!name.contains(|c: char| c.is_ascii_lowercase()) || is_left_alone(name))
}

/// The name, if it can be shown. Most keys are letters and digits without a prefix that would give them away, so only
/// what is written as such names are is taken for one.
pub(crate) fn shown(name: &str) -> Option<&str> {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let usual = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(capital)
        && (name.contains('_') || name.len() <= LONGEST_WORD);
    Some(name).filter(|name| usual && is_left_alone(name))
}

pub(super) fn is_left_alone(name: &str) -> bool {
    Scrubber::default().scrub(name) == name
}
