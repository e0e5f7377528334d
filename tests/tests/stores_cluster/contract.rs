//! The contract suites.

use circuit_breaker::RedisStore;
use test_servers::RedisCluster;

use crate::harness;

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_keeps_to_its_contract() {
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    harness::check(|| RedisStore::cluster(cluster.urls())).await;
}
