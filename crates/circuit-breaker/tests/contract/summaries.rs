//! What a suite says of harnesses that leave it nothing to look at, or fail themselves, or have one store for all.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{
    BreakerHarness, BreakerPlan, LimiterHarness, LimiterPlan, Pace, Remark, check_breaker, check_limiter,
    examine_breaker,
};
use circuit_breaker::{
    Admission, Ask, Breaker, InProcessBreaker, LeaseId, Limiter, Rejection, Settlement, Status, async_trait,
};
use parking_lot::Mutex;

use crate::in_process::{InProcess, breaker};
use crate::panic_message;

struct Declines;

#[async_trait]
impl BreakerHarness for Declines {
    async fn breaker(&self, _: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        None
    }
}

#[async_trait]
impl LimiterHarness for Declines {
    async fn limiter(&self, _: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_held_nothing_was_shown() {
    let message = panic_message(check_breaker(&Declines)).await;
    assert!(message.contains("0 rules broken, 0 held, 43 skipped, 0 too slow to tell"), "{message}");
    let message = panic_message(check_limiter(&Declines)).await;
    assert!(message.contains("0 rules broken, 0 held, 38 skipped, 0 too slow to tell"), "{message}");
}

/// Of one client.
struct Alone;

#[async_trait]
impl BreakerHarness for Alone {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(breaker(plan)))
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_every_rule_gets_every_rule() {
    let all = InProcess(Pace::new(Duration::from_secs(1)).tolerance(Duration::ZERO));
    let _ = examine_breaker(&all).await.assert_complete();
    let alone = async { examine_breaker(&Alone).await.assert_complete() };
    let message = panic_message(alone).await;
    assert!(message.contains("0 rules broken, 39 held, 4 skipped"), "{message}");
}

struct Panics;

#[async_trait]
impl BreakerHarness for Panics {
    async fn breaker(&self, _: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        panic!("no server on port {}", 6379)
    }
}

#[tokio::test(start_paused = true)]
async fn a_harness_that_panics_is_quoted() {
    let summary = examine_breaker(&Panics).await;
    let quoted = |remark: &&Remark| *remark.reason == *"it panicked: no server on port 6379";
    assert_eq!(summary.broken().iter().filter(quoted).count(), 39, "{summary}");
}

/// One store for all, which is emptied for each rule.
#[derive(Clone, Default)]
struct OneStore(Arc<Mutex<Arc<InProcessBreaker>>>);

impl OneStore {
    fn now(&self) -> Arc<InProcessBreaker> {
        Arc::clone(&self.0.lock())
    }
}

#[async_trait]
impl Breaker for OneStore {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        self.now().acquire(key, ask).await
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        self.now().settle(key, lease, admission, settlement);
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        self.now().abandon(key, lease, admission);
    }

    async fn status(&self, key: &str) -> Status {
        self.now().status(key).await
    }
}

struct Empties {
    store: OneStore,
    pace: Pace,
}

#[async_trait]
impl BreakerHarness for Empties {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        *self.store.0.lock() = Arc::new(breaker(plan));
        Some(Arc::new(self.store.clone()))
    }

    fn pace(&self) -> Pace {
        self.pace
    }
}

#[tokio::test(start_paused = true)]
async fn one_store_will_do_unless_several_rules_run_at_a_time() {
    let pace = Pace::new(Duration::from_secs(1)).tolerance(Duration::ZERO);
    let _ = check_breaker(&Empties { store: OneStore::default(), pace }).await;
    let crowded = examine_breaker(&Empties { store: OneStore::default(), pace: pace.at_once(8) }).await;
    assert!(!crowded.broken().is_empty(), "{crowded}");
}
