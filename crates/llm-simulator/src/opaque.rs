//! What only its maker can read: unique ids, and signatures that can be verified without being remembered.

use std::hash::{BuildHasher as _, RandomState};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// As many letters as Mistral's ids have: what makes an id unique stands in them.
const UNIQUE: usize = 9;
/// 62⁹, the number of such ids.
const IDS: u128 = 13_537_086_546_263_552;
/// Has no factor in common with [`IDS`], so that no two numbers become the same id.
const SPREAD: u128 = 6_364_136_223_846_793_005;
/// The letters of secret reasoning, without those that verify it.
const DATA: usize = 36;
const CHECK: usize = 12;

/// Makes ids that no other request to the same simulator gets, and hardly one to another simulator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    salt: u64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { salt: RandomState::new().hash_one(0) }
    }

    /// An id of at least nine letters for the `index`th thing of the `number`th request.
    pub(crate) fn id(self, number: u64, index: usize, length: usize) -> String {
        let serial = (u128::from(number) << 16) + u128::try_from(index).unwrap_or_default();
        // Both are far below 2⁶⁴, so that the product fits.
        let mut rest = ((serial % IDS) * (SPREAD % IDS) + u128::from(self.salt)) % IDS;
        let mut id = String::with_capacity(length);
        for _ in 0..UNIQUE {
            id.push(letter(rest % 62));
            rest /= 62;
        }
        let seed = format!("{id}{}", self.salt);
        id + &letters(&seed, length.saturating_sub(UNIQUE))
    }
}

/// The signature under reasoning with this text: the same wherever and whenever it is made.
pub(crate) fn signature(text: &str) -> String {
    format!("Es{}==", letters(text, 44))
}

/// What stands for secret reasoning. It verifies itself, as nothing of it is remembered.
pub(crate) fn redacted(text: &str) -> String {
    let data = letters(text, DATA);
    let check = letters(&data, CHECK);
    data + &check
}

/// Whether [`redacted`] made this.
pub(crate) fn is_redacted(data: &str) -> bool {
    data.len() == DATA + CHECK
        && data.split_at_checked(DATA).is_some_and(|(data, check)| check == letters(data, CHECK))
}

/// Letters and digits that follow from the text.
fn letters(text: &str, length: usize) -> String {
    let mut letters = String::with_capacity(length);
    let mut round: u64 = 0;
    while letters.len() < length {
        let mut hash = fnv(round, text);
        // One hash is good for ten letters.
        for _ in 0..10.min(length - letters.len()) {
            letters.push(letter(u128::from(hash % 62)));
            hash /= 62;
        }
        round += 1;
    }
    letters
}

/// FNV-1a with a start of its own for every round, and mixed at the end, as its low bits alone are no good.
fn fnv(round: u64, text: &str) -> u64 {
    let start = 0xCBF2_9CE4_8422_2325_u64.wrapping_add(round.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let hash =
        text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^ (hash >> 27)
}

fn letter(number: u128) -> char {
    let letter = usize::try_from(number).ok().and_then(|number| LETTERS.get(number));
    char::from(letter.copied().unwrap_or(b'0'))
}

/// Whether this is base64 with its padding.
pub(crate) fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && !data.is_empty()
        && text.len() - data.len() <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Ids, is_base64, is_redacted, redacted, signature};

    #[test]
    fn ids_are_unique_even_when_they_are_short() {
        let ids = Ids::new();
        for length in [9, 24] {
            let all: HashSet<String> =
                (0..2000).flat_map(|number| (0..4).map(move |index| ids.id(number, index, length))).collect();
            assert_eq!(all.len(), 8000);
            assert!(all.iter().all(|id| id.len() == length && id.chars().all(|c| c.is_ascii_alphanumeric())));
        }
        assert_ne!(ids.id(0, 0, 24), Ids::new().id(0, 0, 24), "two simulators made the same id");
    }

    #[test]
    fn signatures_follow_from_the_text_and_data_verifies_itself() {
        assert_eq!(signature("Hm"), signature("Hm"));
        assert_ne!(signature("Hm"), signature("Hm "));
        assert!(is_base64(&signature("")) && is_base64(&redacted("")));
        let data = redacted("a secret");
        assert!(is_redacted(&data) && data != redacted("another"));
        for foreign in [String::new(), "x".repeat(48), data.to_lowercase(), format!("{data}0")] {
            assert!(!is_redacted(&foreign), "{foreign}");
        }
        assert!(!is_redacted("é".repeat(24).as_str()));
    }

    #[test]
    fn base64_has_whole_groups_of_four() {
        for (text, valid) in [
            ("aGk=", true),
            ("aGkh", true),
            ("aA==", true),
            ("aGk", false),
            ("a===", false),
            ("", false),
            ("aG k", false),
            ("====", false),
        ] {
            assert_eq!(is_base64(text), valid, "{text}");
        }
    }
}
