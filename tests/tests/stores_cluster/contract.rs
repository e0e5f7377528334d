//! The contract suites.

use std::time::Duration;

use circuit_breaker::RedisStore;
use test_servers::RedisCluster;

use crate::stores::{self, STALE};

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_keeps_to_its_contract() {
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    let builder = || RedisStore::cluster(cluster.urls());
    stores::breaker_keeps_to_it(&builder).await;
    stores::breaker_without_views_keeps_to_it(&builder).await;
    stores::limiter_keeps_to_it(&builder, STALE).await;
    stores::limiter_keeps_to_it(&builder, Duration::ZERO).await;
    stores::rotation_keeps_to_it(&builder).await;
}
