//! Every way to misbehave, seen on the wire, for each vendor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod common;

use std::time::Duration;

use common::{Asker, WIRES, read_until, within};
use llm_simulator::{Behaviour, Ended, Fault, Simulator, Wire};
use serde_json::{Value, json};

async fn start(behaviour: Behaviour) -> (Simulator, Asker) {
    let simulator = Simulator::start().await.unwrap();
    simulator.on("m", behaviour);
    let asker = Asker::new(&simulator);
    (simulator, asker)
}

#[tokio::test]
async fn statuses_come_in_the_vendors_own_envelope() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ] {
        for stream in [false, true] {
            let seen = asker.ask(Wire::Anthropic, &format!("m!status={status}"), stream).await;
            let body = seen.json();
            assert_eq!(
                (seen.status, &body["type"], &body["error"]["type"]),
                (status, &json!("error"), &json!(kind))
            );
            assert_eq!(body["request_id"], seen.header("request-id"));
        }
    }
    for (status, code) in [
        (400, Value::Null),
        (401, json!("invalid_api_key")),
        (404, json!("model_not_found")),
        (429, json!("rate_limit_exceeded")),
        (500, Value::Null),
        (503, json!("server_is_overloaded")),
    ] {
        let seen = asker.ask(Wire::OpenAi, &format!("m!status={status}"), true).await;
        assert_eq!((seen.status, &seen.json()["error"]["code"]), (status, &code));
    }
}

#[tokio::test]
async fn an_empty_purse_is_a_429_of_its_own_with_openai() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for (words, kind, code) in [
        ("type=insufficient_quota", "insufficient_quota", "insufficient_quota"),
        ("code=credit_balance_exhausted", "insufficient_quota", "credit_balance_exhausted"),
        ("type=insufficient_quota!code=c", "insufficient_quota", "c"),
        ("type=t", "t", "rate_limit_exceeded"),
    ] {
        let seen = asker.ask(Wire::OpenAi, &format!("m!status=429!{words}"), false).await;
        let error = &seen.json()["error"];
        assert_eq!((seen.status, &error["type"], &error["code"]), (429, &json!(kind), &json!(code)));
        assert_eq!(error["message"].to_string().contains("quota"), kind != "t", "{error}");
    }
    let error = asker.ask(Wire::OpenAi, "m!status=402", false).await.json();
    assert_eq!(error["error"]["message"], "Insufficient Balance");
}

#[tokio::test]
async fn words_and_headers_of_an_error_can_be_chosen() {
    let behaviour = Behaviour::status(429)
        .error_type("insufficient_quota")
        .error_code("quota")
        .error_message("No \"money\"")
        .header("retry-after", "7")
        .header("Content-Type", "application/problem+json");
    let (_simulator, asker) = start(behaviour).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", false).await;
        let error = &seen.json()["error"];
        assert_eq!(
            (&error["type"], &error["message"]),
            (&json!("insufficient_quota"), &json!("No \"money\""))
        );
        let code = if wire == Wire::OpenAi { &error["code"] } else { &error["details"]["error_code"] };
        assert_eq!(code, "quota");
        assert_eq!(seen.header("retry-after"), "7");
        assert_eq!(seen.headers.get_all("content-type").iter().count(), 1);
        assert_eq!(seen.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn bodies_that_are_no_answer() {
    let simulator = Simulator::start().await.unwrap();
    let asker = Asker::new(&simulator);
    for wire in WIRES {
        let seen = asker.ask(wire, "m!html", true).await;
        assert_eq!((seen.status, seen.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(seen.text().contains("<html>"));
        let seen = asker.ask(wire, "m!status=502!body=Bad gateway", false).await;
        assert_eq!((seen.status, seen.text()), (502, "Bad gateway"));
        let seen = asker.ask(wire, "m!error-body=429", true).await;
        assert_eq!(seen.status, 200);
        assert!(seen.json()["error"]["message"].is_string());
        let seen = asker.ask(wire, "m!json!text=Hi", true).await;
        assert_eq!(seen.header("content-type"), "application/json");
        assert!(seen.json().to_string().contains("\"Hi\""));
    }
    simulator.on("bytes", Behaviour::default().body(vec![0xFF, 0x00]));
    assert_eq!(asker.ask(Wire::OpenAi, "bytes", false).await.body, [0xFF, 0x00]);
}

#[tokio::test]
async fn no_response_at_all() {
    for behaviour in [Behaviour::reset(), Behaviour::close()] {
        let (simulator, asker) = start(behaviour).await;
        for wire in WIRES {
            for stream in [false, true] {
                assert!(asker.send(wire, "m", stream).await.is_err());
            }
        }
        within(simulator.wait_idle()).await;
        assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Cut));
        assert_eq!(simulator.received("m"), 4);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_at_the_transport_has_no_end() {
    for fault in [Fault::Reset, Fault::Close] {
        let (simulator, asker) = start(Behaviour::answer("one two three").fault_after(2, fault)).await;
        for wire in WIRES {
            let seen = asker.ask(wire, "m", true).await;
            assert!(!seen.whole && !seen.terminated(), "{wire} {fault:?}");
            assert_eq!(seen.deltas(), ["one", " two"], "{wire} {fault:?}");
            assert!(!asker.ask(wire, "m", false).await.whole, "{wire} {fault:?}");
        }
        within(simulator.wait_idle()).await;
        assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Cut));
    }
}

#[tokio::test]
async fn a_truncated_stream_ends_well_for_http_only() {
    let (simulator, asker) = start(Behaviour::answer("one two three").truncate_after(1)).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", true).await;
        assert!(seen.whole && !seen.terminated());
        assert_eq!(seen.deltas(), ["one"]);
        let seen = asker.ask(wire, "m", false).await;
        assert!(seen.whole && serde_json::from_slice::<Value>(&seen.body).is_err());
    }
    within(simulator.wait_idle()).await;
    assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Completed));
}

