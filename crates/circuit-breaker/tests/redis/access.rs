//! What the guide says of access is enough, and no more than it takes.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{
    Circuit, Cost, InProcessBreaker, InProcessLimiter, Limits, OnOutage, Percent, Quota, Rate, Rates,
    RedisBreaker, RedisLimiter, RedisRotation, RedisStore, Rotation, Settings, Verdict, Window,
};
use test_servers::RedisServer;

/// What the guide grants, without what is for Clusters and for databases.
fn granted() -> BTreeSet<String> {
    let guide = include_str!("../../SHARED.md");
    let words = guide.split(|c: char| c.is_whitespace() || c == '`').filter(|word| word.starts_with('+'));
    let rest = ["+cluster|slots", "+asking", "+select"];
    words
        .map(|word| word.trim_end_matches([',', '.']))
        .filter(|word| !rest.contains(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_guide_lists_what_the_scripts_call() {
    let mut called: BTreeSet<_> = ["+eval", "+evalsha"].map(str::to_owned).into();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/redis");
    for directory in ["breaker", "limiter", "rotation"] {
        for file in std::fs::read_dir(scripts.join(directory)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "lua") {
                let text = std::fs::read_to_string(path).unwrap();
                let calls = text.split("call('").skip(1).filter_map(|rest| rest.split('\'').next());
                called.extend(calls.map(|name| format!("+{}", name.to_lowercase())));
            }
        }
    }
    assert_eq!(granted(), called);
}

#[tokio::test]
async fn what_the_guide_grants_is_enough() {
    let server = RedisServer::start().await.unwrap();
    let granted = granted();
    let mut user = vec!["ACL", "SETUSER", "worker", "on", ">word", "~mine:*"];
    user.extend(granted.iter().map(String::as_str));
    server.cli(&user).await.unwrap();
    let url = server.url().replace("redis://", "redis://worker:word@");
    let builder = RedisStore::builder(url).prefix("mine").timeout(Duration::from_secs(5));
    let store = builder.staleness(Duration::ZERO).build().unwrap();
    let n = |n| NonZeroU32::new(n).unwrap();
    for window in [Window::Calls(n(3)), Window::Time(Duration::from_secs(60))] {
        let rates = Rates::failures(Percent::new(90).unwrap(), window).minimum_calls(n(100));
        let local = InProcessBreaker::new(Settings::default().trip(rates));
        let breaker = Arc::new(RedisBreaker::new(&store, local).on_outage(OnOutage::FailClosed));
        let circuit = Circuit::new(Arc::clone(&breaker) as _, format!("{window:?}"));
        for _ in 0..5 {
            circuit.admit().await.unwrap().settle(Verdict::Success);
        }
        circuit_breaker::Breaker::flush(&*breaker).await;
        assert_ne!(breaker.snapshot(circuit.key()).await.unwrap().counts.calls, 0);
    }
    let local = InProcessBreaker::new(Settings::default().failure_threshold(n(1)).cooldown(Duration::ZERO));
    let breaker = Arc::new(RedisBreaker::new(&store, local).on_outage(OnOutage::FailClosed));
    let circuit = Circuit::new(Arc::clone(&breaker) as _, "row");
    for verdict in [Verdict::Failure, Verdict::Neutral, Verdict::Success] {
        circuit.admit().await.unwrap().settle(verdict);
        circuit_breaker::Breaker::flush(&*breaker).await;
    }
    let limits = Limits::default().requests(Rate::per_minute(std::num::NonZeroU64::MAX)).in_flight(n(9));
    let limiter =
        Arc::new(RedisLimiter::new(&store, InProcessLimiter::new(limits)).on_outage(OnOutage::FailClosed));
    let quota = Quota::new(Arc::clone(&limiter) as _, "account");
    drop(quota.admit(Cost::REQUEST).await.unwrap());
    quota.admit(Cost::REQUEST).await.unwrap().settle(&Cost::REQUEST.with_requests(2));
    quota.defer(Duration::from_millis(1));
    circuit_breaker::Limiter::flush(&*limiter).await;
    let rotation = RedisRotation::new(&store);
    assert_eq!(rotation.next("turn").await, Ok(0));
    rotation.reset("turn").await.unwrap();
    assert!(!store.is_degraded());
}
