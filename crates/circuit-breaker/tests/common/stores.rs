//! The contract suites on stores that are made by a function.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{
    BreakerHarness, BreakerPlan, LimiterHarness, LimiterPlan, Pace, RatePlan, RotationHarness, check_breaker,
    check_limiter, check_rotation,
};
use circuit_breaker::{
    Breaker, InProcessBreaker, InProcessLimiter, LeaseId, Limiter, Limits, Rate, RedisBreaker, RedisLimiter,
    RedisRotation, RedisStore, RedisStoreBuilder, Rotation, Settings, async_trait,
};

/// Makes backends, each suite's store with a prefix of its own.
struct Backends<F> {
    builder: F,
    staleness: Duration,
}

impl<F: Fn() -> RedisStoreBuilder + Send + Sync> Backends<F> {
    fn store(&self, prefix: &str) -> RedisStore {
        // As suites test what is shared, and not what is done without a store, it may take its time on a busy machine.
        let builder = (self.builder)().prefix(prefix).staleness(self.staleness);
        builder.timeout(Duration::from_secs(5)).build().unwrap()
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_millis(300))
            .staleness(self.staleness)
            .tolerance(Duration::from_millis(50))
            .at_once(16)
    }
}

/// As old as views may be unless it is set.
pub(crate) const STALE: Duration = Duration::from_millis(250);

pub(crate) async fn breaker_keeps_to_it<F: Fn() -> RedisStoreBuilder + Send + Sync>(builder: F) {
    let _ = check_breaker(&Backends { builder, staleness: STALE }).await.assert_complete();
}

pub(crate) async fn breaker_without_views_keeps_to_it<F: Fn() -> RedisStoreBuilder + Send + Sync>(
    builder: F,
) {
    let summary = check_breaker(&Backends { builder, staleness: Duration::ZERO }).await;
    // Which is the rule about answers that do not ask the store.
    assert!(summary.late().is_empty() && summary.skipped().len() == 1, "{summary}");
}

pub(crate) async fn limiter_keeps_to_it<F: Fn() -> RedisStoreBuilder + Send + Sync>(
    builder: F,
    staleness: Duration,
) {
    let _ = check_limiter(&Backends { builder, staleness }).await.assert_complete();
}

pub(crate) async fn rotation_keeps_to_it<F: Fn() -> RedisStoreBuilder + Send + Sync>(builder: F) {
    let _ = check_rotation(&Backends { builder, staleness: STALE }).await.assert_complete();
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
impl<F: Fn() -> RedisStoreBuilder + Send + Sync> BreakerHarness for Backends<F> {
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
impl<F: Fn() -> RedisStoreBuilder + Send + Sync> LimiterHarness for Backends<F> {
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
impl<F: Fn() -> RedisStoreBuilder + Send + Sync> RotationHarness for Backends<F> {
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
