//! When a provider says that it may be asked again, in the many ways in which providers say it.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};

use crate::http::header;

/// No hint is longer: who asks again after a day loses nothing, and a nonsensical number does not shut a model out
/// for good. A number too large for any clock means "too long", not "no hint".
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Bare numbers in reset headers are seconds; with this many digits (thirty years) they must be points in time.
const EPOCH_DIGITS: usize = 10;

static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// OpenAI's limits: what is left of each, and in how long it is full again.
static OPEN_AI: [(HeaderName, HeaderName); 2] = [
    (
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("x-ratelimit-reset-requests"),
    ),
    (
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("x-ratelimit-reset-tokens"),
    ),
];

/// Anthropic's limits: what is left of each, and when it is full again.
static ANTHROPIC: [(HeaderName, HeaderName); 4] = [
    (
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
        HeaderName::from_static("anthropic-ratelimit-requests-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-input-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-input-tokens-reset"),
    ),
    (
        HeaderName::from_static("anthropic-ratelimit-output-tokens-remaining"),
        HeaderName::from_static("anthropic-ratelimit-output-tokens-reset"),
    ),
];

/// How long the provider asks to be left alone, by a failure's headers and the hint in its body. The most exact hint
/// wins: `retry-after-ms`, `retry-after` in seconds or as a date, the body, and on a 429 the headers that say when
/// the exhausted limits are full again (see [`reset`]). What makes no sense is passed over.
pub(crate) fn retry_after(
    headers: &HeaderMap,
    body: Option<Duration>,
    status: StatusCode,
    now: SystemTime,
) -> Option<Duration> {
    let milliseconds = || number(header(headers, &RETRY_AFTER_MS)?, 1000.0);
    let after = || {
        let value = header(headers, &RETRY_AFTER)?;
        number(value, 1.0).or_else(|| date(value, now))
    };
    let resets = || if status == StatusCode::TOO_MANY_REQUESTS { reset(headers, now) } else { None };
    milliseconds().or_else(after).or(body).or_else(resets)
}

/// Whether the headers of a failure say when to come back.
#[cfg(feature = "openai")]
pub(crate) fn is_timed(headers: &HeaderMap) -> bool {
    headers.contains_key(&RETRY_AFTER_MS) || headers.contains_key(RETRY_AFTER)
}

/// Whether the provider says that the same host may be asked again.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match header(headers, &SHOULD_RETRY)? {
        value if value.eq_ignore_ascii_case("true") => Some(true),
        value if value.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A decimal number, with an exponent where JSON wrote one, in units of which `per_second` make a second. Signs,
/// `nan`, `inf` and anything else are refused; it is never more than [`LONGEST`].
pub(crate) fn number(text: &str, per_second: f64) -> Option<Duration> {
    // Behind a digit nothing parses but the rest of a number.
    let value = text.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse::<f64>().ok()).flatten()?;
    Some(Duration::try_from_secs_f64(value / per_second).map_or(LONGEST, |delay| delay.min(LONGEST)))
}

/// An HTTP date; one in the past means now.
fn date(text: &str, now: SystemTime) -> Option<Duration> {
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO).min(LONGEST))
}

/// When the limits that were hit are full again. These headers come with every answer, so they mean something on a
/// 429 only, and they say when a limit is full again rather than when there is room for one more request:
///
/// - Where something says what is left, only limits with nothing left count, and of those the one that takes longest.
///   If all have some left, the request was larger than that, or another limit was hit: no hint.
/// - Where nothing says what is left, it is the shortest: any of them may be meant, and one that is hardly touched
///   can take hours to be full to the brim.
fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let left = |name| header(headers, name).and_then(amount);
    let limits = || {
        let open_ai = OPEN_AI.iter();
        let open_ai = open_ai.map(|(name, reset)| (left(name), header(headers, reset).and_then(span)));
        let anthropic = ANTHROPIC.iter().map(|(name, reset)| {
            let reset = header(headers, reset).and_then(|text| timestamp(text, now));
            (left(name), reset)
        });
        open_ai.chain(anthropic)
    };
    if limits().all(|(left, _)| left.is_none()) {
        return limits().filter_map(|(_, reset)| reset).min();
    }
    limits().filter(|(left, _)| left.is_some_and(|left| left <= 0.0)).filter_map(|(_, reset)| reset).max()
}

/// What is left of a limit; some hosts count below zero.
fn amount(text: &str) -> Option<f64> {
    text.parse().ok().filter(|amount: &f64| amount.is_finite())
}

/// A span as OpenAI writes it: `12ms`, `17.399999999s`, `20m52.666s`, `1h2m3s`; Azure sends bare seconds.
fn span(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text, 1.0) {
        let digits = text.split('.').next().map_or(0, str::len);
        return (digits < EPOCH_DIGITS).then_some(seconds);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let per_second = match unit {
            "d" => 1.0 / 86_400.0,
            "h" => 1.0 / 3600.0,
            "m" => 1.0 / 60.0,
            "s" => 1.0,
            "ms" => 1e3,
            "us" | "µs" => 1e6,
            "ns" => 1e9,
            _ => return None,
        };
        total = total.saturating_add(number(amount, per_second)?);
        rest = tail;
    }
    (!text.is_empty()).then_some(total.min(LONGEST))
}

/// A point in time as Anthropic writes it, RFC 3339; one in the past means now.
fn timestamp(text: &str, now: SystemTime) -> Option<Duration> {
    let at = SystemTime::from(text.parse::<jiff::Timestamp>().ok()?);
    Some(at.duration_since(now).unwrap_or(Duration::ZERO).min(LONGEST))
}

#[cfg(test)]
mod tests;
