//! Who does the cryptography is settled before the first connection. Alone in its process, as the process has one for all.
#![cfg(feature = "redis-tls")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as production code for these")]

use circuit_breaker::RedisStore;
use rustls::crypto::CryptoProvider;

#[test]
fn a_store_with_tls_sees_to_it_that_there_is_one_and_others_do_not() {
    RedisStore::builder("redis://localhost").build().unwrap();
    assert!(CryptoProvider::get_default().is_none());
    RedisStore::builder("rediss://localhost").build().unwrap();
    assert!(CryptoProvider::get_default().is_some());
    RedisStore::builder("rediss://localhost").build().unwrap();
}
