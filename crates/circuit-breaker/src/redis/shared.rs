//! A Redis that several backends share: its guards, its queue, and how scripts are run on it.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::key::Key;
use super::link::RedisLink;
use super::outbox::Outbox;
use super::script::Invocation;
use crate::store::{Store, Unavailable};

pub(super) struct Shared {
    pub(super) store: Arc<Store<RedisLink>>,
    pub(super) outbox: Outbox,
    pub(super) prefix: Box<str>,
    pub(super) lanes: usize,
    /// How old what is known may be that calls are answered by.
    pub(super) staleness: Duration,
    /// What tests put in place of the server's clock.
    pub(super) clock: Option<TestClock>,
}

/// Microseconds since some beginning.
pub(super) type TestClock = Arc<dyn Fn() -> u64 + Send + Sync>;

impl Shared {
    pub(super) fn key(&self, key: &str) -> Key {
        Key::new(&self.prefix, key, self.lanes)
    }

    fn lane(&self, key: &str) -> usize {
        if self.lanes < 2 { 0 } else { self.key(key).lane }
    }

    /// Whether the store is lost, as far as this key is concerned. Whoever asks sees to it that it is probed.
    pub(super) fn is_down(&self, key: &str) -> bool {
        self.store.is_down(self.lane(key))
    }

    /// A number for the present outage.
    pub(super) fn outage(&self, key: &str) -> u64 {
        self.store.era(self.lane(key))
    }

    /// Ends when every part of the store is in use.
    pub(super) async fn all_up(&self) {
        for lane in 0..self.lanes {
            self.store.up(lane).await;
        }
    }

    /// Runs a script, and waits for its answer no longer than the store's timeout.
    pub(super) async fn run(self: &Arc<Self>, invocation: &Invocation) -> Result<Value, Unavailable> {
        // What a runtime left behind that has ended goes out in this one.
        self.drain();
        let now = self.clock.as_ref().map(|clock| clock());
        self.store.call(invocation.lane(), |connection| invocation.run(connection, now)).await
    }
}
