//! Every way to say when to come back, and nonsense.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

const NOW: Duration = Duration::from_secs(1_767_683_513); // 2026-01-06T07:11:53Z

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn hint(status: StatusCode, pairs: &[(&str, &str)]) -> Option<f64> {
    let now = SystemTime::UNIX_EPOCH + NOW;
    retry_after(&headers(pairs), None, status, now).map(|hint| hint.as_secs_f64())
}

fn on_429(pairs: &[(&str, &str)]) -> Option<f64> {
    hint(StatusCode::TOO_MANY_REQUESTS, pairs)
}

#[test]
fn the_most_exact_hint_wins() {
    let all = [("retry-after-ms", "1500"), ("retry-after", "7"), ("x-ratelimit-reset-requests", "9s")];
    assert_eq!(on_429(&all), Some(1.5));
    assert_eq!(on_429(&all[1..]), Some(7.0));
    let now = SystemTime::UNIX_EPOCH + NOW;
    let in_body = Some(Duration::from_secs(8));
    assert_eq!(retry_after(&headers(&all[1..]), in_body, StatusCode::OK, now), Some(Duration::from_secs(7)));
    assert_eq!(
        retry_after(&headers(&all[2..]), in_body, StatusCode::TOO_MANY_REQUESTS, now),
        Some(Duration::from_secs(8))
    );
    assert_eq!(on_429(&all[2..]), Some(9.0));
    // What makes no sense is passed over.
    assert_eq!(on_429(&[("retry-after-ms", "nan"), ("retry-after", "7")]), Some(7.0));
    assert_eq!(on_429(&[("retry-after", "soon"), ("x-ratelimit-reset-requests", "9s")]), Some(9.0));
}

