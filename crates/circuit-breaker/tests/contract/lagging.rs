//! A store that many workers share: clients answer from views that are a while old, and what they are told waits in a
//! queue until it is flushed. The suites let it pass when they are told so, and find it out when they are not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{BreakerHarness, BreakerPlan, Pace, check_breaker, examine_breaker};
use circuit_breaker::{
    Admission, Ask, Breaker, InProcessBreaker, LeaseId, RejectReason, Rejection, Settlement, Status,
    async_trait,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{in_process, rules};

const STALE: Duration = Duration::from_millis(250);

type Told = Box<dyn FnOnce(&InProcessBreaker) + Send>;
type View = (Instant, Result<Admission, Rejection>);

struct Client {
    store: Arc<InProcessBreaker>,
    views: Mutex<HashMap<String, View>>,
    queue: Mutex<Vec<Told>>,
    round_trip: Duration,
}

impl Client {
    fn of(store: &Arc<InProcessBreaker>, round_trip: Duration) -> Arc<dyn Breaker> {
        let store = Arc::clone(store);
        Arc::new(Self { store, views: Mutex::default(), queue: Mutex::default(), round_trip })
    }

    fn tell(&self, told: impl FnOnce(&InProcessBreaker) + Send + 'static) {
        self.queue.lock().push(Box::new(told));
    }

    /// The answer of a view that is young enough.
    fn seen(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        let (seen, answer) = *self.views.lock().get(key)?;
        let age = seen.elapsed();
        let answer = match answer {
            Err(rejection) => {
                let rest = rejection.retry_after?.checked_sub(age).filter(|rest| !rest.is_zero())?;
                Err(rejection.with_retry_after(rest))
            }
            yes => yes,
        };
        (age < STALE).then_some(answer)
    }
}

#[async_trait]
impl Breaker for Client {
    fn try_acquire(&self, key: &str) -> Option<Result<Admission, Rejection>> {
        self.seen(key)
    }

    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        sleep(self.round_trip / 2).await;
        let answer = self.store.acquire(key, ask).await;
        let lasts = match answer {
            Ok(admission) => !admission.probe,
            Err(rejection) => rejection.reason == RejectReason::Open,
        };
        if lasts {
            self.views.lock().insert(key.to_owned(), (Instant::now(), answer));
        } else {
            self.views.lock().remove(key);
        }
        sleep(self.round_trip / 2).await;
        answer
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        let key = key.to_owned();
        self.tell(move |store| store.settle(&key, lease, admission, settlement));
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        let key = key.to_owned();
        self.tell(move |store| store.abandon(&key, lease, admission));
    }

    async fn status(&self, key: &str) -> Status {
        sleep(self.round_trip).await;
        self.store.status(key).await
    }

    async fn flush(&self) {
        sleep(self.round_trip).await;
        let told = std::mem::take(&mut *self.queue.lock());
        for told in told {
            told(&self.store);
        }
    }
}

struct Fleet {
    pace: Pace,
    round_trip: Duration,
}

#[async_trait]
impl BreakerHarness for Fleet {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(Client::of(&Arc::new(in_process::breaker(plan)), self.round_trip))
    }

    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        let store = Arc::new(in_process::breaker(plan));
        Some([Client::of(&store, self.round_trip), Client::of(&store, self.round_trip)])
    }

    fn pace(&self) -> Pace {
        self.pace
    }
}

const QUICK: Duration = Duration::from_millis(2);

#[tokio::test(start_paused = true)]
async fn a_store_may_lag_as_far_as_it_says() {
    let pace = Pace::default().staleness(STALE);
    let summary = check_breaker(&Fleet { pace, round_trip: QUICK }).await;
    assert!(summary.skipped().is_empty(), "{summary}");

    let undeclared = examine_breaker(&Fleet { pace: Pace::default(), round_trip: QUICK }).await;
    let opens = |rule: &&str| rule.starts_with("so many failures in a row open it");
    assert!(rules(undeclared.broken()).iter().any(opens), "{undeclared}");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_slow_for_a_cooldown_is_given_a_longer_one() {
    let pace = Pace::default().staleness(STALE);
    let summary = check_breaker(&Fleet { pace, round_trip: Duration::from_millis(200) }).await;
    assert!(summary.skipped().is_empty(), "{summary}");

    let hopeless = check_breaker(&Fleet { pace, round_trip: Duration::from_secs(8) }).await;
    assert!(!hopeless.late().is_empty() && hopeless.skipped().is_empty(), "{hopeless}");
    assert!(hopeless.to_string().contains("\n  too slow to tell: "), "{hopeless}");
}
