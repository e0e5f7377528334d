//! A Redis that is spoken to over TLS, and who is let in.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    RedisRotation, RedisStore, RedisStoreBuilder, Rotation, StoreCause, StoreConfigError, StoreEvent,
};
use parking_lot::Mutex;
use test_servers::{RedisBuilder, RedisServer};
use tokio::time::{Instant, sleep};

/// Far more than anything takes, for slow machines.
const LIMIT: Duration = Duration::from_secs(30);

const SECRET: &str = "correct horse/battery@staple";

/// What a store tells.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<StoreEvent>>>);

impl Told {
    fn listening(&self, builder: RedisStoreBuilder) -> RedisStore {
        let told = Arc::clone(&self.0);
        builder.on_event(move |event| told.lock().push(event.clone())).build().unwrap()
    }

    /// Asks until the store is lost for a reason, and says for which.
    async fn cause(&self, store: &RedisStore) -> StoreCause {
        let rotation = RedisRotation::new(store);
        let deadline = Instant::now() + LIMIT;
        loop {
            rotation.next("key").await.unwrap_err();
            let told = self.0.lock().clone();
            let cause = told.iter().find_map(|event| match event {
                StoreEvent::Lost { cause, .. } => Some(cause.clone()),
                _ => None,
            });
            if let Some(cause) = cause {
                return cause;
            }
            assert!(Instant::now() < deadline, "it is never lost: {told:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn server(options: RedisBuilder) -> RedisServer {
    options.tls().start().await.unwrap()
}

fn trusting(server: &RedisServer, url: String) -> RedisStoreBuilder {
    RedisStore::builder(url).root_certificates(server.ca_pem().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_trusted_is_used_and_found_again() {
    let server = server(RedisServer::builder().password(SECRET)).await;
    let store = trusting(&server, server.url()).build().unwrap();
    store.ready(LIMIT).await.unwrap();
    let rotation = RedisRotation::new(&store);
    assert_eq!(rotation.next("key").await.unwrap() + 1, rotation.next("key").await.unwrap());

    server.kill();
    rotation.next("key").await.unwrap_err();
    assert!(store.is_degraded());
    server.restart().await.unwrap();
    store.ready(LIMIT).await.unwrap();
    rotation.next("key").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_trusted_is_not_used() {
    let (ours, other) = (server(RedisServer::builder()).await, server(RedisServer::builder()).await);
    // By another's authority, and by those of this machine.
    for builder in [trusting(&other, ours.url()), RedisStore::builder(ours.url())] {
        let told = Told::default();
        let store = told.listening(builder);
        let cause = told.cause(&store).await;
        assert!(matches!(cause, StoreCause::Connection | StoreCause::NotConnected), "{cause:?}");
    }
    let stats = ours.cli(&["INFO", "commandstats"]).await.unwrap().text();
    assert!(!stats.contains("cmdstat_eval"), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_so_trusts_anybody() {
    let server = server(RedisServer::builder()).await;
    let store = RedisStore::builder(server.url() + "/#insecure").build().unwrap();
    store.ready(LIMIT).await.unwrap();
    RedisRotation::new(&store).next("key").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_lost_and_so_is_one_with_it_that_is_asked_without() {
    let (plain, tls) = (RedisServer::start().await.unwrap(), server(RedisServer::builder()).await);
    let urls = [plain.url().replace("redis:", "rediss:"), tls.url().replace("rediss:", "redis:")];
    for url in urls {
        let told = Told::default();
        let cause = told.cause(&told.listening(RedisStore::builder(url))).await;
        assert!(matches!(cause, StoreCause::Connection | StoreCause::NotConnected), "{cause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_have_their_own_passwords() {
    let options = RedisServer::builder().config("user", "worker on >sesame ~shop:* &* +@all");
    let server = server(options.password(SECRET)).await;
    let url = |user: &str| format!("rediss://{user}@{}", server.address());
    let store = trusting(&server, url("worker:sesame")).prefix("shop").build().unwrap();
    store.ready(LIMIT).await.unwrap();
    RedisRotation::new(&store).next("key").await.unwrap();

    // Of somebody else's keys, without a password, with a wrong one, and of nobody.
    for (user, prefix) in
        [("worker:sesame", "bank"), ("", "shop"), ("worker:wrong", "shop"), ("nobody:x", "shop")]
    {
        let told = Told::default();
        let store = told.listening(trusting(&server, url(user)).prefix(prefix));
        let cause = told.cause(&store).await;
        // Where the machine is slow, the call is given up before the refusal arrives.
        assert!(matches!(cause, StoreCause::Refused(_)), "{user}: {cause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_shows_nowhere() {
    let server = server(RedisServer::builder().password("another")).await;
    for (url, secret) in [
        (
            format!("rediss://:{SECRET}@{}", server.address())
                .replace("horse/battery@", "horse%2Fbattery%40"),
            "horse",
        ),
        (format!("rediss://somebody:tell-nobody@{}", server.address()), "tell-nobody"),
    ] {
        let told = Told::default();
        let builder = trusting(&server, url);
        let mut shown = format!("{builder:?}");
        let store = told.listening(builder);
        let cause = told.cause(&store).await;
        let rotation = RedisRotation::new(&store);
        let error = rotation.next("key").await.unwrap_err();
        let late = store.ready(Duration::ZERO).await.unwrap_err();
        let later =
            format!("{store:?} {rotation:?} {error:?} {error} {late:?} {late} {cause} {:?}", told.0.lock());
        shown.push_str(&later);
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains(&server.port().to_string()), "{shown}");
    }
    for url in ["rediss://:tell-nobody@", "tell-nobody://:tell-nobody@host", "rediss://:tell-nobody@host:x"] {
        let error = RedisStore::builder(url).build().unwrap_err();
        assert!(!format!("{error:?} {error}").contains("tell-nobody"), "{error:?}");
    }
}

#[test]
fn certificates_that_are_none_are_refused_at_once() {
    let build = |url: &str, pem: &str| RedisStore::builder(url).root_certificates(pem).build().err();
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    for pem in
        ["", "no certificate", begin, &format!("{begin}\n%%%\n{end}\n"), &format!("{begin}\nAAAA\n{end}\n")]
    {
        assert_eq!(build("rediss://localhost", pem), Some(StoreConfigError::InvalidCertificates), "{pem}");
    }
}