#[tokio::test]
async fn a_fault_after_more_deltas_than_there_are_comes_before_the_finish_reason() {
    let (_simulator, asker) = start(Behaviour::answer("one two").truncate_after(9)).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", true).await;
        assert_eq!(seen.deltas(), ["one", " two"]);
        assert!(!seen.terminated() && !seen.text().contains("stop\""));
    }
}

#[tokio::test]
async fn a_stream_without_done() {
    let (_simulator, asker) = start(Behaviour::default().no_done()).await;
    let seen = asker.ask(Wire::OpenAi, "m", true).await;
    assert!(seen.whole && !seen.terminated() && seen.text().contains("\"finish_reason\":\"stop\""));
}

#[tokio::test]
async fn a_malformed_event_is_followed_by_a_normal_end() {
    let (_simulator, asker) = start(Behaviour::answer("one two").fault_after(1, Fault::Malformed)).await;
    for wire in WIRES {
        let seen = asker.ask(wire, "m", true).await;
        assert!(seen.terminated());
        assert_eq!(seen.deltas(), ["one", " two"]);
        let events = seen.events();
        let bad = |data: &str| data != "[DONE]" && serde_json::from_str::<Value>(data).is_err();
        assert_eq!(events.iter().filter(|(_, data)| bad(data)).count(), 1);
        assert!(serde_json::from_slice::<Value>(&asker.ask(wire, "m", false).await.body).is_err());
    }
}

#[tokio::test]
async fn invalid_utf8_is_followed_by_a_normal_end() {
    let (_simulator, asker) = start(Behaviour::answer("one two").fault_after(1, Fault::InvalidUtf8)).await;
    for wire in WIRES {
        for stream in [true, false] {
            let seen = asker.ask(wire, "m", stream).await;
            assert!(seen.whole);
            assert_eq!(seen.terminated(), stream);
            assert!(std::str::from_utf8(&seen.body).is_err());
            assert!(String::from_utf8_lossy(&seen.body).contains("two"));
        }
    }
}

#[tokio::test]
async fn an_error_event_after_200() {
    let (_simulator, asker) = start(Behaviour::answer("one two").error_after(1, 529)).await;
    for (wire, name, kind) in
        [(Wire::OpenAi, "", "service_unavailable_error"), (Wire::Anthropic, "error", "overloaded_error")]
    {
        let seen = asker.ask(wire, "m", true).await;
        assert_eq!(seen.status, 200);
        assert!(seen.whole && !seen.terminated());
        assert_eq!(seen.deltas(), ["one"]);
        let (last, data) = seen.events().pop().unwrap();
        assert_eq!(last, name);
        assert_eq!(serde_json::from_str::<Value>(&data).unwrap()["error"]["type"], kind);
        let seen = asker.ask(wire, "m", false).await;
        assert_eq!((seen.status, &seen.json()["error"]["type"]), (200, &json!(kind)));
    }
    let seen = asker.ask(Wire::OpenAi, "m!error-after=0,429!code=slow_down!type=t", true).await;
    let (_, data) = seen.events().pop().unwrap();
    let error = &serde_json::from_str::<Value>(&data).unwrap()["error"];
    assert_eq!((&error["code"], &error["type"]), (&json!("slow_down"), &json!("t")));
}

#[tokio::test]
async fn an_endless_event_has_no_line_feed() {
    const ENOUGH: usize = 1 << 20;
    let (simulator, asker) = start(Behaviour::answer("one two").fault_after(1, Fault::EndlessEvent)).await;
    for wire in WIRES {
        let mut response = asker.send(wire, "m", true).await.unwrap();
        let so_far = read_until(&mut response, "xxxx").await;
        assert!(so_far.contains("one"));
        let mut bytes = 0;
        while bytes < ENOUGH {
            let chunk = within(response.chunk()).await.unwrap().unwrap();
            assert!(chunk.iter().all(|byte| *byte == b'x'));
            bytes += chunk.len();
        }
    }
    within(simulator.wait_idle()).await;
    assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Disconnected));
}

#[tokio::test]
async fn an_endless_stream_goes_on_until_the_client_leaves() {
    let (simulator, asker) = start(Behaviour::answer("one").fault_after(1, Fault::Endless)).await;
    for wire in WIRES {
        for stream in [true, false] {
            let mut response = asker.send(wire, "m", stream).await.unwrap();
            let mut bytes = 0;
            while bytes < 1 << 20 {
                bytes += within(response.chunk()).await.unwrap().unwrap().len();
            }
        }
    }
    within(simulator.wait_idle()).await;
    assert!(simulator.requests("m").iter().all(|request| request.ended == Ended::Disconnected));
}

#[tokio::test]
async fn characters_are_split_over_chunks_and_read_right() {
    let text = "Grüße, 世界 😀";
    for behaviour in [Behaviour::answer(text).split_utf8(), Behaviour::answer(text).drip(1, Duration::ZERO)] {
        let (_simulator, asker) = start(behaviour).await;
        for wire in WIRES {
            let mut response = asker.send(wire, "m", true).await.unwrap();
            let (mut whole, mut split) = (Vec::new(), false);
            while let Some(chunk) = within(response.chunk()).await.unwrap() {
                split |= std::str::from_utf8(&chunk).is_err();
                whole.extend_from_slice(&chunk);
            }
            assert!(split, "every chunk was UTF-8 of its own");
            assert!(String::from_utf8(whole).unwrap().contains(" 😀"));
            assert!(asker.ask(wire, "m", true).await.deltas().concat() == text);
            assert!(asker.ask(wire, "m", false).await.json().to_string().contains(text));
        }
    }
}
