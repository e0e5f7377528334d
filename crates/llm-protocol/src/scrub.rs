//! Removing credentials from texts that came from a provider, before anyone keeps or shows them.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::secret::Secret;

/// How many characters of a provider's text are kept.
pub const MESSAGE_LIMIT: usize = 200;

/// A text is looked at no further than this (bytes): error pages can be megabytes.
const SCAN_LIMIT: usize = 16 * 1024;

/// A secret shorter than this (bytes) is not looked for by value: it would blank out ordinary words.
const SHORTEST_SECRET: usize = 6;

const MASK: &str = "***";

/// What looks like a credential whoever it belongs to: keys by their vendors' prefixes, bearer and basic tokens,
/// JSON web tokens, AWS ids, `name = value` pairs that speak for themselves, and URLs (which may carry any of them).
static PATTERNS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i-u)\b(?:sk|pk|rk|gsk|hf|xai|pplx|nvapi|ghp|csk)[-_][a-z0-9_\-]{8,}",
        r"|(?-iu)\bAIza[0-9A-Za-z_\-]{16,}",
        r"|(?-iu)\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}",
        r"|(?i-u)\b(?:bearer|basic)\s+[a-z0-9._~+/=\-]{6,}",
        r"|(?-iu)\beyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]+\.?[0-9A-Za-z_\-]*",
        // Anything may stand before these (`OPENAI_API_KEY=`, `client_secret:`), but no letter behind them.
        r#"|(?i-u)[?&]key=[a-z0-9._~%+/=\-]{6,}|(?i-u)[a-z0-9_\-]*(?:api[-_ ]?key|access[-_]?key|secret|token|password|authorization|signature)"#,
        // What is not in a class may be any character, so those classes are of characters and not of bytes.
        r#"["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token|key)\s+)?(?u-i:[^\x00-\x20"',;}]{6,})"#,
        r#"|(?i-u)\b[a-z][a-z0-9+.\-]*://(?u-i:[^\x00-\x20"'<>]+)"#,
    ))
    .ok()
});

/// Scrubs provider texts: known secrets by value, then anything that looks like one, then cuts the rest to
/// [`MESSAGE_LIMIT`] characters.
#[derive(Clone, Debug, Default)]
pub struct Scrubber {
    secrets: Vec<Secret>,
}

impl Scrubber {
    /// A scrubber that knows these secrets. Ones of fewer than six bytes are not looked for by value.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> =
            secrets.into_iter().filter(|secret| secret.expose().len() >= SHORTEST_SECRET).collect();
        // Longest first: one secret may be the beginning of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        Self { secrets }
    }

    /// The text without credentials, on one line, at most [`MESSAGE_LIMIT`] characters.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(head(text, SCAN_LIMIT));
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = Cow::Owned(text.replace(secret.expose(), MASK));
            }
        }
        if !may_match(&text) {
            return cut(&text);
        }
        let masked = match &*PATTERNS {
            Some(patterns) => patterns.replace_all(&text, MASK),
            // The pattern is a constant and a test compiles it; were it ever broken, nothing is shown at all.
            None => Cow::Borrowed(""),
        };
        cut(&masked)
    }
}

/// How what may stand before the dash or the underscore of a key ends (`sk` is in `gsk` and `csk` too).
const KEYS: [&str; 8] = ["sk", "pk", "rk", "hf", "xai", "pplx", "nvapi", "ghp"];

/// How what may stand before the colon or the equals sign of a pair ends.
const NAMES: [&str; 6] = ["key", "secret", "token", "password", "authorization", "signature"];

/// Whether a text has what a match of [`PATTERNS`] cannot be without. Most have not, ids and names of models above all,
/// and this costs far less than to look for a match. Every alternative of the pattern has its line here.
fn may_match(text: &str) -> bool {
    let text = text.as_bytes();
    text.iter().enumerate().any(|(at, byte)| {
        let before = || text.get(..at).unwrap_or_default();
        let behind = || text.get(at + 1..).unwrap_or_default();
        match byte {
            b'-' | b'_' => KEYS.iter().any(|key| ends_with(before(), key)),
            b'A' => [&b"Iza"[..], b"KIA", b"SIA", b"BIA", b"CCA"].iter().any(|id| behind().starts_with(id)),
            b'J' => before().ends_with(b"ey"),
            b':' | b'=' => behind().starts_with(b"//") || is_named(before()),
            _ => is_space(*byte) && (ends_with(before(), "bearer") || ends_with(before(), "basic")),
        }
    })
}

/// Whether a name that speaks for itself ends here, but for a quotation mark and spaces.
fn is_named(before: &[u8]) -> bool {
    let end = before.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    let name = before.get(..end).unwrap_or_default();
    let name = name.strip_suffix(b"\"").or_else(|| name.strip_suffix(b"'")).unwrap_or(name);
    NAMES.iter().any(|known| ends_with(name, known))
}

/// What `\s` is for bytes: the vertical tab too, which the standard library leaves out.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn ends_with(text: &[u8], end: &str) -> bool {
    let tail = text.len().checked_sub(end.len()).and_then(|from| text.get(from..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
}

/// At most `limit` bytes from the start, ending between two characters.
fn head(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary_compat(limit)).unwrap_or_default()
}

trait FloorCharBoundary {
    fn floor_char_boundary_compat(&self, index: usize) -> usize;
}