#[test]
fn numbers_dates_and_nonsense() {
    for (value, seconds) in [
        ("0", Some(0.0)),
        ("30", Some(30.0)),
        (" 2.5 ", Some(2.5)),
        ("0.000000001", Some(1e-9)),
        ("Tue, 06 Jan 2026 07:12:53 GMT", Some(60.0)),
        ("Tue, 06 Jan 2026 07:00:00 GMT", Some(0.0)),
        ("Tuesday, 06-Jan-26 07:12:53 GMT", Some(60.0)),
        ("Tue Jan  6 07:12:53 2026", Some(60.0)),
        ("Tue, 06 Jan 2099 07:12:53 GMT", Some(86400.0)),
        ("100000", Some(86400.0)),
        ("99999999999999999999999999", Some(86400.0)),
        ("nan", None),
        ("NaN", None),
        ("inf", None),
        ("Infinity", None),
        ("-1", None),
        ("-inf", None),
        ("+5", None),
        ("1e3", Some(1000.0)),
        ("1e300", Some(86400.0)),
        ("1e999", Some(86400.0)),
        ("1e-400", Some(0.0)),
        ("1e", None),
        ("1-2", None),
        ("1inf", None),
        ("1.2.3", None),
        (".", None),
        (".5", None),
        ("", None),
        ("soon", None),
        ("5 minutes", None),
        ("\u{e9}", None),
    ] {
        assert_eq!(hint(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", value)]), seconds, "{value:?}");
    }
    let huge = "9".repeat(400);
    assert_eq!(on_429(&[("retry-after-ms", &huge)]), Some(86400.0));
    assert_eq!(on_429(&[("retry-after-ms", "0.5")]), Some(0.0005));
}

#[test]
fn spans_as_open_ai_writes_them() {
    for (value, seconds) in [
        ("12ms", Some(0.012)),
        ("17.399999999s", Some(17.399_999_999)),
        ("20m52.666s", Some(1252.666)),
        ("0s", Some(0.0)),
        ("6s", Some(6.0)),
        ("1h2m3s", Some(3723.0)),
        ("1d", Some(86400.0)),
        ("500us", Some(0.0005)),
        ("2d", Some(86400.0)),
        ("500", Some(500.0)),
        ("7", Some(7.0)),
        // A point in time, not a span.
        ("1767683520", None),
        ("1767683520000", None),
        ("2026-01-06T07:11:55Z", None),
        ("s", None),
        ("5", Some(5.0)),
        ("5x", None),
        ("-5s", None),
        ("5s-", None),
        ("nans", None),
        ("", None),
    ] {
        let hint = on_429(&[("x-ratelimit-reset-tokens", value)]);
        assert_eq!(
            hint.map(|hint| (hint * 1e6).round()),
            seconds.map(|s| (s * 1e6_f64).round()),
            "{value:?}"
        );
    }
}

#[test]
fn resets_as_anthropic_writes_them() {
    for (value, seconds) in [
        ("2026-01-06T07:11:55Z", Some(2.0)),
        ("2026-01-06T07:12:53+00:00", Some(60.0)),
        ("2026-01-06T08:11:54+01:00", Some(1.0)),
        ("2026-01-06T07:11:00Z", Some(0.0)),
        ("2030-01-06T07:11:00Z", Some(86400.0)),
        ("tomorrow", None),
        ("5s", None),
    ] {
        for what in ["requests", "tokens", "input-tokens", "output-tokens"] {
            let name = format!("anthropic-ratelimit-{what}-reset");
            assert_eq!(on_429(&[(&name, value)]), seconds, "{name}: {value}");
        }
    }
}

#[test]
fn only_limits_with_nothing_left_count() {
    let requests = ("x-ratelimit-reset-requests", "1h12m");
    let tokens = ("x-ratelimit-reset-tokens", "6s");
    let left = |requests_left: &str, tokens_left: &str| {
        on_429(&[
            requests,
            tokens,
            ("x-ratelimit-remaining-requests", requests_left),
            ("x-ratelimit-remaining-tokens", tokens_left),
        ])
    };
    for nothing in ["0", "-3", "0.0"] {
        assert_eq!(left("190", nothing), Some(6.0));
        assert_eq!(left(nothing, "10"), Some(4320.0));
        assert_eq!(left(nothing, nothing), Some(4320.0), "both must be full again");
        assert_eq!(left("soon", nothing), Some(6.0));
    }
    // The request wanted more tokens than are left, or some other limit was hit.
    assert_eq!(left("190", "10"), None);
    assert_eq!(left("nan", "10"), None);
    assert_eq!(on_429(&[requests, ("x-ratelimit-remaining-tokens", "10")]), None);
    assert_eq!(on_429(&[requests, ("x-ratelimit-remaining-tokens", "0")]), None);
    let anthropic = [
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-01-06T09:00:00Z"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-01-06T07:11:55Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-01-06T07:11:56Z"),
    ];
    assert_eq!(on_429(&anthropic), Some(3.0));
    assert_eq!(on_429(&anthropic[..2]), None);
}

#[test]
fn where_nothing_is_said_to_be_left_the_shortest_reset_counts() {
    let requests = ("x-ratelimit-reset-requests", "20m");
    let tokens = ("x-ratelimit-reset-tokens", "3s");
    assert_eq!(on_429(&[requests, tokens]), Some(3.0));
    assert_eq!(on_429(&[requests, tokens, ("x-ratelimit-remaining-tokens", "many")]), Some(3.0));
    assert_eq!(on_429(&[requests]), Some(1200.0));
}

#[test]
fn resets_mean_nothing_but_on_a_429() {
    let resets =
        [("x-ratelimit-reset-requests", "9s"), ("anthropic-ratelimit-tokens-reset", "2026-01-06T07:11:55Z")];
    for status in [400, 401, 500, 503, 529] {
        assert_eq!(hint(StatusCode::from_u16(status).unwrap(), &resets), None);
    }
    assert_eq!(hint(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "4")]), Some(4.0));
}

#[test]
fn whether_to_ask_the_same_host_again() {
    for (value, allowed) in
        [("true", Some(true)), ("false", Some(false)), ("TRUE", Some(true)), ("1", None), ("", None)]
    {
        assert_eq!(should_retry(&headers(&[("x-should-retry", value)])), allowed);
    }
    assert_eq!(should_retry(&headers(&[])), None);
}
