//! The taxonomy as a table, and the promises of the error type.

use std::time::Duration;

use super::wire::PLAIN;
use super::*;

#[test]
fn every_kind_has_its_category_and_its_blame() {
    use Category::{Backpressure, Terminal, Transient};
    use ErrorKind as K;
    let table = [
        (K::RateLimited, Backpressure, false),
        (K::QuotaExhausted, Backpressure, false),
        (K::Overloaded, Transient, true),
        (K::Connection, Transient, true),
        (K::Server, Transient, true),
        (K::Truncated, Transient, true),
        (K::Protocol, Transient, true),
        (K::Authentication, Terminal, true),
        (K::Permission, Terminal, true),
        (K::Billing, Terminal, true),
        (K::ModelNotFound, Terminal, true),
        (K::BadRequest, Terminal, false),
        (K::TooLarge, Terminal, false),
        (K::ContextLength, Terminal, false),
        (K::ContentFilter, Terminal, false),
        (K::Refusal, Terminal, false),
        (K::Unsupported, Terminal, false),
        (K::Other, Terminal, false),
        (K::Timeout(Clock::Connect), Transient, true),
        (K::Timeout(Clock::FirstToken), Transient, true),
        (K::Timeout(Clock::Idle), Transient, true),
        (K::Timeout(Clock::Attempt), Transient, true),
        (K::Timeout(Clock::Total), Transient, false),
    ];
    for (kind, category, blames) in table {
        assert_eq!(kind.category(), category, "{kind:?}");
        assert_eq!(kind.blames_model(), blames, "{kind:?}");
        assert_eq!(kind.retryable(), category != Terminal, "{kind:?}");
    }
    assert!(PLAIN.iter().all(|kind| table.iter().any(|(tabled, _, _)| tabled == kind)));
}

#[test]
fn json_goes_both_ways() {
    let clocks = [Clock::Connect, Clock::FirstToken, Clock::Idle, Clock::Attempt, Clock::Total];
    for kind in PLAIN.into_iter().chain(clocks.map(ErrorKind::Timeout)) {
        let error = Error::new(kind, "why")
            .with_status(503)
            .with_code("code")
            .with_retry_after(Duration::from_millis(1500));
        let json = serde_json::to_value(&error).unwrap();
        let back: Error = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(back.kind(), kind);
        assert_eq!(serde_json::to_value(&back).unwrap(), json);
    }
    let json = serde_json::to_value(Error::timeout(Clock::FirstToken)).unwrap();
    assert_eq!(json["kind"], "timeout");
    assert_eq!(json["timeout"], "first_token");
    assert_eq!(json["category"], "transient");
    assert!(json["retry_after_ms"].is_null());
}

#[test]
fn a_later_versions_kind_reads_as_unknown_and_nonsense_is_refused() {
    let json = serde_json::json!({"kind": "brand_new", "timeout": null, "category": "transient", "status": null,
        "code": null, "retry_after_ms": null, "message": ""});
    assert_eq!(serde_json::from_value::<Error>(json).unwrap().kind(), ErrorKind::Other);
    for bad in [-1.0, 1e300] {
        let json = serde_json::json!({"kind": "server", "timeout": null, "category": "transient", "status": null,
            "code": null, "retry_after_ms": bad, "message": ""});
        assert!(serde_json::from_value::<Error>(json).is_err(), "{bad}");
    }
}

#[test]
fn nobody_can_make_an_error_that_shows_a_key() {
    let key = "sk-ant-api03-abcdefghijklmnop";
    let cause = std::io::Error::other(key);
    let error = Error::new(ErrorKind::Server, format!("bad key {key}"))
        .with_code(key)
        .with_request_id(key)
        .with_source(cause);
    for shown in [format!("{error}"), format!("{error:?}"), serde_json::to_string(&error).unwrap()] {
        assert!(!shown.contains("abcdefghijklmnop"), "{shown}");
    }
    assert!(error.source().is_some());
}
