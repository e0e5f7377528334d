//! What is told to the store and not waited for: a bounded queue, sent in order, and again until it has arrived.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::script::Invocation;
use super::shared::Shared;
use crate::store::{StoreEvent, Unavailable};

/// Something to tell.
pub(super) struct Letter {
    pub(super) invocation: Invocation,
    /// For how long it matters.
    pub(super) lasts: Duration,
    /// It has to arrive after those before it that are so, under the same key: one of them is under way at a time.
    pub(super) ordered: bool,
    /// What is done with the answer.
    pub(super) answered: Option<Box<dyn Fn(Value) + Send + Sync>>,
}

/// How long a request may be on its way whose sender has gone. What it is granted later than that ends by its hold.
pub(super) const LATE: Duration = Duration::from_secs(60);
/// As many letters wait at most. One takes a few hundred bytes, so it is a few megabytes at the worst.
const ROOM: usize = 8192;
/// As many are under way at a time.
const AT_ONCE: usize = 64;
const BETWEEN_SEARCHES: Duration = Duration::from_secs(1);
/// How often a letter is sent that is refused, while others are not.
const TRIES: u8 = 3;

/// The queue.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Default)]
struct State {
    /// By number.
    waiting: VecDeque<Queued>,
    /// Those whose part of the store is watched.
    parked: Vec<Queued>,
    /// The parts that are down, where somebody waits until they are up. What is told to them queues behind what is parked.
    watched: BTreeSet<usize>,
    /// The first of those under way.
    sending: Option<u64>,
    draining: bool,
    /// When what does not matter any more was looked for last.
    searched: Option<Instant>,
    next: u64,
    dropped: u64,
}

struct Queued {
    number: u64,
    tries: u8,
    letter: Letter,
}

impl Queued {
    const fn lane(&self) -> usize {
        self.letter.invocation.lane()
    }

    fn precedes(&self, next: &Self) -> bool {
        self.letter.ordered && self.letter.invocation.key() == next.letter.invocation.key()
    }
}

impl State {
    fn len(&self) -> usize {
        self.waiting.len() + self.parked.len()
    }

    /// Whether it is time to look for what does not matter any more: a full queue is not searched for each letter.
    fn forgets(&mut self) -> bool {
        let due = self.searched.is_none_or(|searched| searched.elapsed() >= BETWEEN_SEARCHES);
        if due {
            self.searched = Some(Instant::now());
        }
        due
    }

    fn oldest(&self) -> Option<u64> {
        let queued = self.parked.iter().chain(self.waiting.front());
        queued.map(|queued| queued.number).chain(self.sending).min()
    }

    /// Back to where they were.
    fn put_back(&mut self, letters: Vec<Queued>) {
        if !letters.is_empty() {
            self.waiting.extend(letters);
            self.waiting.make_contiguous().sort_by_key(|queued| queued.number);
        }
    }

    fn unpark(&mut self, lane: usize) {
        self.watched.remove(&lane);
        let (back, parked) =
            std::mem::take(&mut self.parked).into_iter().partition(|queued| queued.lane() == lane);
        self.parked = parked;
        self.put_back(back);
    }
}

impl Outbox {
    /// Queues it, if there is room. If not, how many were dropped so far.
    pub(super) fn push(&self, letter: Letter) -> Result<(), u64> {
        let mut state = self.state.lock();
        if state.len() >= ROOM && state.forgets() {
            let matters = |queued: &Queued| queued.letter.invocation.told().elapsed() <= queued.letter.lasts;
            state.waiting.retain(matters);
            state.parked.retain(matters);
        }
        if state.len() >= ROOM {
            state.dropped += 1;
            return Err(state.dropped);
        }
        let queued = Queued { number: state.next, tries: 0, letter };
        state.next += 1;
        if state.watched.contains(&queued.lane()) {
            state.parked.push(queued);
        } else {
            state.waiting.push_back(queued);
        }
        Ok(())
    }

    /// One more is lost. How many are so far.
    fn drop_one(&self) -> u64 {
        let mut state = self.state.lock();
        state.dropped += 1;
        state.dropped
    }

    /// What goes out next, and which parts have to be watched from now on, as they are down. What does not matter any more
    /// is left out.
    fn take(&self, is_down: impl Fn(usize) -> bool) -> (Vec<Queued>, Vec<usize>) {
        let mut state = self.state.lock();
        let (mut batch, mut watch) = (Vec::new(), Vec::new());
        while batch.len() < AT_ONCE {
            let Some(next) = state.waiting.pop_front() else { break };
            let lane = next.lane();
            if next.letter.invocation.told().elapsed() > next.letter.lasts {
                continue;
            }
            if state.watched.contains(&lane) || is_down(lane) {
                if state.watched.insert(lane) {
                    watch.push(lane);
                }
                state.parked.push(next);
            } else if next.letter.ordered && batch.iter().any(|other: &Queued| other.precedes(&next)) {
                state.waiting.push_front(next);
                break;
            } else {
                batch.push(next);
            }
        }
        state.sending = batch.first().map(|queued| queued.number);
        state.draining = !batch.is_empty();
        if batch.is_empty() {
            self.moved.notify_waiters();
        }
        (batch, watch)
    }
}

