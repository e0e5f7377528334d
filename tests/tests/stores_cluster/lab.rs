//! A Cluster, a store on it, what the store told, and a rotation that shows who is served.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{RedisRotation, RedisStore, RedisStoreBuilder, Rotation, StoreEvent};
use parking_lot::Mutex;
use test_servers::{RedisCluster, RedisServer};
use tokio::time::{Instant, sleep, timeout};

/// Far more than anything takes, for slow machines.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a call may wait for the store, in these tests: long enough for a busy machine, and far from `LIMIT`.
pub const PATIENCE: Duration = Duration::from_millis(250);

pub struct Lab {
    pub cluster: RedisCluster,
    pub store: RedisStore,
    pub rotation: RedisRotation,
    told: Arc<Mutex<Vec<StoreEvent>>>,
}

impl Lab {
    /// One whose masters serve their slots even when those of others are not served.
    pub async fn start(masters: usize, replicas: usize) -> Self {
        let options = RedisServer::builder().config("cluster-require-full-coverage", "no");
        let cluster = RedisCluster::start_with(options, masters, replicas).await.unwrap();
        let told = Arc::<Mutex<Vec<StoreEvent>>>::default();
        let hear = Arc::clone(&told);
        let store = builder(&cluster).on_event(move |event| hear.lock().push(event.clone())).build().unwrap();
        store.ready(LIMIT).await.unwrap();
        let rotation = RedisRotation::new(&store);
        Self { cluster, store, rotation, told }
    }

    /// What the store told since this was asked last.
    pub fn told(&self) -> Vec<StoreEvent> {
        std::mem::take(&mut self.told.lock())
    }

    /// So many keys of rotations whose slots this node has, away from the borders of what it has.
    pub fn keys_of(&self, master: usize, count: usize) -> Vec<String> {
        let masters = self.cluster.nodes().len().min(3);
        let (first, last) = (master * 16_384 / masters, (master + 1) * 16_384 / masters);
        let inside = |key: &String| (first + 512..last - 512).contains(&usize::from(slot_of(key)));
        (0..).map(|number| format!("key-{number}")).filter(inside).take(count).collect()
    }

    /// Gives the slot of this key, in which nothing is, to another master. Only these two get to know of it.
    pub async fn hand_over(&self, key: &str, from: usize, to: usize) {
        let (slot, nodes) = (slot_of(key).to_string(), self.cluster.nodes());
        let name = nodes[to].cli(&["CLUSTER", "MYID"]).await.unwrap().text();
        for node in [to, from] {
            nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &name]).await.unwrap();
        }
    }

    /// Asks until the store serves this key.
    pub async fn until_served(&self, key: &str) {
        let served = async {
            while self.rotation.next(key).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, served).await.expect("the store is back");
    }

    /// Asks until the store does not serve this key. Says how long the longest call took.
    pub async fn until_refused(&self, key: &str) -> Duration {
        let mut longest = Duration::ZERO;
        let refused = async {
            loop {
                let begun = Instant::now();
                let answer = self.rotation.next(key).await;
                longest = longest.max(begun.elapsed());
                if answer.is_err() {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, refused).await.expect("the store is lost");
        longest
    }
}

pub fn builder(cluster: &RedisCluster) -> RedisStoreBuilder {
    RedisStore::cluster(cluster.urls()).timeout(PATIENCE).prefix(PREFIX)
}

pub const PREFIX: &str = "lab";

/// The slot of a key's entries, which lie in the one of its hash: FNV-1a of 128 bits, in hexadecimal.
pub fn slot_of(key: &str) -> u16 {
    crc16(tag_of(key).as_bytes()) % 16_384
}

/// What stands between the braces of the names of a key's entries.
pub fn tag_of(key: &str) -> String {
    let hash = key.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}
