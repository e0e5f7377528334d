//! A worker: carries out orders, one line each, and writes down what it did.

mod storm;

use std::collections::HashMap;
use std::io::{Write, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Quota, RedisBreaker, RedisRotation, RejectReason, Rejection, Rotation,
    Verdict,
};
use parking_lot::Mutex;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::entry::{Entry, Grant, Span, Why};
use crate::plan::{KEY, Plan};

/// Works until nobody gives orders any more.
pub(crate) fn run(plan: &Plan) {
    // A worker of which a part has failed would say less than is asked for, and nobody would notice.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (orders, mut next) = mpsc::channel(1024);
    // Apart from the work, so that it ends with the auditor whatever it does.
    std::thread::spawn(move || {
        for order in stdin().lines() {
            let Ok(order) = order else { break };
            if orders.blocking_send(order).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    runtime.block_on(async {
        let worker = Arc::new(Worker::new(plan).await);
        say(&Entry::Ready);
        while let Some(order) = next.recv().await {
            worker.obey(&order).await;
        }
    });
}

struct Worker {
    clock: MultiplexedConnection,
    breaker: RedisBreaker,
    quota: Quota,
    rotation: RedisRotation,
    /// What it was granted and has not ended.
    held: Mutex<HashMap<u64, Held>>,
    granted: AtomicU64,
}

struct Held {
    lease: Option<LeaseId>,
    admission: Admission,
}

fn say(entry: &Entry) {
    // In a line of its own, whatever the harness has begun.
    writeln!(stdout().lock(), "\n{entry}").unwrap();
}

impl Worker {
    async fn new(plan: &Plan) -> Self {
        let clock = redis::Client::open(plan.url.as_str()).unwrap();
        // On a busy machine it takes as long as it takes.
        let patient = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let clock = clock.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
        let store = plan.store();
        store.ready(Duration::from_secs(30)).await.unwrap();
        Self {
            clock,
            breaker: plan.breaker(&store),
            quota: Plan::quota(&store),
            rotation: Plan::rotation(&store),
            held: Mutex::default(),
            granted: AtomicU64::new(1000),
        }
    }

    async fn obey(self: &Arc<Self>, order: &str) {
        let words: Vec<&str> = order.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let millis = |at: usize| Duration::from_millis(number(at));
        match words[0] {
            "ask" => drop(self.ask_as(number(1), millis(2)).await),
            "end" => {
                let verdict = match words[2] {
                    "success" => Verdict::Success,
                    "failure" => Verdict::Failure,
                    _ => Verdict::Neutral,
                };
                self.end(number(1), verdict).await;
            }
            "hammer" => {
                let (worker, hold, pause) = (Arc::clone(self), millis(1), millis(2));
                tokio::spawn(async move { worker.hammer(hold, pause).await });
            }
            "trip" => self.trip(number(1)).await,
            "storm" => self.storm(millis(1)).await,
            "spend" => self.spend(millis(1)).await,
            "turns" => self.turns(number(1)).await,
            order => panic!("an order to {order}"),
        }
        say(&Entry::Done);
    }

    /// What time it is at the server.
    async fn time(&self) -> u64 {
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut self.clock.clone()).await.unwrap();
        seconds * 1_000_000 + micros
    }

    /// Asks under a lease, as a [`Circuit`](circuit_breaker::Circuit) does, which does not tell the epoch.
    async fn ask(&self, hold: Duration) -> (Span, Result<Held, Rejection>) {
        let lease = LeaseId::new();
        let since = self.time().await;
        let answer = if let Some(answer) = self.breaker.try_acquire(KEY) {
            answer.map(|admission| Held { lease: None, admission })
        } else {
            let answer = self.breaker.acquire(KEY, &Ask::new(lease).with_hold(hold)).await;
            answer.map(|admission| Held { lease: Some(lease), admission })
        };
        (Span { since, until: self.time().await }, answer)
    }

    /// Asks, tells of the answer, and keeps what is granted.
    async fn ask_as(&self, id: u64, hold: Duration) -> Option<Admission> {
        let (asked, answer) = self.ask(hold).await;
        match answer {
            Ok(won) => {
                let admission = won.admission;
                self.held.lock().insert(id, won);
                granted(id, asked, hold, admission);
                Some(admission)
            }
            Err(rejection) => {
                say(&refusal(asked, rejection));
                None
            }
        }
    }

    fn settle(&self, id: u64, verdict: Verdict) {
        let Held { lease, admission } = self.held.lock().remove(&id).unwrap();
        self.breaker.settle(KEY, lease, admission, verdict.into());
    }

    async fn end(&self, id: u64, verdict: Verdict) {
        let since = self.time().await;
        self.settle(id, verdict);
        self.breaker.flush().await;
        say(&Entry::Ended { id, told: Span { since, until: self.time().await } });
    }

    fn new_id(&self) -> u64 {
        self.granted.fetch_add(1, Ordering::Relaxed)
    }

    /// Calls all the time. All calls go well, and probes take until they are ended by an order.
    async fn hammer(&self, hold: Duration, pause: Duration) {
        loop {
            let id = self.new_id();
            if self.ask_as(id, hold).await.is_some_and(|admission| !admission.probe) {
                self.settle(id, Verdict::Success);
            }
            sleep(pause).await;
        }
    }

    /// So many calls fail, with nothing between them.
    async fn trip(&self, failures: u64) {
        let mut failing = Vec::new();
        for _ in 0..failures {
            let (asked, answer) = self.ask(Duration::from_secs(60)).await;
            let Ok(held) = answer else { return say(&Entry::Refused { asked, why: Why::Open }) };
            failing.push(held);
        }
        let since = self.time().await;
        for Held { lease, admission } in failing {
            self.breaker.settle(KEY, lease, admission, Verdict::Failure.into());
        }
        self.breaker.flush().await;
        say(&Entry::Tripped(Span { since, until: self.time().await }));
    }

    /// Several take turns at the same time.
    async fn turns(&self, turns: u64) {
        let take = || async {
            let mut taken = Vec::new();
            for _ in 0..turns {
                match self.rotation.next(KEY).await {
                    Ok(turn) => taken.push(turn),
                    Err(_) => say(&Entry::Lost),
                }
            }
            say(&Entry::Turns(taken));
        };
        futures::join!(take(), take(), take(), take());
    }
}

fn granted(id: u64, asked: Span, hold: Duration, admission: Admission) {
    let Admission { probe, epoch, .. } = admission;
    say(&Entry::Granted(Grant { id, asked, hold: micros(hold), probe, epoch }));
}

fn refusal(asked: Span, rejection: Rejection) -> Entry {
    match rejection.reason {
        RejectReason::Open => Entry::Refused { asked, why: Why::Open },
        RejectReason::ProbesTaken => Entry::Refused { asked, why: Why::ProbesTaken },
        _ => Entry::Lost,
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
