//! Clients that share their turns through Memcached, and nothing else unless there is a Redis too.
#![cfg(feature = "memcached")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use llm_client::llm_protocol::ModelAdapter;
use llm_client::llm_protocol::testing::ScriptedModel;
use llm_client::llm_reliability::circuit_breaker::StoreEvent;
use llm_client::llm_reliability::{Ended, ResilientClient};
use llm_client::{Config, FactoryError, ProviderContext, ProviderFactory, Registry};
use parking_lot::Mutex;
use test_servers::MemcachedServer;

struct Acme;

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
    }
}

fn built(text: &str, registry: &Registry) -> ResilientClient {
    Config::from_toml(text).unwrap().build(registry).unwrap()
}

async fn first(client: &ResilientClient) -> Option<String> {
    let report = client.failover("hi").await.unwrap();
    let first = report.attempts().first().map(|attempt| attempt.model_key.replace("acme:", ""));
    assert_eq!(report.ended() == Ended::StoreUnavailable, first.is_none());
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_taken_together() {
    let memcached = MemcachedServer::start().await.unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let registry = Registry::empty()
        .provider("acme", Acme)
        .on_store_event(move |event: &StoreEvent| listener.lock().push(event.clone()));
    let store = format!("[store]\nmemcached = '{}'\ntimeout = '4s'\n", memcached.address());
    let candidates = ["a", "b", "c"]
        .map(|model| format!("[[candidate]]\nprovider = 'acme'\nmodel = '{model}'\n"))
        .concat();
    let new = |settings: &str| {
        built(&format!("failover.order = 'round_robin'\n{store}{settings}\n{candidates}"), &registry)
    };
    let [one, another] = [new(""), new("")];
    let alone = new("rotation_on_outage = 'local_fallback'");
    for (client, expected) in [(&one, "a"), (&another, "b"), (&alone, "c"), (&one, "a")] {
        assert_eq!(first(client).await.as_deref(), Some(expected));
    }
    let other = new("prefix = 'other'");
    assert_eq!(first(&other).await.as_deref(), Some("a"));
    memcached.kill();
    for client in [one, another] {
        assert_eq!(first(&client).await, None);
    }
    assert!(first(&alone).await.is_some());
    let lost = |event: &StoreEvent| matches!(event, StoreEvent::Lost { .. });
    assert!(heard.lock().iter().all(lost) && heard.lock().len() >= 3, "{heard:?}");
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn turns_can_be_memcached_s_and_the_rest_redis_s() {
    let memcached = MemcachedServer::start().await.unwrap();
    let redis = test_servers::RedisServer::start().await.unwrap();
    let text = format!(
        "failover.order = 'round_robin'\nlimits.'acme:a'.requests_per_minute = 1\n[store]\nmemcached = '{}'\n\
         redis = '{}'\ntimeout = '4s'\nstaleness = '0s'\n[[candidate]]\nprovider = 'acme'\nmodel = 'a'\n\
         [[candidate]]\nprovider = 'acme'\nmodel = 'b'",
        memcached.address(),
        redis.url()
    );
    let registry = Registry::empty().provider("acme", Acme);
    let [one, another] = [0, 1].map(|_| built(&text, &registry));
    assert_eq!(first(&one).await.as_deref(), Some("a"));
    assert_eq!(first(&another).await.as_deref(), Some("b"));
    // It begins with `a`, which has no room any more.
    let report = another.failover("hi").await.unwrap();
    let outcomes: Vec<_> = report.attempts().iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["preempted_limited", "success"]);
    redis.kill();
    // Whose turn it is is known all the same.
    for (turn, expected) in ["b", "a", "b"].into_iter().enumerate() {
        let report = one.failover("hi").await.unwrap();
        assert!(report.attempts().iter().all(|attempt| attempt.degraded), "{report:?}");
        assert_eq!(&*report.attempts()[0].model_key, format!("acme:{expected}"), "{turn}");
    }
}
