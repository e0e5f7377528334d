//! The contract suites, on a real server and its real time.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{
    BreakerHarness, BreakerPlan, LimiterHarness, LimiterPlan, Pace, RatePlan, RotationHarness, check_breaker,
    check_limiter, check_rotation,
};
use circuit_breaker::{
    Breaker, InProcessBreaker, InProcessLimiter, LeaseId, Limiter, Limits, Rate, RedisBreaker, RedisLimiter,
    RedisRotation, RedisStore, Rotation, Settings, async_trait,
};
use test_servers::RedisServer;

/// Makes backends on one server, each suite's store with a prefix of its own.
struct Redis {
    server: RedisServer,
    staleness: Duration,
}

impl Redis {
    async fn start(staleness: Duration) -> Self {
        Self { server: RedisServer::start().await.unwrap(), staleness }
    }

    fn store(&self, prefix: &str) -> RedisStore {
        // As suites test what is shared, and not what is done without a store, it may take its time on a busy machine.
        let builder = RedisStore::builder(self.server.url()).prefix(prefix).staleness(self.staleness);
        builder.timeout(Duration::from_secs(5)).build().unwrap()
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_millis(300))
            .staleness(self.staleness)
            .tolerance(Duration::from_millis(50))
            .at_once(16)
    }
}

fn prefix() -> String {
    format!("contract-{}", LeaseId::new())
}

fn breaker(store: &RedisStore, plan: &BreakerPlan) -> Arc<dyn Breaker> {
    let settings = Settings::default()
        .failure_threshold(plan.failures)
        .cooldown(plan.cooldown)
        .probes(plan.probes)
        .max_hold(plan.hold.unwrap_or(Duration::from_secs(3600)));
    Arc::new(RedisBreaker::new(store, InProcessBreaker::new(settings)))
}

fn limiter(store: &RedisStore, plan: &LimiterPlan) -> Arc<dyn Limiter> {
    let rate = |plan: RatePlan| Rate::new(plan.amount, plan.period).burst(plan.burst);
    let mut limits = Limits::default();
    limits.requests = plan.requests.map(rate);
    limits.input_tokens = plan.input_tokens.map(rate);
    limits.output_tokens = plan.output_tokens.map(rate);
    limits.in_flight = plan.in_flight;
    let local = InProcessLimiter::new(limits).max_hold(plan.hold.unwrap_or(Duration::from_secs(3600)));
    Arc::new(RedisLimiter::new(store, local))
}

#[async_trait]
impl BreakerHarness for Redis {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(breaker(&self.store(&prefix()), plan))
    }

    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        let prefix = prefix();
        Some([breaker(&self.store(&prefix), plan), breaker(&self.store(&prefix), plan)])
    }

    fn pace(&self) -> Pace {
        self.pace()
    }
}

#[async_trait]
impl LimiterHarness for Redis {
    async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
        Some(limiter(&self.store(&prefix()), plan))
    }

    async fn pair(&self, plan: &LimiterPlan) -> Option<[Arc<dyn Limiter>; 2]> {
        let prefix = prefix();
        Some([limiter(&self.store(&prefix), plan), limiter(&self.store(&prefix), plan)])
    }

    fn pace(&self) -> Pace {
        self.pace()
    }
}

#[async_trait]
impl RotationHarness for Redis {
    async fn rotation(&self) -> Arc<dyn Rotation> {
        Arc::new(RedisRotation::new(&self.store(&prefix())))
    }

    async fn pair(&self) -> Option<[Arc<dyn Rotation>; 2]> {
        let prefix = prefix();
        let rotation = || Arc::new(RedisRotation::new(&self.store(&prefix))) as Arc<dyn Rotation>;
        Some([rotation(), rotation()])
    }

    fn pace(&self) -> Pace {
        self.pace()
    }
}

const STALE: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_keeps_to_the_contract() {
    let _ = check_breaker(&Redis::start(STALE).await).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_without_views_keeps_to_the_contract() {
    let summary = check_breaker(&Redis::start(Duration::ZERO).await).await;
    // Which is the rule about answers that do not ask the store.
    assert!(summary.late().is_empty() && summary.skipped().len() == 1, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_keeps_to_the_contract() {
    let _ = check_limiter(&Redis::start(STALE).await).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limiter_without_views_keeps_to_the_contract() {
    let _ = check_limiter(&Redis::start(Duration::ZERO).await).await.assert_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rotation_keeps_to_the_contract() {
    let _ = check_rotation(&Redis::start(STALE).await).await.assert_complete();
}
