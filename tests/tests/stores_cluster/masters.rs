//! Masters that die, freeze and come back.

use std::time::Duration;

use circuit_breaker::{RedisRotation, Rotation, StoreCause, StoreEvent};
use tokio::time::{Instant, sleep, timeout};

use crate::lab::{LIMIT, Lab, builder, slot_of};

/// Those who wait for the store get its timeout and what a busy machine adds to it.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Asks for these keys for so long. All are served, and none has to wait.
async fn are_served(rotation: &RedisRotation, keys: &[String], during: Duration) {
    let end = Instant::now() + during;
    while Instant::now() < end {
        for key in keys {
            let begun = Instant::now();
            let answer = rotation.next(key).await;
            assert!(answer.is_ok(), "{key}: {answer:?} after {:?}", begun.elapsed());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Keys of the second master, and keys of the others, all of which are served.
async fn keys(lab: &Lab) -> (Vec<String>, Vec<String>) {
    let ours = lab.keys_of(1, 4);
    let others = [lab.keys_of(0, 4), lab.keys_of(2, 4)].concat();
    for key in ours.iter().chain(&others) {
        lab.rotation.next(key).await.unwrap();
    }
    assert_eq!(lab.told(), []);
    (ours, others)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_master_holds_up_nobody_elses_slots() {
    let lab = Lab::start(3, 0).await;
    let (ours, others) = keys(&lab).await;
    lab.cluster.nodes()[1].freeze().unwrap();
    let asked = Instant::now();
    for key in &ours {
        lab.rotation.next(key).await.unwrap_err();
    }
    assert!(asked.elapsed() < AT_ONCE * 4);
    are_served(&lab.rotation, &others, Duration::from_secs(3)).await;

    // Also while it is found out that other slots have moved.
    for key in lab.keys_of(0, 30).iter().skip(4) {
        lab.hand_over(key, 0, 2).await;
        are_served(&lab.rotation, std::slice::from_ref(key), Duration::from_millis(10)).await;
        are_served(&lab.rotation, &others, Duration::from_millis(10)).await;
    }

    lab.cluster.nodes()[1].thaw().unwrap();
    for key in &ours {
        lab.until_served(key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_starts_while_a_master_is_frozen_is_served_by_the_others() {
    let lab = Lab::start(3, 0).await;
    let (_, others) = keys(&lab).await;
    lab.cluster.nodes()[1].freeze().unwrap();
    let store = builder(&lab.cluster).build().unwrap();
    let rotation = RedisRotation::new(&store);
    for key in &others {
        let served = async {
            while rotation.next(key).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), served).await.expect("served by the others");
    }
    are_served(&rotation, &others, Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_master_takes_its_own_slots_along_and_no_others() {
    let lab = Lab::start(3, 0).await;
    let (ours, others) = keys(&lab).await;
    lab.cluster.nodes()[1].kill();
    let asked = Instant::now();
    for key in &ours {
        lab.rotation.next(key).await.unwrap_err();
    }
    assert!(asked.elapsed() < AT_ONCE * 4);
    are_served(&lab.rotation, &others, Duration::from_secs(4)).await;
    // Who knows that it is gone does not ask it.
    let asked = Instant::now();
    for key in ours.iter().cycle().take(1000) {
        lab.rotation.next(key).await.unwrap_err();
    }
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert!(lab.store.is_degraded());

    lab.cluster.nodes()[1].restart().await.unwrap();
    for key in &ours {
        lab.until_served(key).await;
    }
    are_served(&lab.rotation, &[ours, others].concat(), Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_of_a_dead_master_takes_over() {
    let lab = Lab::start(3, 1).await;
    fails_over(&lab, |lab| lab.cluster.nodes()[1].kill()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_of_a_frozen_master_takes_over() {
    let lab = Lab::start(3, 1).await;
    fails_over(&lab, |lab| lab.cluster.nodes()[1].freeze().unwrap()).await;
}

/// What a master has acknowledged and not passed on yet is lost with it, which is no fault of whoever asked.
async fn is_replicated(lab: &Lab, master: usize) {
    let replicated = async {
        loop {
            let info = lab.cluster.nodes()[master].cli(&["INFO", "replication"]).await.unwrap().text();
            let own = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
            let replica = info.lines().find(|line| line.starts_with("slave0:"));
            let passed_on =
                replica.and_then(|line| line.split(',').find_map(|part| part.strip_prefix("offset=")));
            if own.is_some() && own == passed_on {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, replicated).await.expect("the replica has it all");
}

async fn fails_over(lab: &Lab, fail: impl Fn(&Lab)) {
    let (ours, others) = keys(lab).await;
    let mut turns = Vec::new();
    for key in &ours {
        turns.push(lab.rotation.next(key).await.unwrap());
    }
    is_replicated(lab, 1).await;
    fail(lab);
    let slot = slot_of(&ours[0]);
    let failed = Instant::now();
    lab.until_refused(&ours[0]).await;
    are_served(&lab.rotation, &others, Duration::from_millis(500)).await;
    lab.cluster.wait_until_owned(slot, |owner| owner != 1).await.unwrap();
    lab.cluster.wait_until_ok().await.unwrap();
    for key in &ours {
        lab.until_served(key).await;
    }
    assert!(failed.elapsed() < LIMIT);
    for (key, turn) in ours.iter().zip(turns) {
        assert!(lab.rotation.next(key).await.unwrap() > turn, "{key} begins anew");
    }
    are_served(&lab.rotation, &[ours, others].concat(), Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_die_and_come_back() {
    let lab = Lab::start(3, 0).await;
    let (ours, others) = keys(&lab).await;
    let all = [ours, others].concat();
    for node in lab.cluster.nodes() {
        node.kill();
    }
    for key in &all {
        lab.until_refused(key).await;
    }
    let asked = Instant::now();
    for key in all.iter().cycle().take(1000) {
        lab.rotation.next(key).await.unwrap_err();
    }
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert!(lab.told().iter().all(|event| matches!(
        event,
        StoreEvent::Lost { cause: StoreCause::Connection | StoreCause::Timeout, .. }
    )));
    for node in lab.cluster.nodes() {
        node.restart().await.unwrap();
    }
    lab.cluster.wait_until_ok().await.unwrap();
    for key in &all {
        lab.until_served(key).await;
    }
    lab.store.ready(LIMIT).await.unwrap();
    assert!(!lab.store.is_degraded());
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_look_whether_it_is_back_share_their_connections() {
    let lab = Lab::start(3, 0).await;
    lab.store.ready(LIMIT).await.unwrap();
    // It takes no writes any more.
    for node in lab.cluster.nodes() {
        node.cli(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    }
    // So many that every part of the slots is used, lost and looked after.
    for number in 0..500 {
        lab.rotation.next(&format!("key-{number}")).await.unwrap_err();
    }
    let before = (connections(&lab).await, looks(&lab).await);
    sleep(Duration::from_secs(4)).await;
    let (made, looked) = (connections(&lab).await - before.0, looks(&lab).await - before.1);
    assert!(made < 12, "{made} connections");
    assert!(looked < 60, "looked at the slots {looked} times");
    for node in lab.cluster.nodes() {
        node.cli(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    }
    lab.store.ready(LIMIT).await.unwrap();
    assert!(!lab.store.is_degraded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_slots_that_two_nodes_share_is_back_when_both_are() {
    let lab = Lab::start(3, 0).await;
    // The part with the slots from 5376 to 5631. The first master has those up to 5460.
    let shared = |slots: std::ops::Range<u16>| {
        let mut keys = (0..).map(|number| format!("key-{number}"));
        keys.find(|key| slots.contains(&slot_of(key))).unwrap()
    };
    let (first, second) = (shared(5376..5461), shared(5461..5632));
    lab.rotation.next(&first).await.unwrap();
    lab.rotation.next(&second).await.unwrap();
    lab.cluster.nodes()[1].kill();
    lab.until_refused(&second).await;
    lab.told();
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        lab.rotation.next(&second).await.unwrap_err();
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lab.told(), [], "it is neither back nor lost once more");
    lab.cluster.nodes()[1].restart().await.unwrap();
    lab.until_served(&second).await;
    lab.until_served(&first).await;
}

/// How often the nodes were asked who has which slots.
async fn looks(lab: &Lab) -> u64 {
    let mut looks = 0;
    for node in lab.cluster.nodes() {
        let stats = node.cli(&["INFO", "commandstats"]).await.unwrap().text();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_cluster|slots:calls="));
        looks += line.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap());
    }
    looks
}

/// How many connections were ever made to the first node.
async fn connections(lab: &Lab) -> u64 {
    let stats = lab.cluster.nodes()[0].cli(&["INFO", "stats"]).await.unwrap().text();
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    line.trim().parse().unwrap()
}
