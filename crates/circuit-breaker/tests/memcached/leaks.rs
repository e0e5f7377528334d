//! What is left behind: no connection and no task.

use std::time::Duration;

use circuit_breaker::{Rotation, RotationError};
use futures::future::join_all;
use test_servers::MemcachedServer;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::real::{connections, hasty, patient, recovered, until};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn nobody_is_connected(server: &MemcachedServer) {
    until("nobody is connected", || async { connections(server).await == 0 }).await;
}

async fn one_is_connected(server: &MemcachedServer) {
    until("one is connected", || async { connections(server).await == 1 }).await;
}

async fn as_few_tasks_as(before: usize) {
    until("the tasks end", || async { tasks() <= before }).await;
}

#[tokio::test]
async fn one_connection_serves_all_and_goes_with_the_rotation() {
    let server = MemcachedServer::start().await.unwrap();
    nobody_is_connected(&server).await;
    let before = tasks();
    let rotation = patient(&server).build().unwrap();
    nobody_is_connected(&server).await;
    let turns = join_all((0..300).map(|_| rotation.next("key"))).await;
    assert!(turns.iter().all(Result::is_ok));
    one_is_connected(&server).await;
    drop(turns);
    drop(rotation);
    nobody_is_connected(&server).await;
    as_few_tasks_as(before).await;
}

#[tokio::test]
async fn closing_gives_up_the_connection_and_no_other() {
    let server = MemcachedServer::start().await.unwrap();
    let before = tasks();
    let [one, other] = [(), ()].map(|()| patient(&server).build().unwrap());
    assert_eq!((one.next("key").await, other.next("key").await), (Ok(0), Ok(1)));
    until("two are connected", || async { connections(&server).await == 2 }).await;
    one.close().await;
    one.close().await;
    one_is_connected(&server).await;
    assert_eq!(one.next("key").await, Err(RotationError::StoreUnavailable));
    assert_eq!(one.reset("key").await, Err(RotationError::StoreUnavailable));
    assert!(one.ready(Duration::ZERO).await.is_err() && !one.is_degraded());
    one_is_connected(&server).await;
    assert_eq!(other.next("key").await, Ok(2));
    other.close().await;
    nobody_is_connected(&server).await;
    as_few_tasks_as(before).await;
}

/// A call that is under way is served before the connection closes.
#[tokio::test]
async fn closing_leaves_those_who_wait_their_turn() {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = patient(&server).build().unwrap();
    assert_eq!(rotation.next("key").await, Ok(0));
    server.freeze().unwrap();
    let (turn, ()) = tokio::join!(biased; rotation.next("key"), async {
        rotation.close().await;
        server.thaw().unwrap();
    });
    assert_eq!(turn, Ok(1));
    nobody_is_connected(&server).await;
}

/// More than can be under way at once, so that some are not even written.
#[tokio::test]
async fn whoever_is_dropped_before_a_frozen_server_answers_leaves_nothing() {
    let server = MemcachedServer::start().await.unwrap();
    let before = tasks();
    let rotation = patient(&server).build().unwrap();
    assert_eq!(rotation.next("key").await, Ok(0));
    server.freeze().unwrap();
    let crowd = join_all((0..1000).map(|_| rotation.next("key")));
    assert!(timeout(Duration::from_millis(50), crowd).await.is_err());
    drop(rotation);
    as_few_tasks_as(before).await;
    server.thaw().unwrap();
    nobody_is_connected(&server).await;
}

#[tokio::test]
async fn outages_leave_one_connection() {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = hasty(&server).build().unwrap();
    recovered(&rotation).await;
    let during = tasks();
    for _ in 0..3 {
        server.freeze().unwrap();
        while rotation.next("key").await.is_ok() {}
        server.thaw().unwrap();
        recovered(&rotation).await;
        one_is_connected(&server).await;
        as_few_tasks_as(during).await;
    }
}
