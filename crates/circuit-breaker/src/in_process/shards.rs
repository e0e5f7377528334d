//! A bounded map from keys to values, split over several locks.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// Visits to a shard between two sweeps. With shards of at most about a thousand entries, a visit pays for a handful
/// of them.
const SWEEP_EVERY: u32 = 256;
const MAX_SHARDS: usize = 64;
const MIN_SHARD_ROOM: usize = 64;

/// A bounded map. It keeps its bound by refusing, never by forgetting: what may be forgotten is its user's to say.
pub(super) struct Shards<V> {
    hasher: RandomState,
    parts: Box<[Mutex<Shard<V>>]>,
    /// Entries in all shards, so that an empty map is seen without a hash and without a lock.
    len: AtomicUsize,
    room_per_shard: usize,
    /// Whose turn it is to be swept along with the shard that is visited, so that what nobody visits is swept too.
    turn: AtomicUsize,
}

struct Shard<V> {
    map: HashMap<Arc<str>, V>,
    visits: u32,
}

impl<V> Shards<V> {
    pub(super) fn new(max_keys: usize) -> Self {
        let count = (max_keys / MIN_SHARD_ROOM).clamp(1, MAX_SHARDS);
        let shard = || Mutex::new(Shard { map: HashMap::new(), visits: 0 });
        Self {
            hasher: RandomState::new(),
            parts: std::iter::repeat_with(shard).take(count).collect(),
            len: AtomicUsize::new(0),
            room_per_shard: max_keys / count,
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Locks the place of `key`, whether or not there is an entry.
    pub(super) fn lock<'a>(&'a self, key: &'a str) -> Place<'a, V> {
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is below the length, which is at least one"
        )]
        let mut shard = self.parts[hash % self.parts.len()].lock();
        shard.visits = shard.visits.saturating_add(1);
        Place { shards: self, shard, key }
    }

    /// Looks at every entry, one shard after the other.
    pub(super) fn map<T>(&self, mut look: impl FnMut(&Arc<str>, &V) -> T) -> Vec<T> {
        let mut seen = Vec::with_capacity(self.len());
        for part in &self.parts {
            seen.extend(part.lock().map.iter().map(|(key, value)| look(key, value)));
        }
        seen
    }

    fn sweep(&self, shard: &mut Shard<V>, mut keep: impl FnMut(&V) -> bool) {
        let map = &mut shard.map;
        let before = map.len();
        map.retain(|_, value| keep(value));
        self.len.fetch_sub(before - map.len(), Ordering::AcqRel);
        if map.len() < map.capacity() / 4 {
            map.shrink_to_fit();
        }
    }
}

/// The locked place of one key.
pub(super) struct Place<'a, V> {
    shards: &'a Shards<V>,
    shard: MutexGuard<'a, Shard<V>>,
    key: &'a str,
}

impl<V> Place<'_, V> {
    pub(super) fn get(&mut self) -> Option<&mut V> {
        self.shard.map.get_mut(self.key)
    }

    pub(super) const fn name(&self) -> &str {
        self.key
    }

    /// The key, shared with the entry when there is one.
    pub(super) fn key(&self) -> Arc<str> {
        self.shard.map.get_key_value(self.key).map_or_else(|| self.key.into(), |(key, _)| Arc::clone(key))
    }

    /// Adds the entry. When there is no room, sweeps once, and then says that there is none.
    pub(super) fn insert_with(&mut self, value: impl FnOnce() -> V, keep: impl FnMut(&V) -> bool) -> bool {
        if self.shard.map.len() >= self.shards.room_per_shard {
            self.sweep(keep);
            if self.shard.map.len() >= self.shards.room_per_shard {
                return false;
            }
        }
        if self.shard.map.insert(self.key.into(), value()).is_none() {
            self.shards.len.fetch_add(1, Ordering::AcqRel);
        }
        true
    }

    pub(super) fn remove(&mut self) {
        if self.shard.map.remove(self.key).is_some() {
            self.shards.len.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether it is time to [tidy](Self::tidy). It stays so until somebody does.
    pub(super) fn is_sweep_due(&self) -> bool {
        self.shard.visits >= SWEEP_EVERY
    }

    /// Sweeps this shard, and one other in its turn.
    pub(super) fn tidy(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.shard.visits = 0;
        self.sweep(&mut keep);
        let parts = &self.shards.parts;
        let turn = self.shards.turn.fetch_add(1, Ordering::Relaxed) % parts.len().max(1);
        // Never waits, as two that hold a shard each could wait for one another: who is busy has the next turn.
        if let Some(mut other) = parts.get(turn).and_then(Mutex::try_lock) {
            self.shards.sweep(&mut other, keep);
        }
    }

    fn sweep(&mut self, keep: impl FnMut(&V) -> bool) {
        self.shards.sweep(&mut self.shard, keep);
    }
}
