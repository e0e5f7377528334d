//! What a server can do to those who use it: nobody waits, everybody is told, and all is well again by itself.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Breaker, RedisRotation, RedisStore, Rotation, StoreCause, StoreEvent, Verdict};
use parking_lot::Mutex;
use test_servers::RedisServer;
use tokio::time::{Instant, timeout};

use crate::cut_proxy::Proxy;
use crate::faults_bench::{Bench, PATIENCE, ask, lost, lost_and_back, refused, until};

const TIMEOUT: Duration = Duration::from_millis(500);

/// For calls that are to be answered however slow the machine is.
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_server_that_is_killed_is_used_again_when_it_is_started() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), LONG);
    bench.serves().await;
    server.kill();
    // Not the timeout, but the end of the connection.
    timeout(LONG / 2, bench.loses()).await.unwrap();
    bench.leaves_it_alone(1000).await;
    assert_eq!(bench.heard.words(), lost(&StoreCause::Connection));
    server.restart().await.unwrap();
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Connection));
}

#[tokio::test]
async fn a_server_that_is_frozen_costs_one_timeout() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    bench.store.ready(PATIENCE).await.unwrap();
    server.freeze().unwrap();
    bench.loses().await;
    bench.leaves_it_alone(1000).await;
    assert_eq!(bench.heard.words(), lost(&StoreCause::Timeout));
    server.thaw().unwrap();
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Timeout));
}

#[tokio::test]
async fn what_was_in_a_frozen_server_is_still_so() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), Duration::from_secs(1));
    bench.store.ready(PATIENCE).await.unwrap();
    for _ in 0..3 {
        let admission = bench.breaker.acquire("failing", &ask()).await.unwrap();
        bench.breaker.settle("failing", None, admission, Verdict::Failure.into());
    }
    bench.breaker.flush().await;
    let epoch = bench.breaker.snapshot("failing").await.unwrap().epoch;
    server.freeze().unwrap();
    bench.loses().await;
    server.thaw().unwrap();
    bench.comes_back().await;
    let snapshot = bench.breaker.snapshot("failing").await.unwrap();
    assert_eq!((snapshot.epoch, snapshot.status.failures), (epoch, 3));
    assert!(snapshot.status.state == circuit_breaker::State::Open && !snapshot.status.degraded);
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Timeout));
}

#[tokio::test]
async fn a_paused_server_is_left_alone_until_it_goes_on() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), TIMEOUT);
    bench.store.ready(PATIENCE).await.unwrap();
    server.cli(&["CLIENT", "PAUSE", "1200", "ALL"]).await.unwrap();
    bench.loses().await;
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Timeout));
}

#[tokio::test]
async fn scripts_and_entries_that_are_gone_are_no_outage() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), LONG);
    for flush in [&["SCRIPT", "FLUSH"][..], &["FLUSHALL"], &["SCRIPT", "FLUSH"]] {
        bench.serves().await;
        server.cli(flush).await.unwrap();
    }
    bench.serves().await;
    assert_eq!(bench.rotation.next("key").await.unwrap(), 2, "turns since all entries went");
    assert_eq!(bench.heard.words(), Vec::<String>::new());
}

/// Breaks it by one command, mends it by another.
async fn refuses(broken: &[&str], mended: &[&str], code: &str) {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), LONG);
    bench.serves().await;
    server.cli(broken).await.unwrap();
    // Reading may go on meanwhile; whatever writes finds out.
    bench.rotation.next("key").await.unwrap_err();
    bench.leaves_it_alone(1000).await;
    assert_eq!(bench.heard.words(), lost(&refused(code)));
    server.cli(mended).await.unwrap();
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&refused(code)));
}

#[tokio::test]
async fn a_full_server_is_lost() {
    refuses(&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"], "OOM").await;
}

#[tokio::test]
async fn a_server_that_is_made_a_replica_is_lost() {
    refuses(&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "READONLY").await;
}

/// That everything else is allowed must not look as if it were back.
#[tokio::test]
async fn a_server_that_runs_no_scripts_is_lost() {
    let set = |sign| ["ACL", "SETUSER", "default", sign];
    refuses(&set("-@scripting"), &set("+@scripting"), "NOPERM").await;
}

/// Its probes work, and its calls do not.
#[tokio::test]
async fn a_server_that_is_lost_again_and_again_is_tried_less_often() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), LONG);
    bench.serves().await;
    server.cli(&["ACL", "SETUSER", "default", "-evalsha"]).await.unwrap();
    let losses = || bench.heard.words().iter().filter(|word| word.starts_with("lost")).count();
    let before = Instant::now();
    until("six losses", async || {
        bench.rotation.next("key").await.unwrap_err();
        losses() >= 6
    })
    .await;
    // Between them are pauses of 20, 40, 80 and 160 ms.
    assert!(before.elapsed() >= Duration::from_millis(300), "{:?}", before.elapsed());
    server.cli(&["ACL", "SETUSER", "default", "+evalsha"]).await.unwrap();
    bench.comes_back().await;
}

