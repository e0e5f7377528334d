//! Tests of the shared state.

use serde_json::Value;

use super::{Behaviour, Ended, MAX_LOG, MAX_MODEL_NAME, MAX_MODELS, Received, Refusal, Screened, Shared};
use crate::Wire;

fn fine() -> Screened<'static> {
    Screened::new(Wire::OpenAi, None, None, None)
}

fn request(model: &str) -> Received {
    Received {
        number: 0,
        connection: 0,
        model: model.to_owned(),
        wire: Wire::OpenAi,
        method: "POST".to_owned(),
        path: "/".to_owned(),
        streamed: false,
        body: Value::Null,
        ended: Ended::Open,
        headers: Vec::new(),
    }
}

#[test]
fn the_log_is_bounded_and_the_counts_are_not() {
    let shared = Shared::new();
    let (first, _) = shared.begin(request("m"), b"", fine());
    for _ in 0..MAX_LOG {
        let (number, _) = shared.begin(request("m"), b"", fine());
        shared.end(number, Ended::Completed);
    }
    assert_eq!(shared.requests(None).len(), MAX_LOG);
    assert_eq!(shared.received("m"), MAX_LOG + 1);
    assert_eq!(shared.open_requests(), 1);
    shared.end(first, Ended::Cut); // forgotten, which must do no harm
    assert_eq!(shared.open_requests(), 0);
    assert!(shared.requests(Some("m")).iter().all(|request| request.ended == Ended::Completed));
}

#[test]
fn the_names_of_models_are_bounded() {
    let shared = Shared::new();
    for number in 0..MAX_MODELS {
        let (_, chosen) = shared.begin(request(&number.to_string()), b"", fine());
        assert!(chosen.is_ok());
    }
    assert!(shared.begin(request("one more"), b"", fine()).1.is_err());
    assert!(shared.begin(request("0"), b"", fine()).1.is_ok());
    let shared = Shared::new();
    assert!(shared.begin(request(&"m".repeat(MAX_MODEL_NAME + 1)), b"", fine()).1.is_err());
    assert_eq!(shared.received_total(), 1);
}

#[test]
fn the_log_is_bounded_by_bytes_too() {
    let shared = Shared::new();
    let body = vec![b' '; 16 * 1024 * 1024];
    for _ in 0..10 {
        let _ = shared.begin(request("m"), &body, fine());
    }
    assert_eq!(shared.requests(None).len(), 3); // the fourth would fit but for its head
    let shared = Shared::new();
    let path = "p".repeat(60 * 1024);
    for _ in 0..2000 {
        let headers = vec![("x".to_owned(), path.clone())];
        let _ = shared.begin(Received { path: path.clone(), headers, ..request("m") }, b"", fine());
    }
    let kept = shared.requests(None).len();
    assert!((500..550).contains(&kept), "{kept} heads of 120 KiB were kept");
}

#[test]
fn what_is_refused_anyway_takes_no_step() {
    let shared = Shared::new();
    shared.script("m", [Behaviour::status(500), Behaviour::default()].into());
    let refused = Screened::new(Wire::OpenAi, None, None, Some(Refusal::new("no")));
    assert!(shared.begin(request("m"), b"", refused).1.is_err());
    let status = || shared.begin(request("m"), b"", fine()).1.map_or(0, |behaviour| behaviour.status);
    assert_eq!([status(), status()], [500, 200]);
    assert_eq!(shared.received("m"), 3);
}