impl FloorCharBoundary for str {
    /// `str::floor_char_boundary` is newer than this crate's oldest compiler.
    fn floor_char_boundary_compat(&self, index: usize) -> usize {
        (0..=index.min(self.len())).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

fn cut(text: &str) -> String {
    let text = text.trim();
    // Most are short and plain, and stay as they are.
    if text.len() <= MESSAGE_LIMIT && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    // Line and paragraph separators too: some viewers break lines there.
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    let mut kept: String = text.chars().map(plain).take(MESSAGE_LIMIT).collect();
    if text.chars().nth(MESSAGE_LIMIT).is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_goes() {
        for (text, gone) in [
            ("Incorrect API key provided: sk-proj-abcdefgh1234", "abcdefgh1234"),
            ("key sk-ant-api03-PPPPQQQQRRRR refused", "PPPPQQQQRRRR"),
            ("gsk_1234567890abcdef", "1234567890abcdef"),
            ("AIzaSyA1234567890abcdefghijk", "SyA1234567890"),
            ("user AKIAIOSFODNN7EXAMPLE is not authorized", "IOSFODNN7EXAMPLE"),
            ("Authorization: Bearer abc.def-ghi_123", "abc.def-ghi_123"),
            ("Authorization: Token 0123456789abcdef", "0123456789abcdef"),
            ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc", "eyJzdWIiOiIx"),
            ("\"api_key\": \"0123456789\"", "0123456789"),
            ("API key: 0123456789", "0123456789"),
            ("OPENAI_API_KEY=0123456789", "0123456789"),
            ("client_secret=0123456789", "0123456789"),
            ("aws_secret_access_key = 0123456789", "0123456789"),
            ("refresh_token: 0123456789", "0123456789"),
            ("refresh_token'\u{b}=0123456789", "0123456789"),
            ("GET /v1/models?key=0123456789&alt=sse", "0123456789"),
            ("see https://user:pass@host/path?key=value now", "user:pass"),
            ("secret=\u{fc}ber-hunter2-\u{e9}", "hunter2"),
            ("redis://:hunter2@cache:6379/0", "hunter2"),
        ] {
            let scrubbed = Scrubber::default().scrub(text);
            assert!(!scrubbed.contains(gone), "{text} -> {scrubbed}");
            assert!(scrubbed.contains(MASK), "{text} -> {scrubbed}");
        }
    }

    /// What credentials are made of, and what may stand between.
    const PIECES: &str = "sk|pk|rk|gsk|hf|xai|pplx|nvapi|ghp|csk|AIza|AKIA|ASIA|ABIA|ACCA|bearer|basic|eyJ|?key=|&key=|\
        api|access|key|secret|token|password|authorization|signature|BEARER|Sk|aPi|KEY|Signature|://|https://|x+.9-://|\
        -|_| |\t|\u{b}|\u{c}|\r\n|\u{a0}|\u{2028}|\0|:|=|\"|'|.|/|,|~|?|&|x|0123456789|0123456789ABCDEFGH|abcdefgh|\
        ab.cd.ef|\u{fc}ber\u{fc}\u{fc}|\u{212a}|\u{17f}k-|A|e|%41";

    /// So many texts of one to eight pieces, the same in every run.
    fn likely_texts(count: usize) -> impl Iterator<Item = String> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = move |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % limit
        };
        let pieces: Vec<&str> = PIECES.split('|').collect();
        (0..count).map(move |_| (0..=below(8)).map(|_| pieces[below(pieces.len())]).collect())
    }

    #[test]
    fn what_is_passed_over_has_no_match() {
        let patterns = PATTERNS.as_ref().unwrap();
        let (mut found, mut passed_over) = (0, 0);
        for text in likely_texts(100_000) {
            let matches = patterns.is_match(&text);
            let may_match = may_match(&text);
            assert!(may_match || !matches, "{text:?}");
            found += usize::from(matches);
            passed_over += usize::from(!may_match);
        }
        assert!(found > 10_000 && passed_over > 10_000, "{found} matched, {passed_over} were passed over");
    }

    #[test]
    fn what_is_short_and_plain_is_passed_over() {
        for text in
            ["req_0123456789abcdef", "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5", "Overloaded: try later"]
        {
            assert!(!may_match(text), "{text}");
        }
    }

    #[test]
    fn plain_words_stay() {
        let text = "Overloaded: the token limit of 4096 was reached, please retry (tokens per minute)";
        assert_eq!(Scrubber::default().scrub(text), text);
    }

    #[test]
    fn own_secrets_go_by_value_the_longest_first() {
        let scrubber =
            Scrubber::new([Secret::from("tiger-lily"), Secret::from("tiger-lily-two"), Secret::from("abc")]);
        assert_eq!(scrubber.scrub("tiger-lily-two and tiger-lily, abc"), "*** and ***, abc");
    }

    #[test]
    fn texts_are_cut_between_characters_and_stay_on_one_line() {
        assert_eq!(Scrubber::default().scrub(" a\r\nb\u{7}c "), "a  b c");
        let long = "ü".repeat(MESSAGE_LIMIT + 1);
        let scrubbed = Scrubber::default().scrub(&long);
        assert_eq!(scrubbed.chars().count(), MESSAGE_LIMIT);
        assert!(scrubbed.ends_with('…'));
        assert_eq!(Scrubber::default().scrub(&"x".repeat(MESSAGE_LIMIT)).chars().count(), MESSAGE_LIMIT);
        assert_eq!(Scrubber::default().scrub(&"x".repeat(MESSAGE_LIMIT + 1)).chars().count(), MESSAGE_LIMIT);
        assert_eq!(Scrubber::default().scrub("a\u{7f}b"), "a b");
        assert_eq!(Scrubber::default().scrub(&"é".repeat(SCAN_LIMIT)).chars().count(), MESSAGE_LIMIT);
    }
}
