//! The in-process rotation: a counter per key.

use std::fmt;

use async_trait::async_trait;

use crate::in_process::clock::Time;
use crate::in_process::shards::Shards;
use crate::rotation::{Rotation, RotationError};

/// A rotation that keeps its counters in this process, for any threads and runtimes, or none.
///
/// At most 65,536 keys have a counter each, unless [set](Self::max_keys). Further keys draw each turn at random, so that
/// they begin with every candidate equally often all the same.
pub struct InProcessRotation {
    turns: Shards<u64>,
}

impl InProcessRotation {
    /// Sets how many keys have a counter at most, and forgets those there are.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.turns = Shards::new(max_keys);
        self
    }

    /// The number of turns taken under `key` so far, before this one. Needs no runtime.
    pub fn take(&self, key: &str) -> u64 {
        let mut place = self.turns.lock(key);
        if let Some(turns) = place.get() {
            let turn = *turns;
            *turns = turn.wrapping_add(1);
            return turn;
        }
        if place.insert_with(|| 1, |_| true, Time::ZERO) { 0 } else { fastrand::u64(..) }
    }

    /// Starts again from zero under `key`, and forgets it until then.
    pub fn restart(&self, key: &str) {
        self.turns.lock(key).remove();
    }

    /// How many keys have a counter now.
    pub fn tracked_keys(&self) -> usize {
        self.turns.len()
    }
}

#[async_trait]
impl Rotation for InProcessRotation {
    async fn next(&self, key: &str) -> Result<u64, RotationError> {
        Ok(self.take(key))
    }

    async fn reset(&self, key: &str) -> Result<(), RotationError> {
        self.restart(key);
        Ok(())
    }
}

impl Default for InProcessRotation {
    fn default() -> Self {
        Self { turns: Shards::new(65_536) }
    }
}

impl fmt::Debug for InProcessRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessRotation")
            .field("tracked_keys", &self.tracked_keys())
            .finish_non_exhaustive()
    }
}
