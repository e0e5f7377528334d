//! What lies in the server: names, numbers, and for how long.

use circuit_breaker::{MemcachedConfigError, MemcachedRotation, OnOutage, Rotation, RotationError};
use futures::future::join_all;
use test_servers::MemcachedServer;

use crate::real::{hasty, patient, tell};

/// The entry of the key "a" under the prefix "p": with the published hash of "a", so that it is the same in every
/// version.
const NAME: &str = "p:d228cb696f1a8caf78912b704e4a8964:t";
const THIRTY_DAYS: u64 = 30 * 24 * 3600;
/// Nothing here takes so many seconds.
const SLACK: u64 = 600;

async fn server() -> (MemcachedServer, MemcachedRotation) {
    let server = MemcachedServer::start().await.unwrap();
    let rotation = patient(&server).prefix("p").build().unwrap();
    (server, rotation)
}

/// In seconds.
async fn ttl(server: &MemcachedServer) -> u64 {
    let said = tell(server, &format!("mg {NAME} t")).await;
    said.strip_prefix("HD t").unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

async fn put(server: &MemcachedServer, value: &str) {
    assert_eq!(tell(server, &format!("set {NAME} 0 0 {}\r\n{value}", value.len())).await, "STORED");
}

#[tokio::test]
async fn turns_are_kept_for_thirty_days_from_their_last_use() {
    let (server, rotation) = server().await;
    assert_eq!(rotation.next("a").await, Ok(0));
    // The server's clock is not exact to the second.
    assert!(ttl(&server).await.abs_diff(THIRTY_DAYS) < SLACK);
    // One that was not used for long. It is put there anew, as reading an entry defers when it can be changed in place.
    assert_eq!(tell(&server, &format!("set {NAME} 0 {SLACK} 1\r\n5")).await, "STORED");
    assert_eq!(rotation.next("a").await, Ok(6));
    assert!(ttl(&server).await.abs_diff(THIRTY_DAYS) < SLACK);
}

#[tokio::test]
async fn past_the_largest_number_turns_begin_again() {
    let (server, rotation) = server().await;
    put(&server, &(u64::MAX - 2).to_string()).await;
    for turn in [u64::MAX - 1, u64::MAX, 0, 1, 2] {
        assert_eq!(rotation.next("a").await, Ok(turn));
    }
}

#[tokio::test]
async fn what_is_no_number_is_refused_and_can_be_reset() {
    let (server, rotation) = server().await;
    for value in ["somebody else's", "", "-1", "18446744073709551616"] {
        put(&server, value).await;
        assert_eq!(rotation.next("a").await, Err(RotationError::StoreUnavailable), "{value}");
        assert!(!rotation.is_degraded(), "{value}");
        assert!(rotation.next("other").await.is_ok());
        assert_eq!(rotation.reset("a").await, Ok(()));
        assert_eq!(rotation.next("a").await, Ok(0));
    }
}

#[tokio::test]
async fn no_key_is_a_command() {
    let (server, rotation) = server().await;
    assert_eq!(rotation.next("a").await, Ok(0));
    let keys = [
        "",
        " ",
        "x\r\nflush_all\r\n",
        "x v\r\nmd p\r\n",
        "\0",
        "ü",
        &"long ".repeat(10_000),
        &"l".repeat(300),
    ];
    for turn in 0..2 {
        for key in keys {
            assert_eq!(rotation.next(key).await, Ok(turn), "{}", &key[..key.len().min(20)]);
        }
    }
    assert_eq!(rotation.next("a").await, Ok(1));
    assert!(tell(&server, &format!("mg {NAME} t")).await.starts_with("HD"));
}

#[tokio::test]
async fn prefixes_are_apart() {
    let (server, rotation) = server().await;
    let longest = "p".repeat(200);
    let others = ["", "q", "circuit-breaker", &longest].map(|prefix| hasty(&server).prefix(prefix));
    for other in others {
        assert_eq!(other.timeout(crate::real::LONG).build().unwrap().next("a").await, Ok(0));
    }
    assert_eq!(rotation.next("a").await, Ok(0));
    let usual = patient(&server).build().unwrap();
    assert_eq!(usual.next("a").await, Ok(1), "unless set, it is the usual one");
}

/// The numbers of all together are gapless, whoever asks, and however often.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_clients_takes_each_turn_once() {
    let (server, _) = server().await;
    let clients = (0..4).map(|_| patient(&server).build().unwrap()).collect::<Vec<_>>();
    let tasks = clients
        .into_iter()
        .map(|client| tokio::spawn(async move { join_all((0..500).map(|_| client.next("crowd"))).await }));
    let turns = join_all(tasks).await.into_iter().flat_map(Result::unwrap);
    let mut turns = turns.map(Result::unwrap).collect::<Vec<_>>();
    turns.sort_unstable();
    assert!(turns.into_iter().eq(0..2000));
}

#[test]
fn what_cannot_be_set_up_says_so() {
    let build =
        |address: &str, prefix: &str| MemcachedRotation::builder(address).prefix(prefix).build().map(drop);
    assert_eq!(build("host:1", "prefix"), Ok(()));
    for address in ["", "host:port", "user:word@host:1", "http://host"] {
        assert_eq!(build(address, "prefix"), Err(MemcachedConfigError::InvalidAddress), "{address}");
    }
    for prefix in ["a b", "a\r\n", "a\0", "ü", &"p".repeat(201)] {
        assert_eq!(build("host:1", prefix), Err(MemcachedConfigError::InvalidPrefix), "{prefix}");
    }
}

#[test]
fn it_shows_what_it_is() {
    let builder = MemcachedRotation::builder("tcp://host").prefix("p").on_outage(OnOutage::FailOpen);
    assert!(format!("{builder:?}").contains("FailOpen"));
    let shown = format!("{:?}", builder.build().unwrap());
    assert!(["host:11211", "\"p\"", "FailOpen"].iter().all(|part| shown.contains(part)), "{shown}");
}
