//! What goes wrong.

use std::time::Duration;

use llm_protocol::{ErrorKind, Progress, Request, Stage};
use llm_simulator::{Behaviour, Fault};

use super::{KEY, MODEL, bench, errors, generate, stream};

#[tokio::test]
async fn statuses_become_kinds_with_their_hints() {
    let bench = bench().await;
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (401, ErrorKind::Authentication),
        (402, ErrorKind::Billing),
        (403, ErrorKind::Permission),
        (404, ErrorKind::ModelNotFound),
        (408, ErrorKind::Server),
        (413, ErrorKind::TooLarge),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Server),
        (502, ErrorKind::Server),
        (529, ErrorKind::Overloaded),
    ] {
        bench.on(Behaviour::status(status).header("retry-after", "7").header("x-should-retry", "false"));
        for model in &bench.models {
            for error in errors(model).await {
                assert_eq!(error.kind(), kind, "{status}: {error}");
                assert_eq!(error.status(), Some(status));
                assert_eq!(error.model_key(), Some(model.key()));
                assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
                assert_eq!(error.should_retry(), Some(false));
                assert!(error.request_id().is_some(), "{error:?}");
                assert!(!error.message().is_empty());
            }
        }
    }
}

#[tokio::test]
async fn own_secrets_are_scrubbed_from_provider_texts() {
    let bench = bench().await;
    bench.on(Behaviour::status(401).error_message(format!("the key {KEY} is wrong")));
    for model in &bench.models {
        for error in errors(model).await {
            assert_eq!(error.message(), "the key *** is wrong");
            assert!(!format!("{error:?}{error}").contains(KEY));
        }
    }
}

#[tokio::test]
async fn pages_are_no_answers() {
    let bench = bench().await;
    bench.on(Behaviour::html());
    for model in &bench.models {
        for error in errors(model).await {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            assert!(!error.message().contains("Welcome"));
        }
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_truncated() {
    let bench = bench().await;
    for fault in [Fault::Truncate, Fault::Close, Fault::Reset] {
        bench.on(Behaviour::answer("one two three").fault_after(2, fault));
        for model in &bench.models {
            let (answer, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Truncated, "{fault:?}");
            assert!(!answer.is_finished());
            assert!(answer.response().request_id.is_some());
            if fault != Fault::Reset {
                assert_eq!(answer.response().text, "one two");
            }
        }
    }
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_truncated() {
    let bench = bench().await;
    for fault in [Fault::Close, Fault::Reset] {
        bench.on(Behaviour::answer("one two three").fault_after(2, fault));
        for model in &bench.models {
            let error = generate(model).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated, "{fault:?}");
            assert!(error.request_id().is_some());
        }
    }
}

#[tokio::test]
async fn nonsense_in_a_stream_is_a_protocol_error() {
    let bench = bench().await;
    for fault in [Fault::Malformed, Fault::InvalidUtf8] {
        bench.on(Behaviour::answer("one two three").fault_after(1, fault));
        for model in &bench.models {
            let (answer, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Protocol, "{fault:?}");
            assert_eq!(answer.response().text, "one");
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_connection_error() {
    let bench = bench().await;
    for behaviour in [Behaviour::reset(), Behaviour::close()] {
        bench.on(behaviour);
        for model in &bench.models {
            let progress = Progress::new();
            let error = model.generate(&Request::from("hello"), &progress).await.unwrap_err();
            assert_eq!((error.kind(), progress.stage()), (ErrorKind::Connection, Stage::Sent), "{error}");
            let (_, ending) = stream(model).await;
            assert_eq!(ending.unwrap_err().kind(), ErrorKind::Connection);
        }
    }
    assert_eq!(bench.provider.received(MODEL), 8, "nothing is asked twice");
}
