//! The in-process backends pass every rule: under paused time, in real time, and behind a store that lags.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{
    BreakerHarness, BreakerPlan, LimiterHarness, LimiterPlan, Pace, RatePlan, RotationHarness, check_breaker,
    check_limiter, check_rotation,
};
use circuit_breaker::{
    Breaker, InProcessBreaker, InProcessLimiter, InProcessRotation, Limiter, Limits, Rate, Rotation,
    Settings, async_trait,
};

use crate::assert_sound;

/// Makes in-process backends. Two clients of one are the same one twice.
pub(crate) struct InProcess(pub(crate) Pace);

pub(crate) fn breaker(plan: &BreakerPlan) -> InProcessBreaker {
    let settings = Settings::default()
        .failure_threshold(plan.failures)
        .cooldown(plan.cooldown)
        .probes(plan.probes)
        .max_hold(plan.hold.unwrap_or(Duration::from_secs(3600)));
    InProcessBreaker::new(settings)
}

pub(crate) fn limiter(plan: &LimiterPlan) -> InProcessLimiter {
    let rate = |plan: RatePlan| Rate::new(plan.amount, plan.period).burst(plan.burst);
    let mut limits = Limits::default();
    limits.requests = plan.requests.map(rate);
    limits.input_tokens = plan.input_tokens.map(rate);
    limits.output_tokens = plan.output_tokens.map(rate);
    limits.in_flight = plan.in_flight;
    InProcessLimiter::new(limits).max_hold(plan.hold.unwrap_or(Duration::from_secs(3600)))
}

#[async_trait]
impl BreakerHarness for InProcess {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(breaker(plan)))
    }

    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        let breaker: Arc<dyn Breaker> = Arc::new(breaker(plan));
        Some([Arc::clone(&breaker), breaker])
    }

    fn pace(&self) -> Pace {
        self.0
    }
}

#[async_trait]
impl LimiterHarness for InProcess {
    async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
        Some(Arc::new(limiter(plan)))
    }

    async fn pair(&self, plan: &LimiterPlan) -> Option<[Arc<dyn Limiter>; 2]> {
        let limiter: Arc<dyn Limiter> = Arc::new(limiter(plan));
        Some([Arc::clone(&limiter), limiter])
    }

    fn pace(&self) -> Pace {
        self.0
    }
}

#[async_trait]
impl RotationHarness for InProcess {
    async fn rotation(&self) -> Arc<dyn Rotation> {
        Arc::new(InProcessRotation::default())
    }

    async fn pair(&self) -> Option<[Arc<dyn Rotation>; 2]> {
        let rotation = self.rotation().await;
        Some([Arc::clone(&rotation), rotation])
    }
}

const BREAKER_RULES: usize = 43;
const LIMITER_RULES: usize = 38;
const ROTATION_RULES: usize = 7;

/// Where time stands still, nothing is off by a moment.
const EXACT: Pace = Pace::new(Duration::from_secs(1)).tolerance(Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn the_breaker_passes_every_rule() {
    assert_sound(&check_breaker(&InProcess(EXACT)).await, BREAKER_RULES);
}

#[tokio::test(start_paused = true)]
async fn the_limiter_passes_every_rule() {
    assert_sound(&check_limiter(&InProcess(EXACT)).await, LIMITER_RULES);
}

#[tokio::test(start_paused = true)]
async fn the_rotation_passes_every_rule() {
    assert_sound(&check_rotation(&InProcess(EXACT)).await, ROTATION_RULES);
}

const REAL: Pace = Pace::new(Duration::from_millis(50)).at_once(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_breaker_does_so_in_real_time() {
    assert_sound(&check_breaker(&InProcess(REAL)).await, BREAKER_RULES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limiter_does_so_in_real_time() {
    assert_sound(&check_limiter(&InProcess(REAL)).await, LIMITER_RULES);
}
