//! What is told to the store and not waited for: a bounded queue, sent in order, and again until it has arrived.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use redis::Value;
use tokio::sync::Notify;

use super::script::Invocation;
use super::shared::Shared;
use crate::store::{StoreEvent, Unavailable};

/// Something to tell.
pub(super) struct Letter {
    pub(super) invocation: Invocation,
    /// For how long it matters.
    pub(super) lasts: Duration,
    /// What is done with the answer.
    pub(super) answered: Option<Box<dyn Fn(Value) + Send + Sync>>,
}

/// How long a request may be on its way whose sender has gone. What it is granted later than that ends by its hold.
pub(super) const LATE: Duration = Duration::from_secs(60);
/// As many letters wait at most. One takes a few hundred bytes, so it is a few megabytes at the worst.
const ROOM: usize = 8192;
/// As many are under way at a time.
const AT_ONCE: usize = 64;
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
    waiting: VecDeque<Queued>,
    /// Those whose part of the store is down.
    parked: Vec<Queued>,
    /// The first of those under way.
    sending: Option<u64>,
    draining: bool,
    next: u64,
    dropped: u64,
}

struct Queued {
    number: u64,
    tries: u8,
    letter: Letter,
}

impl State {
    fn oldest(&self) -> Option<u64> {
        let queued = self.parked.iter().chain(self.waiting.front());
        queued.map(|queued| queued.number).chain(self.sending).min()
    }

    /// In front of everything, as they were.
    fn put_back(&mut self, mut letters: VecDeque<Queued>) {
        letters.append(&mut self.waiting);
        self.waiting = letters;
    }
}

impl Outbox {
    /// Queues it, if there is room. If not, how many were dropped so far.
    fn push(&self, letter: Letter) -> Result<(), u64> {
        let mut state = self.state.lock();
        if state.waiting.len() + state.parked.len() >= ROOM {
            state.dropped += 1;
            return Err(state.dropped);
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Queued { number, tries: 0, letter });
        Ok(())
    }

    /// What goes out next. What does not matter any more is left out.
    fn take(&self, is_down: impl Fn(usize) -> bool) -> Vec<Queued> {
        let mut state = self.state.lock();
        let (parked, back) = std::mem::take(&mut state.parked)
            .into_iter()
            .partition(|each| is_down(each.letter.invocation.lane()));
        state.parked = parked;
        let back: Vec<Queued> = back;
        state.put_back(back.into());
        let mut batch = Vec::new();
        while batch.len() < AT_ONCE {
            let Some(next) = state.waiting.pop_front() else { break };
            if next.letter.invocation.told().elapsed() > next.letter.lasts {
                continue;
            }
            if is_down(next.letter.invocation.lane()) {
                state.parked.push(next);
            } else {
                batch.push(next);
            }
        }
        state.sending = batch.first().map(|queued| queued.number);
        state.draining = !batch.is_empty();
        if batch.is_empty() {
            self.moved.notify_waiters();
        }
        batch
    }
}

impl Shared {
    /// Queues it. Never waits: where there is no room it is dropped, which is told.
    pub(super) fn tell(self: &Arc<Self>, letter: Letter) {
        match self.outbox.push(letter) {
            Ok(()) => self.drain(),
            Err(reports) if reports.is_power_of_two() => {
                self.store.tell(&StoreEvent::Dropped { store: Arc::clone(self.store.name()), reports });
            }
            Err(_) => {}
        }
    }

    /// Waits until everything that was told so far has arrived or does not matter any more, or the store is lost.
    pub(super) async fn flush(self: &Arc<Self>) {
        let target = self.outbox.state.lock().next;
        loop {
            let moved = self.outbox.moved.notified();
            self.drain();
            let done = self.outbox.state.lock().oldest().is_none_or(|oldest| oldest >= target);
            if done || self.store.is_any_down() {
                return;
            }
            moved.await;
        }
    }

    /// Sees to it that somebody sends what waits.
    pub(super) fn drain(self: &Arc<Self>) {
        {
            let mut state = self.outbox.state.lock();
            if state.draining || state.waiting.is_empty() && state.parked.is_empty() {
                return;
            }
            state.draining = true;
        }
        let mut draining = Draining { shared: Arc::downgrade(self), going: true };
        self.store.spawn(async move { while draining.go_on().await {} });
    }

    /// When this part of the store is back, what waits for it goes out.
    fn drain_when_up(self: &Arc<Self>, lane: usize) {
        let (up, shared) = (self.store.up(lane), Arc::downgrade(self));
        self.store.spawn(async move {
            up.await;
            if let Some(shared) = shared.upgrade() {
                shared.drain();
            }
        });
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
        let batch = shared.outbox.take(|lane| shared.store.is_down(lane));
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
        let mut again = VecDeque::new();
        let mut lost = Vec::new();
        for (queued, answer) in std::mem::take(&mut self.batch).into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    if let Some(answered) = &queued.letter.answered {
                        answered(answer);
                    }
                }
                Err(Unavailable { refused: true, .. }) if queued.tries + 1 >= TRIES => {}
                Err(Unavailable { refused, .. }) => {
                    let lane = queued.letter.invocation.lane();
                    if !refused && !lost.contains(&lane) {
                        lost.push(lane);
                    }
                    again.push_back(Queued { tries: queued.tries + u8::from(refused), ..queued });
                }
            }
        }
        self.shared.outbox.state.lock().put_back(again);
        for lane in lost {
            self.shared.drain_when_up(lane);
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.outbox.state.lock();
            state.put_back(std::mem::take(&mut self.batch).into());
            state.sending = None;
        }
        self.shared.outbox.moved.notify_waiters();
    }
}
