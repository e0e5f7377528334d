//! What holds for the statuses and bodies of all providers.

use super::{
    BILLING, BOTH, EVENTS, Facts, Failed, JSON, PROTOCOL, RATE_LIMITED, SERVER, TRUNCATED, Wire, reply,
};

#[tokio::test]
async fn what_the_vendor_did_not_manage_may_pass_whoever_explains_it() {
    let mut facts = Facts::new().await;
    for wire in BOTH {
        for status in [408, 409, 500, 501, 502, 503, 504, 520, 522, 524, 598, 599] {
            for (lines, body) in [
                (&[JSON][..], r#"{"error":{"message":"m"}}"#),
                (&[JSON], "{}"),
                (&["content-type: text/html"], "<html>Bad gateway</html>"),
                (&["content-type: text/plain"], "upstream connect error"),
                (&[], ""),
            ] {
                let says = format!("{wire:?} {status} {body}");
                let failed = Failed::with_status(SERVER, status);
                facts.fails(wire, &says, &reply(wire, status, lines, body), &failed).await;
            }
        }
    }
}

#[tokio::test]
async fn too_many_requests_and_payment_required_do_not_always_mean_it() {
    let mut facts = Facts::new().await;
    for (says, wire, status, body, verdict, code) in [
        ("429 is a limit of rates", Wire::OpenAi, 429, r#"{"error":{}}"#, RATE_LIMITED, ""),
        ("429 is a limit of rates", Wire::Anthropic, 429, r#"{"error":{}}"#, RATE_LIMITED, ""),
        (
            "429 may be about money",
            Wire::OpenAi,
            429,
            r#"{"error":{"code":"insufficient_quota"}}"#,
            BILLING,
            "insufficient_quota",
        ),
        (
            "429 may be about money",
            Wire::Anthropic,
            429,
            r#"{"error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            BILLING,
            "enforced_spend_limit_reached",
        ),
        ("402 is about money", Wire::OpenAi, 402, r#"{"error":{}}"#, BILLING, ""),
        ("402 is about money", Wire::Anthropic, 402, r#"{"error":{}}"#, BILLING, ""),
        (
            "402 may be a limit of rates",
            Wire::OpenAi,
            402,
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
            RATE_LIMITED,
            "rate_limit_exceeded",
        ),
        (
            "402 may be a limit of rates",
            Wire::Anthropic,
            402,
            r#"{"error":{"type":"rate_limit_error"}}"#,
            RATE_LIMITED,
            "rate_limit_error",
        ),
    ] {
        let failed = Failed::with_status(verdict, status).code(code);
        facts.fails(wire, says, &reply(wire, status, &[JSON], body), &failed).await;
    }
}

/// One stored block: the simplest gzip there is.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc))
    });
    let block = [&length.to_le_bytes()[..], &(!length).to_le_bytes(), bytes].concat();
    let end = [(!crc).to_le_bytes(), u32::from(length).to_le_bytes()].concat();
    [b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", &*block, &*end].concat()
}

#[tokio::test]
async fn errors_may_be_compressed() {
    const GZIP: &str = "content-encoding: gzip";
    let mut facts = Facts::new().await;
    for (says, wire, status, body, verdict, code) in [
        (
            "a code is read",
            Wire::OpenAi,
            429,
            r#"{"error":{"code":"insufficient_quota"}}"#,
            BILLING,
            "insufficient_quota",
        ),
        (
            "a code is read",
            Wire::Anthropic,
            429,
            r#"{"error":{"details":{"error_code":"contract_spend_limit_reached"}}}"#,
            BILLING,
            "contract_spend_limit_reached",
        ),
        ("a page goes by its status", Wire::OpenAi, 502, "<html></html>", SERVER, ""),
        ("a page goes by its status", Wire::Anthropic, 502, "<html></html>", SERVER, ""),
    ] {
        let failed = Failed::with_status(verdict, status).code(code);
        facts.fails(wire, says, &reply(wire, status, &[JSON, GZIP], gzip(body.as_bytes())), &failed).await;
    }
    for wire in BOTH {
        let error = gzip(br#"{"error":{"message":"m","type":"rate_limit_error"}}"#);
        let failed = Failed::inside(RATE_LIMITED).code("rate_limit_error");
        let says = "so may one in a success";
        facts.fails(wire, says, &reply(wire, 200, &[JSON, GZIP], error), &failed).await;
        let event = gzip(b"event: error\ndata: {\"error\":{\"type\":\"rate_limit_error\"}}\n\n");
        facts.breaks(wire, says, &reply(wire, 200, &[EVENTS, GZIP], event), &failed).await;
    }
}

#[tokio::test]
async fn a_success_that_is_no_json_is_nonsense() {
    const PAGE: &str = "<!DOCTYPE html>\n<html><body>Welcome: please log in</body></html>\n";
    let mut facts = Facts::new().await;
    for wire in BOTH {
        for (says, kind, body) in [
            ("a page", "content-type: text/html", PAGE),
            ("a page that says that it is JSON", JSON, PAGE),
            ("words", "content-type: text/plain", "upstream is warming up"),
            ("words that say that they are JSON", JSON, "upstream is warming up"),
            ("nothing", JSON, ""),
            ("JSON that is no answer", JSON, "5"),
            ("JSON that is no answer", JSON, "{}"),
            ("JSON that is no answer", JSON, "null"),
        ] {
            let says = format!("{wire:?}: {says}");
            facts.fails(wire, &says, &reply(wire, 200, &[kind], body), &Failed::inside(PROTOCOL)).await;
        }
        let error = facts.whole(wire, &reply(wire, 200, &[], PAGE)).await.err();
        let failed = Failed::inside(PROTOCOL);
        facts.holds("a page of no type", error.as_ref().map(Failed::of), Some(failed.clone()));
        // Read as events it holds none: then it is a stream without an end, and that may pass just as well.
        let cut = Failed::inside(TRUNCATED);
        for lines in [&[][..], &[EVENTS]] {
            facts.breaks(wire, "a page among events", &reply(wire, 200, lines, PAGE), &cut).await;
        }
        let event = "data: <html>\n\n";
        facts.breaks(wire, "a page in an event", &reply(wire, 200, &[EVENTS], event), &failed).await;
    }
}
