//! A Redis Cluster of our own: its slots move, its masters die, its replicas take over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use test_servers::{RedisCluster, RedisServer, Reply};

#[tokio::test]
async fn a_slot_moves_with_its_keys() {
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    let slot = cluster.slot_of("key").await.unwrap();
    let from = cluster.owner_of(slot).await.unwrap();
    let to = (from + 1) % 3;
    cluster.nodes()[from].cli(&["SET", "key", "value"]).await.unwrap();

    cluster.begin_move(slot, to).await.unwrap();
    assert_eq!(cluster.owner_of(slot).await.unwrap(), from);
    let asked = cluster.nodes()[from].cli(&["GET", "{key}other"]).await.unwrap_err().to_string();
    assert!(asked.contains(&format!("ASK {slot} {}", cluster.nodes()[to].address())), "{asked}");

    cluster.finish_move(slot, to).await.unwrap();
    assert_eq!(cluster.owner_of(slot).await.unwrap(), to);
    assert_eq!(cluster.nodes()[to].cli(&["GET", "key"]).await.unwrap().text(), "value");
    let asked = cluster.nodes()[from].cli(&["GET", "key"]).await.unwrap_err().to_string();
    assert!(asked.contains(&format!("MOVED {slot} {}", cluster.nodes()[to].address())), "{asked}");
}

#[tokio::test]
async fn a_replica_takes_over_with_the_keys_of_its_dead_master_which_comes_back_as_a_replica() {
    let cluster =
        RedisCluster::start_with(RedisServer::builder().password("open sesame"), 3, 1).await.unwrap();
    assert_eq!(cluster.nodes().len(), 6);
    let slot = cluster.slot_of("key").await.unwrap();
    let master = cluster.owner_of(slot).await.unwrap();
    cluster.nodes()[master].cli(&["SET", "key", "value"]).await.unwrap();

    cluster.nodes()[master].kill();
    cluster.wait_until_owned(slot, |owner| owner != master).await.unwrap();
    cluster.wait_until_ok().await.unwrap();
    let heir = cluster.owner_of(slot).await.unwrap();
    assert_eq!(heir, master + 3, "its replica");
    assert_eq!(cluster.nodes()[heir].cli(&["GET", "key"]).await.unwrap().text(), "value");

    cluster.nodes()[master].restart().await.unwrap();
    cluster.wait_until_ok().await.unwrap();
    assert_eq!(cluster.owner_of(slot).await.unwrap(), heir);
}

#[tokio::test]
async fn a_master_without_a_replica_comes_back_with_its_slots_and_nothing_in_them() {
    let cluster = RedisCluster::start(3, 0).await.unwrap();
    let slot = cluster.slot_of("key").await.unwrap();
    let master = &cluster.nodes()[cluster.owner_of(slot).await.unwrap()];
    master.cli(&["SET", "key", "value"]).await.unwrap();
    master.restart().await.unwrap();
    cluster.wait_until_ok().await.unwrap();
    assert_eq!(master.cli(&["GET", "key"]).await.unwrap(), Reply::Nil);
}
