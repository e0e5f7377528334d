//! Slots that move while they are in use, and what lies in them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, Cost, InProcessBreaker, InProcessLimiter, Limits, OnOutage, Percent, Quota, Rate,
    Rates, RedisBreaker, RedisLimiter, RedisRotation, RedisStore, Rotation, Settings, State, Verdict, Window,
};
use test_servers::RedisServer;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::lab::{LIMIT, Lab, PREFIX, builder, slot_of, tag_of};

const N: NonZeroU32 = NonZeroU32::new(2).unwrap();

fn failing_over_time() -> Settings {
    let window = Window::Time(Duration::from_secs(600));
    let rates = Rates::failures(Percent::new(100).unwrap(), window).minimum_calls(NonZeroU32::MAX);
    Settings::default().trip(rates)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_belongs_to_a_key_is_in_one_slot() {
    let lab = Lab::start(3, 0).await;
    let breaker = Arc::new(RedisBreaker::new(&lab.store, InProcessBreaker::new(failing_over_time())));
    let rate = Rate::per_minute(NonZeroU64::new(600).unwrap());
    let limits = Limits::default().requests(rate).in_flight(NonZeroU32::new(100).unwrap());
    let limiter = Arc::new(RedisLimiter::new(&lab.store, InProcessLimiter::new(limits)));
    let keys: Vec<_> = (0..50).map(|number| format!("a}}{{b}}-{number}")).collect();
    for key in &keys {
        let circuit = Circuit::new(Arc::clone(&breaker) as _, key.as_str());
        circuit.admit().await.unwrap().settle(Verdict::Failure);
        let slot = Quota::new(Arc::clone(&limiter) as _, key.as_str()).admit(Cost::default()).await.unwrap();
        assert!(!slot.degraded());
        lab.rotation.next(key).await.unwrap();
    }
    timeout(LIMIT, breaker.flush()).await.unwrap();
    assert_eq!(lab.told(), []);
    let mut slots = BTreeMap::<String, BTreeSet<u16>>::new();
    let mut kinds = BTreeSet::new();
    for node in lab.cluster.nodes() {
        for name in node.cli(&["KEYS", &format!("{PREFIX}:*")]).await.unwrap().elements() {
            let name = name.text();
            let slot = lab.cluster.slot_of(&name).await.unwrap();
            let parts: Vec<_> = name.split(['{', '}']).collect();
            slots.entry(parts[1].to_owned()).or_default().insert(slot);
            kinds.insert(parts[2].to_owned());
        }
    }
    assert!(kinds.len() > 4, "{kinds:?}");
    for key in &keys {
        assert_eq!(slots.get(&tag_of(key)), Some(&BTreeSet::from([slot_of(key)])), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_turn_is_lost_or_taken_twice_while_its_slot_moves() {
    let lab = Arc::new(Lab::start(3, 0).await);
    let key = &lab.keys_of(0, 1)[0];
    let moving = Arc::new(AtomicBool::new(true));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (store, moving, key) = (builder(&lab.cluster).build().unwrap(), Arc::clone(&moving), key.clone());
        store.ready(LIMIT).await.unwrap();
        let rotation = RedisRotation::new(&store);
        workers.spawn(async move {
            let mut turns = Vec::new();
            while moving.load(Ordering::Relaxed) {
                turns.push(rotation.next(&key).await.unwrap());
                sleep(Duration::from_millis(1)).await;
            }
            turns
        });
    }
    for to in [1, 2, 0, 1, 0] {
        lab.cluster.begin_move(slot_of(key), to).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        lab.cluster.finish_move(slot_of(key), to).await.unwrap();
    }
    moving.store(false, Ordering::Relaxed);
    let mut turns: Vec<u64> = timeout(LIMIT, workers.join_all()).await.unwrap().concat();
    turns.sort_unstable();
    assert!(turns.len() > 100, "{}", turns.len());
    assert!(turns.windows(2).all(|two| two[0] + 1 == two[1]), "{turns:?}");
}

/// In these moves, a script finds some of its keys gone and others not there yet, and the nodes will not run it.
#[tokio::test(flavor = "multi_thread")]
async fn no_probe_too_many_goes_out_while_the_slot_of_its_circuit_moves() {
    let lab = Arc::new(Lab::start(3, 0).await);
    let key = &lab.keys_of(0, 1)[0];
    let settings = Settings::default()
        .failure_threshold(NonZeroU32::MIN)
        .cooldown(Duration::from_millis(100))
        .jitter(Percent::new(1).unwrap())
        .probes(Some(N));
    let out = Arc::new(AtomicI32::new(0));
    let probed = Arc::new(AtomicI32::new(0));
    let moving = Arc::new(AtomicBool::new(true));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let store = builder(&lab.cluster).build().unwrap();
        store.ready(LIMIT).await.unwrap();
        let breaker = RedisBreaker::new(&store, InProcessBreaker::new(settings.clone()))
            .on_outage(OnOutage::FailClosed);
        let circuit = Circuit::new(Arc::new(breaker), key.as_str());
        let (moving, out, probed) = (Arc::clone(&moving), Arc::clone(&out), Arc::clone(&probed));
        workers.spawn(async move {
            while moving.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(2)).await;
                let Ok(permit) = circuit.admit().await else { continue };
                assert!(!permit.degraded());
                if permit.is_probe() {
                    let others = out.fetch_add(1, Ordering::SeqCst);
                    assert!(others < 2, "{others} more probes are out");
                    sleep(Duration::from_millis(10)).await;
                    out.fetch_sub(1, Ordering::SeqCst);
                    probed.fetch_add(1, Ordering::SeqCst);
                }
                permit.settle(Verdict::Failure);
            }
        });
    }
    for to in [1, 2, 0] {
        lab.cluster.begin_move(slot_of(key), to).await.unwrap();
        sleep(Duration::from_millis(300)).await;
        lab.cluster.finish_move(slot_of(key), to).await.unwrap();
        // Where the slot stays, there are probes again.
        let before = probed.load(Ordering::SeqCst);
        let again = async {
            while probed.load(Ordering::SeqCst) < before + 4 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, again).await.expect("probes go out again");
    }
    moving.store(false, Ordering::Relaxed);
    timeout(LIMIT, workers.join_all()).await.unwrap();
    assert_eq!(lab.told(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_while_a_slot_moves_is_counted_once() {
    let lab = Lab::start(3, 0).await;
    let key = &lab.keys_of(0, 1)[0];
    let breaker = Arc::new(RedisBreaker::new(&lab.store, InProcessBreaker::new(failing_over_time())));
    let circuit = Circuit::new(Arc::clone(&breaker) as _, key.as_str());
    let (mut told, mut while_moving) = (0, 0);
    for to in [1, 2, 0] {
        for moving in [false, true] {
            if moving {
                lab.cluster.begin_move(slot_of(key), to).await.unwrap();
            }
            for _ in 0..15 {
                // Who is admitted without the store tells it nothing.
                let permit = circuit.admit().await.unwrap();
                let counts = u64::from(!permit.degraded());
                (told, while_moving) = (told + counts, while_moving + if moving { counts } else { 0 });
                permit.settle(Verdict::Failure);
                sleep(Duration::from_millis(10)).await;
            }
            if moving {
                lab.cluster.finish_move(slot_of(key), to).await.unwrap();
            }
            timeout(LIMIT, breaker.flush()).await.unwrap();
        }
    }
    assert_eq!(breaker.snapshot(key).await.unwrap().counts.failures, told);
    assert!(told - while_moving > 30, "{told} {while_moving}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_forget_the_scripts_are_told_them_again_unnoticed() {
    let lab = Lab::start(3, 0).await;
    let keys = [lab.keys_of(0, 2), lab.keys_of(1, 2), lab.keys_of(2, 2)].concat();
    let breaker = Arc::new(RedisBreaker::new(&lab.store, InProcessBreaker::new(failing_over_time())));
    for turn in 0..20 {
        for node in lab.cluster.nodes() {
            node.cli(&["SCRIPT", "FLUSH"]).await.unwrap();
        }
        for key in &keys {
            assert_eq!(lab.rotation.next(key).await.unwrap(), turn);
            Circuit::new(Arc::clone(&breaker) as _, key.as_str())
                .admit()
                .await
                .unwrap()
                .settle(Verdict::Failure);
        }
        timeout(LIMIT, breaker.flush()).await.unwrap();
    }
    for key in &keys {
        assert_eq!(breaker.snapshot(key).await.unwrap().counts.failures, 20);
        assert_eq!(breaker.status(key).await.state, State::Closed);
    }
    assert_eq!(lab.told(), []);
    // A script is taught where it is needed, and nowhere else.
    for node in lab.cluster.nodes() {
        let stats = node.cli(&["INFO", "commandstats"]).await.unwrap().text();
        assert!(!stats.contains("cmdstat_script|load"), "{stats}");
        let failed = |name: &str| {
            let line = stats.lines().find(|line| line.starts_with(name))?;
            Some(line.contains("failed_calls=0"))
        };
        assert_eq!(failed("cmdstat_eval:"), Some(true), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_is_enough_to_find_the_others_also_with_a_password_and_over_tls() {
    let options = RedisServer::builder().tls().password("open sesame");
    let cluster = test_servers::RedisCluster::start_with(options, 3, 0).await.unwrap();
    let authority = cluster.nodes()[0].ca_pem().unwrap();
    let store =
        RedisStore::cluster([cluster.urls().swap_remove(2)]).root_certificates(authority).build().unwrap();
    timeout(LIMIT, store.ready(LIMIT)).await.unwrap().unwrap();
    let rotation = RedisRotation::new(&store);
    for number in 0..50 {
        let key = format!("key-{number}");
        assert_eq!(rotation.next(&key).await.unwrap(), 0);
        assert_eq!(rotation.next(&key).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn nodes_of_different_clusters_are_refused() {
    for urls in [
        ["redis://localhost:1", "rediss://localhost:2"],
        ["redis://:one@localhost:1", "redis://:two@localhost:2"],
        ["redis://localhost:1", "redis://somebody@localhost:2"],
        ["redis://localhost:1", "unix:///tmp/socket"],
        ["unix:///tmp/socket", "unix:///tmp/socket"],
    ] {
        let error = RedisStore::cluster(urls).build().unwrap_err();
        assert_eq!(error, circuit_breaker::StoreConfigError::InvalidCluster, "{urls:?}");
    }
    assert_eq!(
        RedisStore::cluster([""; 0]).build().unwrap_err(),
        circuit_breaker::StoreConfigError::InvalidUrl
    );
}