#[tokio::test]
async fn another_password_is_noticed_and_none_is_told() {
    let server = RedisServer::builder().password("first-secret").start().await.unwrap();
    let proxy = Proxy::start(server.address()).await;
    let bench = Bench::new(proxy.url().replace("redis://", "redis://default:first-secret@"), LONG);
    bench.serves().await;
    server.cli(&["CONFIG", "SET", "requirepass", "second-secret"]).await.unwrap();
    // Who is in stays in.
    bench.serves().await;
    proxy.cut();
    until("it is lost", async || bench.rotation.next("key").await.is_err()).await;
    bench.leaves_it_alone(1000).await;
    // With the password that it had.
    server.restart().await.unwrap();
    bench.comes_back().await;
    let told = format!("{:?} {:?} {:?}", bench.heard.all(), bench.store, bench.breaker);
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Connection));
}

#[tokio::test]
async fn a_wrong_password_is_like_no_server_until_it_is_right() {
    let server = RedisServer::start().await.unwrap();
    let url = server.url().replace("redis://", "redis://worker:a-secret@");
    let bench = Bench::new(url, TIMEOUT);
    bench.loses().await;
    bench.leaves_it_alone(1000).await;
    server.cli(&["ACL", "SETUSER", "worker", "on", ">a-secret", "+@all", "~*"]).await.unwrap();
    bench.comes_back().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Refused("AUTH".into())));
    assert!(!format!("{:?} {:?}", bench.heard.all(), bench.store).contains("a-secret"));
    // And away with it again.
    server.cli(&["ACL", "DELUSER", "worker"]).await.unwrap();
    until("it is lost", async || bench.rotation.next("key").await.is_err()).await;
    bench.leaves_it_alone(100).await;
    assert_eq!(bench.heard.words()[2..], lost(&StoreCause::Connection));
}

#[tokio::test]
async fn a_server_that_is_not_there_at_first_is_used_when_it_is() {
    let server = RedisServer::start().await.unwrap();
    server.kill();
    let bench = Bench::new(server.url(), TIMEOUT);
    assert!(bench.breaker.try_acquire("key").is_none(), "nothing is known yet");
    bench.loses().await;
    bench.leaves_it_alone(1000).await;
    bench.store.ready(TIMEOUT).await.unwrap_err();
    assert_eq!(bench.heard.words(), lost(&StoreCause::Connection));
    server.restart().await.unwrap();
    bench.store.ready(PATIENCE).await.unwrap();
    bench.serves().await;
    assert_eq!(bench.heard.words(), lost_and_back(&StoreCause::Connection));
}

#[tokio::test]
async fn a_server_busy_with_a_script_is_lost_until_that_is_done() {
    let server = RedisServer::start().await.unwrap();
    let bench = Bench::new(server.url(), LONG);
    bench.serves().await;
    server.cli(&["CONFIG", "SET", "busy-reply-threshold", "10"]).await.unwrap();
    let endless = async { server.cli(&["EVAL", "while true do end", "0"]).await };
    let meanwhile = async {
        until("it is busy", async || server.cli(&["PING"]).await.is_err()).await;
        bench.loses().await;
        bench.leaves_it_alone(1000).await;
        server.cli(&["SCRIPT", "KILL"]).await.unwrap();
        bench.comes_back().await;
    };
    let (ended, ()) = tokio::join!(endless, meanwhile);
    assert!(ended.is_err(), "the script was killed");
    assert_eq!(bench.heard.words(), lost_and_back(&refused("BUSY")));
}

/// A loss is told before the recovery that follows it, however long the listener takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn events_are_told_in_their_order() {
    let server = RedisServer::start().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (heard, (recovered, recovery)) = (Arc::clone(&told), std::sync::mpsc::channel::<()>());
    let (recovery, losing) = (Mutex::new(recovery), Arc::new(tokio::sync::Notify::new()));
    let loses = Arc::clone(&losing);
    let builder = RedisStore::builder(server.url()).timeout(LONG).staleness(Duration::ZERO);
    let store = builder
        .on_event(move |event| {
            if matches!(event, StoreEvent::Lost { .. }) {
                loses.notify_one();
                // Until the store is in use again.
                let _ = recovery.lock().recv_timeout(PATIENCE);
            }
            heard.lock().push(event.clone());
        })
        .build()
        .unwrap();
    let rotation = Arc::new(RedisRotation::new(&store));
    rotation.next("key").await.unwrap();
    server.kill();
    server.restart().await.unwrap();
    let first = tokio::spawn({
        let rotation = Arc::clone(&rotation);
        async move { rotation.next("key").await }
    });
    losing.notified().await;
    until("others are served while the listener still hears of the loss", async || {
        rotation.next("key").await.is_ok()
    })
    .await;
    recovered.send(()).unwrap();
    let _ = first.await.unwrap();
    until("both are told", async || told.lock().len() == 2).await;
    assert!(matches!(told.lock()[..], [StoreEvent::Lost { .. }, StoreEvent::Back { .. }]), "{told:?}");
}
