//! A server that is dead, frozen, restarted, or not there yet: how long anybody waits, and for which answer.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{MemcachedRotation, OnOutage, Rotation, RotationError, StoreCause, StoreEvent};
use futures::future::join_all;
use parking_lot::Mutex;
use test_servers::MemcachedServer;
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::real::{LONG, at_once, hasty, patient, recovered};

const LOST: Result<u64, RotationError> = Err(RotationError::StoreUnavailable);
/// What a call waits for at most, unless set.
const TIMEOUT: Duration = Duration::from_millis(50);
/// As far as it may be late on the busiest machine: much less than anything else that it could wait for.
const LATE: Duration = Duration::from_secs(5);

type Events = Arc<Mutex<Vec<StoreEvent>>>;

fn watched(builder: circuit_breaker::MemcachedRotationBuilder) -> (MemcachedRotation, Events) {
    let events = Events::default();
    let told = Arc::clone(&events);
    let rotation = builder.on_event(move |event| told.lock().push(event.clone())).build().unwrap();
    (rotation, events)
}

fn lost(server: &MemcachedServer, cause: StoreCause) -> StoreEvent {
    StoreEvent::Lost { store: server.address().to_string().into(), cause }
}

fn back(server: &MemcachedServer) -> StoreEvent {
    StoreEvent::Back { store: server.address().to_string().into() }
}

#[tokio::test]
async fn turns_begin_anew_when_the_server_does() {
    let server = MemcachedServer::start().await.unwrap();
    let (rotation, events) = watched(patient(&server));
    for turn in 0..3 {
        assert_eq!(rotation.next("key").await, Ok(turn));
    }
    server.kill();
    assert_eq!(rotation.next("key").await, LOST);
    assert!(rotation.is_degraded());
    for _ in 0..100 {
        assert_eq!(at_once(rotation.next("key")), LOST);
        assert_eq!(at_once(rotation.reset("key")), Err(RotationError::StoreUnavailable));
    }
    assert_eq!(*events.lock(), [lost(&server, StoreCause::Connection)]);
    server.restart().await.unwrap();
    recovered(&rotation).await;
    assert_eq!(rotation.next("key").await, Ok(0));
    assert_eq!(*events.lock(), [lost(&server, StoreCause::Connection), back(&server)]);
}

#[tokio::test]
async fn a_frozen_server_holds_one_call_up_for_the_timeout_and_no_other() {
    let server = MemcachedServer::start().await.unwrap();
    let (rotation, events) = watched(hasty(&server));
    recovered(&rotation).await;
    server.freeze().unwrap();
    let asked = Instant::now();
    let answers = join_all((0..400).map(|_| rotation.next("key"))).await;
    let waited = asked.elapsed();
    assert_eq!(answers, [LOST; 400]);
    assert!(waited >= TIMEOUT && waited < TIMEOUT + LATE, "{waited:?}");
    for _ in 0..100 {
        assert_eq!(at_once(rotation.next("key")), LOST);
    }
    assert_eq!(*events.lock(), [lost(&server, StoreCause::Timeout)]);
    server.thaw().unwrap();
    recovered(&rotation).await;
    assert_eq!(events.lock().last(), Some(&back(&server)));
}

/// Those that were sent to it may count, and are not given to anybody else.
#[tokio::test]
async fn what_a_frozen_server_was_asked_is_not_asked_again() {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = hasty(&server).build().unwrap();
    recovered(&rotation).await;
    let watcher = patient(&server).build().unwrap();
    assert_eq!(watcher.next("key").await, Ok(0));
    server.freeze().unwrap();
    assert_eq!(rotation.next("key").await, LOST);
    server.thaw().unwrap();
    recovered(&rotation).await;
    let turn = watcher.next("key").await.unwrap();
    assert!((1..=2).contains(&turn), "{turn}");
}

#[tokio::test]
async fn a_server_may_come_later() {
    let server = MemcachedServer::start().await.unwrap();
    server.kill();
    let (rotation, events) = watched(hasty(&server));
    assert_eq!(rotation.next("key").await, LOST);
    assert_eq!(at_once(rotation.next("key")), LOST);
    assert_eq!(*events.lock(), [lost(&server, StoreCause::Connection)]);
    server.restart().await.unwrap();
    recovered(&rotation).await;
    assert_eq!(events.lock().len(), 2);
    let patient = patient(&server).build().unwrap();
    assert_eq!(patient.next("key").await, Ok(0));
}

#[tokio::test]
async fn a_frozen_server_is_found_when_it_thaws() {
    let server = MemcachedServer::start().await.unwrap();
    server.freeze().unwrap();
    let rotation = hasty(&server).build().unwrap();
    assert_eq!(rotation.next("key").await, LOST);
    assert!(rotation.ready(TIMEOUT).await.is_err());
    server.thaw().unwrap();
    recovered(&rotation).await;
}

#[tokio::test]
async fn without_a_server_turns_are_drawn_at_random_if_told_so() {
    let server = MemcachedServer::start().await.unwrap();
    server.kill();
    for on_outage in [OnOutage::LocalFallback, OnOutage::FailOpen] {
        let rotation = hasty(&server).on_outage(on_outage).build().unwrap();
        let mut turns = vec![rotation.next("key").await.unwrap()];
        turns.extend((0..60).map(|_| at_once(rotation.next("key")).unwrap()));
        // Of three candidates each comes first sometimes: that one never does has a chance of 1 in 10 ^ 10.
        assert!((0..3).all(|candidate| turns.iter().any(|turn| turn % 3 == candidate)), "{turns:?}");
        assert_eq!(rotation.reset("key").await, Err(RotationError::StoreUnavailable));
        rotation.close().await;
        assert!(rotation.next("key").await.is_ok(), "as in an outage");
    }
}

#[test]
fn the_next_runtime_takes_over() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (server, rotation) = first.block_on(async {
        let server = MemcachedServer::start().await.unwrap();
        let rotation = patient(&server).build().unwrap();
        assert_eq!(rotation.next("key").await, Ok(0));
        (server, rotation)
    });
    drop(first);
    runtime().block_on(async {
        assert_eq!(rotation.next("key").await, LOST, "the connection went with the runtime");
        recovered(&rotation).await;
        assert_eq!(rotation.next("key").await, Ok(1));
        assert_eq!(tokio::time::timeout(LONG, rotation.reset("key")).await, Ok(Ok(())));
    });
    drop(server);
}
