//! The contract suite, on a real server and its real time.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{Pace, RotationHarness, check_rotation};
use circuit_breaker::{LeaseId, Rotation, async_trait};
use test_servers::MemcachedServer;

use crate::real::patient;

/// Makes rotations on one server, each suite's with a prefix of its own.
struct Memcached(MemcachedServer);

impl Memcached {
    fn rotation(&self, prefix: &str) -> Arc<dyn Rotation> {
        Arc::new(patient(&self.0).prefix(prefix).build().unwrap())
    }
}

fn prefix() -> String {
    format!("contract-{}", LeaseId::new())
}

#[async_trait]
impl RotationHarness for Memcached {
    async fn rotation(&self) -> Arc<dyn Rotation> {
        self.rotation(&prefix())
    }

    async fn pair(&self) -> Option<[Arc<dyn Rotation>; 2]> {
        let prefix = prefix();
        Some([self.rotation(&prefix), self.rotation(&prefix)])
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_millis(300)).at_once(16)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rotation_keeps_to_the_contract() {
    let server = MemcachedServer::start().await.unwrap();
    let _ = check_rotation(&Memcached(server)).await.assert_complete();
}

#[tokio::test]
async fn the_rotation_keeps_to_the_contract_in_one_thread() {
    let server = MemcachedServer::start().await.unwrap();
    let _ = check_rotation(&Memcached(server)).await.assert_complete();
}
