//! What is made of answers: in parts, many at once, none, somebody else's, and such as Memcached never gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use circuit_breaker::{MemcachedRotation, OnOutage, Rotation, RotationError, StoreCause, StoreEvent};
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::fake::{Fake, Line, Say, only};
use crate::real::{LONG, recovered};

const LOST: Result<u64, RotationError> = Err(RotationError::StoreUnavailable);

/// A rotation that waits long enough for everything that comes, and why it was lost so far.
fn rotation(fake: &Fake) -> (MemcachedRotation, Arc<Mutex<Vec<StoreCause>>>) {
    let causes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&causes);
    let builder = MemcachedRotation::builder(&fake.url).timeout(LONG).on_event(move |event| {
        if let StoreEvent::Lost { cause, .. } = event {
            told.lock().push(cause.clone());
        }
    });
    (builder.build().unwrap(), causes)
}

/// Says something else once, to the second turn that is asked for.
fn once(say: impl Fn(&Line) -> Say + Send + Sync + 'static) -> impl Fn(&Line) -> Say + Send + Sync + 'static {
    let turns = AtomicUsize::new(0);
    move |line| {
        let second = !line.is_probe() && turns.fetch_add(1, Ordering::SeqCst) == 1;
        if second { say(line) } else { Say::Right }
    }
}

/// The second turn is not to be had, for this reason, and all is well after it.
async fn loses(cause: StoreCause, say: impl Fn(&Line) -> Say + Send + Sync + 'static) {
    let fake = Fake::start(once(say)).await;
    let (rotation, causes) = rotation(&fake);
    assert_eq!(rotation.next("key").await, Ok(0));
    assert_eq!(rotation.next("key").await, LOST);
    recovered(&rotation).await;
    assert_eq!(rotation.next("key").await, Ok(1));
    assert_eq!(*causes.lock(), [cause]);
}

#[tokio::test]
async fn what_memcached_never_says_ends_the_connection() {
    let garbage = [
        "\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "VA 1\r\n5\r\n",
        "VA 1 O2\r\n5 \r\n",
        "VA 99 O2\r\n",
        "STORED\r\n",
    ];
    for text in garbage {
        loses(StoreCause::Connection, move |_| only(text)).await;
    }
    loses(StoreCause::Connection, |_| Say::Only(vec![0xff; 100_000])).await;
}

#[tokio::test]
async fn a_line_that_never_ends_is_not_kept() {
    loses(StoreCause::Connection, |_| Say::Only(b"CLIENT_ERROR ".repeat(100_000))).await;
}

#[tokio::test]
async fn an_answer_to_another_command_is_no_turn() {
    loses(StoreCause::Connection, |line| only(&format!("VA 1 O{}\r\n7\r\n", line.number() + 1))).await;
    loses(StoreCause::Connection, |line| only(&format!("VA 1 O{}\r\n7\r\n", line.number() - 1))).await;
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let more = |line: &Line| Say::AndAlso(format!("VA 1 O{}\r\n7\r\n", line.number() + 1).into_bytes());
    let fake = Fake::start(once(more)).await;
    let (rotation, _) = rotation(&fake);
    assert_eq!(rotation.next("key").await, Ok(0));
    assert_eq!(rotation.next("key").await, Ok(1));
    // It may come with the answer or after it. If it were taken, this would be the seventh turn.
    let third = rotation.next("key").await;
    assert!(matches!(third, LOST), "{third:?}");
    recovered(&rotation).await;
    let fourth = rotation.next("key").await.unwrap();
    assert!((2..=3).contains(&fourth), "{fourth}");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
    for answer in ["", "V", "VA 1 O3\r\n", "VA 1 O3\r\n5", "VA 1 O3\r\n5\r"] {
        loses(StoreCause::Connection, move |_| Say::Cut(answer.as_bytes().to_vec())).await;
    }
}

#[tokio::test]
async fn whoever_waits_learns_of_the_cut() {
    let turns = AtomicUsize::new(0);
    let fake = Fake::start(move |line| {
        let cut = !line.is_probe() && turns.fetch_add(1, Ordering::SeqCst) == 19;
        if line.is_probe() || cut {
            if cut { Say::Cut(Vec::new()) } else { Say::Right }
        } else {
            Say::After(99)
        }
    })
    .await;
    let (rotation, causes) = rotation(&fake);
    recovered(&rotation).await;
    let answers = join_all((0..20).map(|_| rotation.next("key"))).await;
    assert_eq!(answers, [LOST; 20]);
    assert_eq!(*causes.lock(), [StoreCause::Connection], "told once");
}

#[tokio::test]
async fn answers_may_come_byte_by_byte() {
    let fake = Fake::start(|_| Say::Slowly).await;
    let (rotation, _) = rotation(&fake);
    for turn in 0..20 {
        assert_eq!(rotation.next("key").await, Ok(turn));
    }
}

/// The server says nothing before it has been asked by all.
#[tokio::test]
async fn nobody_waits_for_the_answer_of_another() {
    let fake = Fake::start(|line| if line.is_probe() { Say::Right } else { Say::After(200) }).await;
    let (rotation, _) = rotation(&fake);
    let mut turns = join_all((0..200).map(|_| rotation.next("key"))).await;
    turns.sort_unstable_by_key(|turn| turn.unwrap());
    assert!(turns.into_iter().eq((0..200).map(Ok)));
}

#[tokio::test]
async fn a_server_that_cannot_store_is_left_alone() {
    let full = StoreCause::Refused("SERVER_ERROR".into());
    loses(full, |_| only("SERVER_ERROR out of memory storing object\r\n")).await;
}

#[tokio::test]
async fn a_refusal_is_about_one_call() {
    for refusal in
        ["CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", "NS O3\r\n", "EX O3\r\n"]
    {
        let fake = Fake::start(once(move |_| only(refusal))).await;
        let (rotation, causes) = rotation(&fake);
        assert_eq!(rotation.next("key").await, Ok(0));
        assert_eq!(rotation.next("key").await, LOST);
        assert_eq!(rotation.next("key").await, Ok(1));
        assert!(!rotation.is_degraded() && causes.lock().is_empty(), "{refusal}");
    }
}

/// Before 1.6 it does not know the command.
#[tokio::test]
async fn a_server_that_is_too_old_is_of_no_use_until_it_is_newer() {
    let newer = Arc::new(AtomicBool::new(false));
    let is_newer = Arc::clone(&newer);
    let fake =
        Fake::start(move |_| if is_newer.load(Ordering::SeqCst) { Say::Right } else { only("ERROR\r\n") })
            .await;
    let builder = MemcachedRotation::builder(&fake.url).on_outage(OnOutage::FailClosed);
    let rotation = builder.build().unwrap();
    assert_eq!(rotation.next("key").await, LOST);
    assert!(rotation.is_degraded() && rotation.ready(Duration::from_millis(100)).await.is_err());
    newer.store(true, Ordering::SeqCst);
    recovered(&rotation).await;
    let (slow, _) = self::rotation(&fake);
    assert_eq!(timeout(LONG, slow.next("key")).await, Ok(Ok(0)));
}

#[tokio::test]
async fn a_socket_of_this_machine_will_do() {
    let path = std::env::temp_dir().join(format!("memcached-{}.sock", circuit_breaker::LeaseId::new()));
    let path = path.to_str().unwrap();
    let fake = Fake::at(path);
    let (rotation, _) = rotation(&fake);
    assert_eq!((rotation.next("key").await, rotation.next("key").await), (Ok(0), Ok(1)));
    assert_eq!(rotation.reset("key").await, Ok(()));
    assert_eq!(rotation.next("key").await, Ok(0));
    std::fs::remove_file(path).unwrap();
}