impl Shared {
    /// Queues it. Never waits: where there is no room it is dropped, which is told.
    pub(super) fn tell(self: &Arc<Self>, letter: Letter) {
        self.queued(self.outbox.push(letter));
    }

    /// What has to follow when something was [queued](Outbox::push), outside of every lock.
    pub(super) fn queued(self: &Arc<Self>, queued: Result<(), u64>) {
        match queued {
            Ok(()) => self.drain(),
            Err(reports) if reports.is_power_of_two() => {
                self.store.tell(&StoreEvent::Dropped { store: Arc::clone(self.store.name()), reports });
            }
            Err(_) => {}
        }
    }

    /// Waits until everything that was told so far has arrived or does not matter any more, also while the store is lost; or
    /// until there is no runtime to send it.
    pub(super) async fn flush(self: &Arc<Self>) {
        let target = self.outbox.state.lock().next;
        loop {
            let moved = self.outbox.moved.notified();
            self.drain();
            let (done, draining) = {
                let state = self.outbox.state.lock();
                (state.oldest().is_none_or(|oldest| oldest >= target), state.draining)
            };
            let nobody = !draining && Handle::try_current().is_err();
            if done || nobody {
                return;
            }
            moved.await;
        }
    }

    /// Sees to it that somebody sends what waits.
    pub(super) fn drain(self: &Arc<Self>) {
        {
            let mut state = self.outbox.state.lock();
            if state.draining || state.waiting.is_empty() {
                return;
            }
            state.draining = true;
        }
        let mut draining = Draining { shared: Arc::downgrade(self), going: true };
        self.store.spawn(async move { while draining.go_on().await {} });
    }

    /// When this part of the store is back, what waits for it goes out.
    fn drain_when_up(self: &Arc<Self>, lane: usize) {
        let (up, watch) = (self.store.up(lane), Watch { shared: Arc::downgrade(self), lane });
        self.store.spawn(async move {
            up.await;
            let shared = watch.shared.upgrade();
            drop(watch);
            if let Some(shared) = shared {
                shared.drain();
            }
        });
    }
}

/// Somebody waits until this part is up. Whoever stops, also because the runtime went away, lets go what is parked.
struct Watch {
    shared: Weak<Shared>,
    lane: usize,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.outbox.state.lock().unpark(self.lane);
            shared.outbox.moved.notify_waiters();
        }
    }
}

/// Somebody sends. Whoever stops on the way, because the runtime went away, makes room for another.
struct Draining {
    shared: Weak<Shared>,
    going: bool,
}

impl Draining {
    /// Sends what is next. Says whether there may be more.
    async fn go_on(&mut self) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let (batch, watch) = shared.outbox.take(|lane| shared.store.is_down(lane));
        for lane in watch {
            shared.drain_when_up(lane);
        }
        self.going = !batch.is_empty();
        if self.going {
            Sending { shared: &shared, batch }.send().await;
        }
        self.going
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade().filter(|_| self.going) {
            shared.outbox.state.lock().draining = false;
            shared.outbox.moved.notify_waiters();
        }
    }
}

/// Letters under way. They go back to where they were when nobody waits for their answers any more.
struct Sending<'a> {
    shared: &'a Arc<Shared>,
    batch: Vec<Queued>,
}

impl Sending<'_> {
    async fn send(mut self) {
        let answers =
            join_all(self.batch.iter().map(|queued| self.shared.run(&queued.letter.invocation))).await;
        let mut again = Vec::new();
        for (queued, answer) in std::mem::take(&mut self.batch).into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    if let Some(answered) = &queued.letter.answered {
                        answered(answer);
                    }
                }
                Err(Unavailable { refused: true, .. }) if queued.tries + 1 >= TRIES => {
                    let dropped = self.shared.outbox.drop_one();
                    self.shared.queued(Err(dropped));
                }
                Err(Unavailable { refused, .. }) => {
                    again.push(Queued { tries: queued.tries + u8::from(refused), ..queued });
                }
            }
        }
        self.shared.outbox.state.lock().put_back(again);
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.outbox.state.lock();
            state.put_back(std::mem::take(&mut self.batch));
            state.sending = None;
        }
        self.shared.outbox.moved.notify_waiters();
    }
}
