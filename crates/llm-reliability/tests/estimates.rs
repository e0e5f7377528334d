//! What a call is thought to cost: by whom, how often, and how roughly.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{builder, failing, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{ErrorKind, Image, Message, Opaque, Part, Request, ResponseFormat, Role, Tool, ToolCall};
use llm_reliability::circuit_breaker::{
    Ask, Cost, InProcessBreaker, LeaseId, Limited, Limiter, Mode, Reservation, async_trait,
};
use llm_reliability::{ClientBuilder, Policy, estimate_cost};
use parking_lot::Mutex;
use serde_json::json;

/// Lets everything through, and writes down what it was asked for.
#[derive(Default)]
struct Till {
    asked: Mutex<Vec<Cost>>,
    settled: Mutex<Vec<Cost>>,
}

#[async_trait]
impl Limiter for Till {
    async fn acquire(&self, _: &str, _: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        self.asked.lock().push(*cost);
        Ok(Reservation::new(*cost))
    }

    fn settle(&self, _: &str, _: LeaseId, _: Reservation, actual: &Cost) {
        self.settled.lock().push(*actual);
    }

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Reservation>) {}

    fn defer(&self, _: &str, _: Duration) {}
}

/// Two models, of which the first fails, and a third that answers.
fn three() -> ClientBuilder {
    let down = |name| ScriptedModel::new(name).then(failing(ErrorKind::Server));
    let retries = Policy::default().transient_retries(1).backoff(Duration::ZERO, Duration::ZERO);
    builder(&[down("p:a"), down("p:b"), ScriptedModel::new("p:c")]).policy(retries)
}

/// Counts how often it was asked.
fn counting(count: &Arc<AtomicUsize>) -> impl Fn(&Request) -> Cost + Send + Sync + 'static {
    let count = Arc::clone(count);
    move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Cost::REQUEST.with_input_tokens(7)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_estimated_once_for_all_its_attempts() {
    let (till, count) = (Arc::new(Till::default()), Arc::default());
    let client = three().limiter(Arc::<Till>::clone(&till)).estimate_cost(counting(&count)).build().unwrap();
    assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 5);
    assert_eq!(*till.asked.lock(), [Cost::REQUEST.with_input_tokens(7); 5]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    client.fan_out("hi").await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_estimated_that_nobody_asks_for() {
    // Its own limiter has no rates.
    let count = Arc::default();
    let client = three().estimate_cost(counting(&count)).build().unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
    // Who is not let out by his breaker gets no further.
    let breaker = Arc::new(InProcessBreaker::default());
    for key in ["p:a", "p:b", "p:c"] {
        breaker.set_mode(key, Mode::ForcedOpen).unwrap();
    }
    let client = three().breaker(breaker).limiter(Arc::new(Till::default()));
    client.estimate_cost(counting(&count)).build().unwrap().failover("hi").await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_estimator_that_panics_knows_nothing_and_takes_no_call_down() {
    let (till, count) = (Arc::new(Till::default()), Arc::new(AtomicUsize::new(0)));
    let asked = Arc::clone(&count);
    let client = three()
        .limiter(Arc::<Till>::clone(&till))
        .estimate_cost(move |_| panic!("asked {}", asked.fetch_add(1, Ordering::Relaxed)))
        .build()
        .unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report).last().unwrap(), "p:c success @stream");
    assert_eq!(*till.asked.lock(), [Cost::REQUEST; 5]);
    assert_eq!(count.load(Ordering::Relaxed), 1, "it is not asked again for the same call");
    assert_eq!(till.settled.lock().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_batch_stays_as_many_requests_as_it_was_said_to_be() {
    let till = Arc::new(Till::default());
    let client = builder(&[ScriptedModel::new("p:a").then(Step::answer("one two"))])
        .limiter(Arc::<Till>::clone(&till))
        .estimate_cost(|_| Cost::REQUEST.with_requests(3))
        .build()
        .unwrap();
    client.failover("hi").await.unwrap();
    let actual = Cost::REQUEST.with_requests(3).with_input_tokens(10).with_output_tokens(2);
    assert_eq!(*till.settled.lock(), [actual]);
}

#[test]
fn texts_are_counted_by_their_bytes_wherever_they_stand() {
    let schema = json!({"type": "object"}); // 17 bytes
    let call = ToolCall { id: "not counted".into(), name: "seek".into(), arguments: "{\"q\":1}!".into() };
    for (request, input) in [
        (Request::from("four"), 1),
        (Request::from("five!"), 2),
        (Request::from("日本"), 2),
        (Request::new([Message::system("four"), Message::user("four")]), 2),
        (Request::new([Message::tool("id", "name", "eight by")]), 2),
        (Request::new([Message::new(Role::Assistant, vec![Part::ToolCall(call)])]), 3),
        (Request::from("xyz").tool(Tool::new("seek", schema.clone())), 6),
        (Request::from("xyz").tool(Tool::new("seek", schema.clone()).description("four")), 7),
        (Request::from("xyz").response_format(ResponseFormat::json_schema("name", schema)), 6),
        (Request::from("xyz").response_format(ResponseFormat::JsonObject), 1),
        (Request::new([Message::user("four").image(Image::url("https://example.com/cat.png"))]), 1001),
        (Request::new([Message::user("").image(Image::bytes("image/png", [0; 9000]))]), 1000),
        (Request::new([Message::user("four").part(Part::Opaque(Opaque::new("p", "\"left out\"")))]), 1),
        (Request::from("four").extra("p", "left", "out"), 1),
    ] {
        let cost = estimate_cost(&request);
        assert_eq!(cost, Cost::REQUEST.with_input_tokens(input), "{request:?}");
        let bounded = estimate_cost(&request.max_tokens(300));
        assert_eq!(bounded, cost.with_output_tokens(300));
    }
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_is_handed_in_is_asked_with_the_rough_estimate() {
    let till = Arc::new(Till::default());
    let client = builder(&[ScriptedModel::new("p:a")]).limiter(Arc::<Till>::clone(&till)).build().unwrap();
    client.failover(Request::from("12 bytes…").max_tokens(50)).await.unwrap();
    client.failover("12 bytes…").await.unwrap();
    let three = Cost::REQUEST.with_input_tokens(3);
    assert_eq!(*till.asked.lock(), [three.with_output_tokens(50), three]);
}
