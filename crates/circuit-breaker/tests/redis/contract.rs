//! The contract suites, on a real server and its real time.

use std::time::Duration;

use circuit_breaker::{RedisStore, RedisStoreBuilder};
use test_servers::RedisServer;

use crate::stores::{self, STALE};

async fn server() -> (RedisServer, impl Fn() -> RedisStoreBuilder + Send + Sync) {
    let server = RedisServer::start().await.unwrap();
    let url = server.url();
    (server, move || RedisStore::builder(url.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_keeps_to_the_contract() {
    let (_server, builder) = server().await;
    stores::breaker_keeps_to_it(builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_without_views_keeps_to_the_contract() {
    let (_server, builder) = server().await;
    stores::breaker_without_views_keeps_to_it(builder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_keeps_to_the_contract() {
    let (_server, builder) = server().await;
    stores::limiter_keeps_to_it(builder, STALE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_without_views_keeps_to_the_contract() {
    let (_server, builder) = server().await;
    stores::limiter_keeps_to_it(builder, Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rotation_keeps_to_the_contract() {
    let (_server, builder) = server().await;
    stores::rotation_keeps_to_it(builder).await;
}
