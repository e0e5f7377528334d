//! Permits over a slow store: the caller goes away at every point of an admission, and no lease stays behind.
//!
//! The store is a sketch of a remote one: `acquire` sends its request first and then waits, the server grants whether
//! or not the client still listens, and `settle` and `abandon` are messages that arrive when they arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use circuit_breaker::{
    Admission, Ask, Breaker, Circuit, Cost, LeaseId, LimitReason, Limited, Limiter, Quota, RejectReason,
    Rejection, Reservation, Settlement, State, Status, Transition, Verdict, async_trait,
};
use parking_lot::Mutex;

#[derive(Clone, Copy)]
enum Message {
    Acquire(LeaseId),
    Settle(LeaseId),
    Abandon(LeaseId),
}

/// The server's side: at most `room` leases, and a note of those that ended before they began.
struct Server {
    wire: VecDeque<Message>,
    granted: HashSet<LeaseId>,
    ended: HashSet<LeaseId>,
    answers: HashMap<LeaseId, bool>,
    room: usize,
    settled: usize,
}

impl Server {
    fn deliver(&mut self, message: Message) {
        match message {
            Message::Acquire(lease) => {
                let yes = !self.ended.contains(&lease)
                    && (self.granted.contains(&lease) || self.granted.len() < self.room);
                if yes {
                    self.granted.insert(lease);
                }
                self.answers.insert(lease, yes);
            }
            Message::Settle(lease) => {
                self.settled += usize::from(self.granted.remove(&lease));
                self.ended.insert(lease);
            }
            Message::Abandon(lease) => {
                self.granted.remove(&lease);
                self.ended.insert(lease);
            }
        }
    }
}

/// The client's side, for both traits.
struct Remote {
    server: Mutex<Server>,
    /// Polls from the request to the earliest answer.
    delay: usize,
    /// The poll, counted from the request, at which the server works off its wire.
    served_at: usize,
    abandons: AtomicUsize,
    /// Those of them whose answer never arrived.
    unanswered: AtomicUsize,
}

impl Remote {
    fn new(delay: usize, served_at: usize, room: usize) -> Arc<Self> {
        let server = Server {
            wire: VecDeque::new(),
            granted: HashSet::new(),
            ended: HashSet::new(),
            answers: HashMap::new(),
            room,
            settled: 0,
        };
        let (abandons, unanswered) = Default::default();
        Arc::new(Self { server: Mutex::new(server), delay, served_at, abandons, unanswered })
    }

    fn send(&self, message: Message) {
        self.server.lock().wire.push_back(message);
    }

    fn serve(&self) {
        let mut server = self.server.lock();
        while let Some(message) = server.wire.pop_front() {
            server.deliver(message);
        }
    }

    /// Another connection may be faster: the last message arrives first.
    fn serve_backwards(&self) {
        self.server.lock().wire.make_contiguous().reverse();
        self.serve();
    }

