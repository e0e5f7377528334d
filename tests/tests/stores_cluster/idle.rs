//! A store that nobody uses for a while.

use std::time::Duration;

use circuit_breaker::{RedisRotation, RedisStore, Rotation};
use test_servers::RedisServer;
use tokio::time::{sleep, timeout};

/// The server closes what it did not hear of for twenty seconds.
const IDLE: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn its_connection_is_not_closed_for_that() {
    let server = RedisServer::builder().config("timeout", &IDLE.to_string()).start().await.unwrap();
    let store = RedisStore::builder(server.url()).timeout(Duration::from_secs(5)).build().unwrap();
    let rotation = RedisRotation::new(&store);
    assert_eq!(rotation.next("key").await, Ok(0));
    let age = async || {
        let clients = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).await.unwrap().text();
        let tcp = clients.lines().filter(|client| !client.contains("flags=U"));
        let ages = tcp.filter_map(|client| client.split(' ').find_map(|part| part.strip_prefix("age=")));
        ages.filter_map(|age| age.parse::<u64>().ok()).max()
    };
    let grows_old = async {
        while age().await.expect("it is connected") <= 2 * IDLE {
            sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(Duration::from_secs(90), grows_old).await.expect("one connection for all that time");
    assert_eq!(rotation.next("key").await, Ok(1));
}
