//! Backends that share their state through a real Valkey.
#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../crates/circuit-breaker/tests/common/stores.rs"]
mod stores;

use std::time::Duration;

use circuit_breaker::{RedisRotation, RedisStore, Rotation};
use test_servers::{RedisCluster, RedisServer};

use crate::stores::STALE;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_keeps_to_its_contract() {
    let server = RedisServer::builder().valkey().start().await.unwrap();
    let builder = || RedisStore::builder(server.url());
    stores::breaker_keeps_to_it(&builder).await;
    stores::breaker_without_views_keeps_to_it(&builder).await;
    stores::limiter_keeps_to_it(&builder, STALE).await;
    stores::limiter_keeps_to_it(&builder, Duration::ZERO).await;
    stores::rotation_keeps_to_it(&builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_die_freeze_and_forget_its_scripts() {
    let server = RedisServer::builder().valkey().start().await.unwrap();
    let url = server.url().replace("redis:", "valkey:");
    let store = RedisStore::builder(url).timeout(Duration::from_millis(250)).build().unwrap();
    let rotation = RedisRotation::new(&store);
    store.ready(LIMIT).await.unwrap();
    assert_eq!(rotation.next("key").await.unwrap(), 0);
    server.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert_eq!(rotation.next("key").await.unwrap(), 1);

    server.freeze().unwrap();
    rotation.next("key").await.unwrap_err();
    assert!(store.is_degraded());
    server.thaw().unwrap();
    store.ready(LIMIT).await.unwrap();
    rotation.next("key").await.unwrap();

    server.kill();
    rotation.next("key").await.unwrap_err();
    server.restart().await.unwrap();
    store.ready(LIMIT).await.unwrap();
    rotation.next("key").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_cluster_serves_every_slot_and_replaces_a_master() {
    let cluster = RedisCluster::start_with(RedisServer::builder().valkey(), 3, 1).await.unwrap();
    let store = RedisStore::cluster(cluster.urls()).timeout(Duration::from_millis(250)).build().unwrap();
    let rotation = RedisRotation::new(&store);
    store.ready(LIMIT).await.unwrap();
    for number in 0..100 {
        assert_eq!(rotation.next(&format!("key-{number}")).await.unwrap(), 0);
    }
    cluster.nodes()[0].kill();
    cluster.wait_until_owned(0, |owner| owner != 0).await.unwrap();
    cluster.wait_until_ok().await.unwrap();
    for number in 0..100 {
        let _ = rotation.next(&format!("key-{number}")).await;
    }
    store.ready(LIMIT).await.unwrap();
    for number in 0..100 {
        assert!(rotation.next(&format!("key-{number}")).await.unwrap() > 0);
    }
}