    async fn ask(&self, lease: LeaseId) -> bool {
        self.send(Message::Acquire(lease));
        let mut polls = 0;
        std::future::poll_fn(|_| {
            if polls == self.served_at {
                self.serve();
            }
            polls += 1;
            match self.server.lock().answers.get(&lease) {
                Some(yes) if polls > self.delay => Poll::Ready(*yes),
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn settle_lease(&self, lease: LeaseId) {
        self.send(Message::Settle(lease));
    }

    fn abandon_lease(&self, lease: LeaseId, answered: bool) {
        self.abandons.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(usize::from(!answered), Ordering::Relaxed);
        self.send(Message::Abandon(lease));
    }

    fn leases(&self) -> usize {
        self.server.lock().granted.len()
    }
}

#[async_trait]
impl Breaker for Remote {
    async fn acquire(&self, _: &str, ask: &Ask) -> Result<Admission, Rejection> {
        if self.ask(ask.lease).await {
            Ok(Admission::probe(1))
        } else {
            Err(Rejection::new(RejectReason::ProbesTaken))
        }
    }
    fn settle(&self, _: &str, lease: Option<LeaseId>, _: Admission, _: Settlement) {
        self.settle_lease(lease.unwrap());
    }
    fn abandon(&self, _: &str, lease: LeaseId, admission: Option<Admission>) {
        self.abandon_lease(lease, admission.is_some());
    }
    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}

#[async_trait]
impl Limiter for Remote {
    async fn acquire(&self, _: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        if self.ask(ask.lease).await {
            Ok(Reservation::new(*cost))
        } else {
            Err(Limited::new(LimitReason::InFlight))
        }
    }
    fn settle(&self, _: &str, lease: LeaseId, _: Reservation, _: &Cost) {
        self.settle_lease(lease);
    }
    fn abandon(&self, _: &str, lease: LeaseId, reservation: Option<Reservation>) {
        self.abandon_lease(lease, reservation.is_some());
    }
    fn defer(&self, _: &str, _: Duration) {}
}

const DELAY: usize = 4;

/// Polls `admit` so many times, and drops it with whatever it gave.
fn poll_and_drop<T, E>(admit: impl Future<Output = Result<T, E>>, polls: usize) -> bool {
    let mut admit = pin!(admit);
    (0..polls).any(|_| admit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready())
}

/// Drops an admission after every number of polls, with the server serving at every point and in either order.
fn drop_everywhere<T, E, F: Future<Output = Result<T, E>>>(admit: impl Fn(Arc<Remote>) -> F) {
    let (mut answered, mut cut) = (0, 0);
    for (polls, served_at) in (0..=DELAY + 2).flat_map(|polls| (0..=DELAY + 2).map(move |at| (polls, at))) {
        for backwards in [false, true] {
            let remote = Remote::new(DELAY, served_at, 1);
            let ready = poll_and_drop(admit(remote.clone()), polls);
            if backwards {
                remote.serve_backwards();
            } else {
                remote.serve();
            }
            assert_eq!(remote.leases(), 0, "dropped after {polls} polls, served at {served_at}, {backwards}");
            let asked = usize::from(polls > 0);
            assert_eq!(
                remote.abandons.load(Ordering::Relaxed),
                asked,
                "once, and not for what was never asked"
            );
            assert_eq!(
                remote.unanswered.load(Ordering::Relaxed),
                usize::from(polls > 0 && !ready),
                "says whether the answer arrived"
            );
            *(if ready { &mut answered } else { &mut cut }) += 1;

            assert!(wait(admit(remote)).is_ok(), "the slot is free again");
        }
    }
    assert!(answered > 0 && cut > 0, "both kinds were seen: {answered}, {cut}");
}

#[test]
fn an_admission_dropped_at_every_poll_leaves_no_lease() {
    drop_everywhere(|remote| async move { Circuit::new(remote, "key").admit().await });
}

#[test]
fn a_reservation_dropped_at_every_poll_leaves_no_lease() {
    drop_everywhere(|remote| async move { Quota::new(remote, "key").admit(Cost::REQUEST).await });
}

/// The same for a whole call, whose own future takes a few polls: dropped or panicking at each of them.
#[test]
fn a_call_that_ends_at_every_poll_leaves_no_lease() {
    const WORK: usize = 3;
    let (mut answered, mut cut) = (0, 0);
    for (polls, panics) in (0..=DELAY + WORK + 2).flat_map(|polls| [(polls, false), (polls, true)]) {
        let remote = Remote::new(DELAY, 1, 1);
        let circuit = Circuit::new(remote.clone(), "key");
        let done = std::cell::Cell::new(0);
        let work = std::future::poll_fn(|_| {
            if panics && done.get() + DELAY + 1 >= polls {
                std::panic::resume_unwind(Box::new("in the middle of the call"));
            }
            done.set(done.get() + 1);
            if done.get() > WORK { Poll::Ready(Ok::<(), ()>(())) } else { Poll::Pending }
        });
        let call = circuit.call(work, Verdict::of);
        let ended = catch_unwind(AssertUnwindSafe(|| poll_and_drop(call, polls)));
        remote.serve();
        assert_eq!(remote.leases(), 0, "after {polls} polls, panics: {panics}");
        let settled = remote.server.lock().settled;
        assert_eq!(settled, usize::from(matches!(ended, Ok(true))), "settled where it came to its end");
        let abandoned = usize::from(polls > 0) - settled;
        assert_eq!(remote.abandons.load(Ordering::Relaxed), abandoned, "and else given back, once");
        *(if settled == 1 { &mut answered } else { &mut cut }) += 1;

        assert!(wait(circuit.admit()).is_ok(), "the slot is free again");
    }
    assert!(answered > 0 && cut > 0, "both kinds were seen: {answered}, {cut}");
}

#[test]
fn any_backend_may_tell_of_transitions() {
    let cooldown = Duration::from_secs(9);
    let opened =
        Transition::new("key", State::Closed, State::Open, 4).with_failures(3).with_cooldown(cooldown);
    assert_eq!((&*opened.key, opened.from, opened.to, opened.epoch), ("key", State::Closed, State::Open, 4));
    assert_eq!((opened.failures, opened.cooldown), (3, Some(cooldown)));
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

#[test]
fn a_settled_permit_is_not_abandoned_and_a_rejected_one_neither() {
    let remote = Remote::new(DELAY, 0, 1);
    let circuit = Circuit::new(remote.clone(), "key");
    let permit = wait(circuit.admit()).unwrap();
    assert_eq!(wait(circuit.admit()).unwrap_err().reason, RejectReason::ProbesTaken);
    permit.settle(Verdict::Success);
    remote.serve();
    let server = remote.server.lock();
    assert_eq!((server.granted.len(), server.settled, remote.abandons.load(Ordering::Relaxed)), (0, 1, 0));
}

#[test]
fn a_slot_gives_back_what_never_went_out_and_keeps_what_did() {
    let remote = Remote::new(DELAY, 0, 9);
    let quota = Quota::new(remote.clone(), "key");
    let cost = Cost::REQUEST.with_input_tokens(70);

    let slot = wait(quota.admit(cost)).unwrap();
    assert_eq!((slot.cost(), slot.key(), slot.degraded()), (&cost, "key", false));
    drop(slot);
    remote.serve();
    assert_eq!((remote.leases(), remote.server.lock().settled), (0, 0), "given back");

    let mut slot = wait(quota.admit(cost)).unwrap();
    slot.dispatched();
    drop(slot);
    remote.serve();
    assert_eq!((remote.leases(), remote.server.lock().settled), (0, 1), "kept");

    let mut slot = wait(quota.admit(cost)).unwrap();
    slot.dispatched();
    slot.settle(&cost.with_output_tokens(9));
    remote.serve();
    assert_eq!((remote.leases(), remote.server.lock().settled), (0, 2), "once");
    assert_eq!(remote.abandons.load(Ordering::Relaxed), 1);
}

/// Says yes, and panics wherever it is told anything else.
#[derive(Default)]
struct Broken {
    abandons: AtomicUsize,
}

#[async_trait]
impl Breaker for Broken {
    async fn acquire(&self, key: &str, _: &Ask) -> Result<Admission, Rejection> {
        assert_ne!(key, "broken", "acquire is broken");
        Ok(Admission::closed(0))
    }
    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {
        panic!("settle is broken");
    }
    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {
        self.abandons.fetch_add(1, Ordering::Relaxed);
    }
    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}

#[async_trait]
impl Limiter for Broken {
    async fn acquire(&self, _: &str, _: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        Ok(Reservation::new(*cost))
    }
    fn settle(&self, _: &str, _: LeaseId, _: Reservation, _: &Cost) {
        panic!("settle is broken");
    }
    fn abandon(&self, _: &str, _: LeaseId, _: Option<Reservation>) {
        self.abandons.fetch_add(1, Ordering::Relaxed);
    }
    fn defer(&self, _: &str, _: Duration) {}
}

#[test]
fn a_backend_that_panics_still_gets_its_lease_back() {
    let broken = Arc::new(Broken::default());
    let panics = |run: &dyn Fn()| catch_unwind(AssertUnwindSafe(run)).is_err();
    assert!(panics(&|| drop(wait(Circuit::new(broken.clone(), "broken").admit()))));
    assert_eq!(broken.abandons.load(Ordering::Relaxed), 1);
    assert!(panics(&|| wait(Circuit::new(broken.clone(), "key").admit()).unwrap().settle(Verdict::Success)));
    assert_eq!(broken.abandons.load(Ordering::Relaxed), 2);
    assert!(panics(&|| {
        let mut slot = wait(Quota::new(broken.clone(), "key").admit(Cost::default())).unwrap();
        slot.dispatched();
        slot.settle(&Cost::default());
    }));
    assert_eq!(broken.abandons.load(Ordering::Relaxed), 3);
}
