//! Backends behind a wire: what is asked goes on when its caller has gone, and is granted then.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{
    BreakerHarness, BreakerPlan, LimiterHarness, LimiterPlan, Pace, check_breaker, check_limiter,
    examine_breaker, examine_limiter,
};
use circuit_breaker::{
    Admission, Ask, Breaker, Cost, InProcessBreaker, InProcessLimiter, LeaseId, Limited, Limiter, Rejection,
    Reservation, Settlement, Status, async_trait,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::{in_process, rules};

const ONE_WAY: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// What is abandoned overtakes what is asked, and is forgotten as nothing is held yet.
    AbandonsOvertake,
    /// The hold begins with the answer, and ends with whoever waits for it.
    HoldsOnceAnswered,
}

type Message<B> = Box<dyn FnOnce(&B) + Send>;

/// A connection: what is sent arrives a while later, in order, whoever sent it.
struct Wire<B> {
    store: Arc<B>,
    sent: mpsc::Sender<Message<B>>,
    flaw: Flaw,
}

impl<B: Send + Sync + 'static> Wire<B> {
    fn to(store: B, flaw: Flaw) -> Self {
        let (sent, mut inbox) = mpsc::channel::<Message<B>>(1024);
        let store = Arc::new(store);
        let far = Arc::clone(&store);
        tokio::spawn(async move {
            while let Some(message) = inbox.recv().await {
                sleep(ONE_WAY).await;
                message(&far);
            }
        });
        Self { store, sent, flaw }
    }

    fn tell(&self, message: impl FnOnce(&B) + Send + 'static) {
        self.sent.try_send(Box::new(message)).ok().unwrap();
    }

    async fn ask<T: Send + 'static>(&self, message: impl FnOnce(&B) -> T + Send + 'static) -> T {
        let (reply, answer) = oneshot::channel();
        self.tell(move |store| _ = reply.send(message(store)));
        let answer = answer.await.unwrap();
        sleep(ONE_WAY).await;
        answer
    }

    fn abandon(&self, lost: bool, message: impl FnOnce(&B) + Send + 'static) {
        match self.flaw {
            Flaw::AbandonsOvertake => message(&self.store),
            Flaw::HoldsOnceAnswered if lost => {}
            _ => self.tell(message),
        }
    }
}

/// The backends behind it answer at once.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(answer).unwrap()
}

#[async_trait]
impl Breaker for Wire<InProcessBreaker> {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        let (asked, name) = (*ask, key.to_owned());
        if self.flaw != Flaw::HoldsOnceAnswered {
            return self.ask(move |store| at_once(store.acquire(&name, &asked))).await;
        }
        // Here the caller does the walking, so that only one who goes away on the way back leaves something.
        sleep(ONE_WAY).await;
        let answer = self.store.acquire(key, &Ask::new(asked.lease)).await;
        sleep(ONE_WAY).await;
        if let (Ok(admission), Some(hold)) = (answer, asked.hold) {
            let (store, name) = (Arc::clone(&self.store), key.to_owned());
            tokio::spawn(async move {
                sleep(hold.saturating_sub(2 * ONE_WAY)).await;
                store.abandon(&name, asked.lease, Some(admission));
            });
        }
        answer
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        let key = key.to_owned();
        self.tell(move |store| store.settle(&key, lease, admission, settlement));
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        let key = key.to_owned();
        let of_no_answer = admission.is_none();
        self.abandon(of_no_answer, move |store| store.abandon(&key, lease, admission));
    }

    async fn status(&self, key: &str) -> Status {
        let key = key.to_owned();
        self.ask(move |store| at_once(store.status(&key))).await
    }

    async fn flush(&self) {
        self.ask(|_| ()).await;
    }
}

#[async_trait]
impl Limiter for Wire<InProcessLimiter> {
    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        let (key, ask, cost) = (key.to_owned(), *ask, *cost);
        self.ask(move |store| at_once(store.acquire(&key, &ask, &cost))).await
    }

    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost) {
        let (key, actual) = (key.to_owned(), *actual);
        self.tell(move |store| store.settle(&key, lease, reservation, &actual));
    }

    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>) {
        let key = key.to_owned();
        let of_no_answer = reservation.is_none();
        self.abandon(of_no_answer, move |store| store.abandon(&key, lease, reservation));
    }

    fn defer(&self, key: &str, delay: Duration) {
        let key = key.to_owned();
        self.tell(move |store| store.defer(&key, delay));
    }

    async fn flush(&self) {
        self.ask(|_| ()).await;
    }
}

struct Remote(Flaw);

#[async_trait]
impl BreakerHarness for Remote {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(Arc::new(Wire::to(in_process::breaker(plan), self.0)))
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(1))
    }
}

#[async_trait]
impl LimiterHarness for Remote {
    async fn limiter(&self, plan: &LimiterPlan) -> Option<Arc<dyn Limiter>> {
        Some(Arc::new(Wire::to(in_process::limiter(plan), self.0)))
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(1))
    }
}

#[tokio::test(start_paused = true)]
async fn backends_behind_a_wire_keep_to_the_contract() {
    let _ = check_breaker(&Remote(Flaw::None)).await;
    let _ = check_limiter(&Remote(Flaw::None)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_to_somebody_who_has_gone_has_to_come_back() {
    let summary = examine_limiter(&Remote(Flaw::AbandonsOvertake)).await;
    // What is in flight comes back by its hold, as the contract allows.
    assert_eq!(
        rules(summary.broken()),
        ["what is reserved for a caller who has gone is given back"],
        "{summary}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_is_dropped_also_on_its_way_back() {
    let summary = examine_breaker(&Remote(Flaw::HoldsOnceAnswered)).await;
    let lost = [
        "a lease whose answer never arrived is given back by name",
        "an admission dropped while it is asked for leaves no lease",
    ];
    assert_eq!(rules(summary.broken()), lost, "{summary}");
}
