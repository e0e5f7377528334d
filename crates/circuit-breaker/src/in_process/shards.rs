//! A bounded map from keys to values, split over several locks.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};

use crate::in_process::clock::Time;

/// Visits to a shard until it is asked whether it should be swept again.
const ASK_EVERY: u32 = 256;
/// From one sweep of a shard to the next, at least. Keys are remembered for minutes, so it makes them no older, and with
/// a thousand of them a sweep is nothing beside ten seconds of calls.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// From one sweep in search of room to the next. A full map is not searched from end to end for every key.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
const MAX_SHARDS: usize = 64;
const MIN_SHARD_ROOM: usize = 64;

/// A bounded map. It keeps its bound by refusing, never by forgetting: what may be forgotten is its user's to say.
pub(crate) struct Shards<V> {
    /// Keyed at random, as keys may come from outside.
    hasher: RandomState,
    parts: Box<[Mutex<Shard<V>>]>,
    /// Entries in all shards, so that an empty map is seen without a hash and without a lock.
    len: AtomicUsize,
    max_keys: usize,
    /// When room was last searched for, in nanoseconds. A sweep in passing forgets less, and does not stand for one.
    searched: AtomicU64,
    /// Whose turn it is to be swept along with the shard that is visited, so that what nobody visits is swept too.
    turn: AtomicUsize,
}

/// A table and not a map, so that the hash which chose the shard finds the entry too.
struct Shard<V> {
    entries: HashTable<(Arc<str>, V)>,
    visits: u32,
    swept: Time,
}

impl<V> Shards<V> {
    pub(crate) fn new(max_keys: usize) -> Self {
        let count = (max_keys / MIN_SHARD_ROOM).clamp(1, MAX_SHARDS);
        let shard = || Mutex::new(Shard { entries: HashTable::new(), visits: 0, swept: Time::ZERO });
        Self {
            hasher: RandomState::new(),
            parts: std::iter::repeat_with(shard).take(count).collect(),
            len: AtomicUsize::new(0),
            max_keys,
            searched: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn max_keys(&self) -> usize {
        self.max_keys
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Locks the place of `key`, whether or not there is an entry.
    pub(crate) fn lock<'a>(&'a self, key: &'a str) -> Place<'a, V> {
        let hash = self.hash(key);
        let part = usize::try_from(hash >> 32).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is below the length, which is at least one"
        )]
        let mut shard = self.parts[part % self.parts.len()].lock();
        shard.visits = shard.visits.saturating_add(1);
        Place { shards: self, shard, key, hash }
    }

    /// Looks at every entry, one shard after the other.
    pub(crate) fn map<T>(&self, mut look: impl FnMut(&Arc<str>, &V) -> T) -> Vec<T> {
        let mut seen = Vec::with_capacity(self.len());
        for part in &self.parts {
            seen.extend(part.lock().entries.iter().map(|(key, value)| look(key, value)));
        }
        seen
    }

    fn sweep(&self, shard: &mut Shard<V>, mut keep: impl FnMut(&V) -> bool, now: Time) {
        shard.swept = now;
        let entries = &mut shard.entries;
        let before = entries.len();
        entries.retain(|(_, value)| keep(value));
        self.len.fetch_sub(before - entries.len(), Ordering::AcqRel);
        if entries.len() < entries.capacity() / 4 {
            entries.shrink_to_fit(|(key, _)| self.hash(key));
        }
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}

/// Less than a pause ago; what was never done is at zero.
fn is_within(pause: Duration, done: Time, now: Time) -> bool {
    done != Time::ZERO && now < done.after(pause)
}

/// The locked place of one key.
pub(crate) struct Place<'a, V> {
    shards: &'a Shards<V>,
    shard: MutexGuard<'a, Shard<V>>,
    key: &'a str,
    hash: u64,
}

impl<V> Place<'_, V> {
    pub(crate) fn get(&mut self) -> Option<&mut V> {
        self.shard.entries.find_mut(self.hash, |(key, _)| **key == *self.key).map(|(_, value)| value)
    }

    pub(crate) const fn name(&self) -> &str {
        self.key
    }

    /// The key, shared with the entry when there is one.
    pub(crate) fn key(&self) -> Arc<str> {
        let entry = self.shard.entries.find(self.hash, |(key, _)| **key == *self.key);
        entry.map_or_else(|| self.key.into(), |(key, _)| Arc::clone(key))
    }

    /// Adds an entry where there is none. When there is no room, searches for some, and then says that there is none.
    pub(crate) fn insert_with(
        &mut self,
        value: impl FnOnce() -> V,
        keep: impl FnMut(&V) -> bool,
        now: Time,
    ) -> bool {
        let Shards { len, max_keys, .. } = self.shards;
        if len.load(Ordering::Acquire) >= *max_keys {
            self.search(keep, now);
        }
        let one_more = |len: usize| (len < *max_keys).then_some(len + 1);
        if len.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_err() {
            return false;
        }
        let hash = |(key, _): &(Arc<str>, V)| self.shards.hash(key);
        self.shard.entries.insert_unique(self.hash, (self.key.into(), value()), hash);
        true
    }

    /// Sweeps everywhere, unless it was done a short while ago.
    fn search(&mut self, mut keep: impl FnMut(&V) -> bool, now: Time) {
        let Shards { parts, searched, .. } = self.shards;
        let last = searched.load(Ordering::Relaxed);
        if is_within(SEARCH_EVERY, Time::from_nanos(last), now)
            || searched.compare_exchange(last, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        self.shards.sweep(&mut self.shard, &mut keep, now);
        // This shard among them, which is locked. Who is busy is left out, as for `tidy`.
        for mut other in parts.iter().filter_map(Mutex::try_lock) {
            self.shards.sweep(&mut other, &mut keep, now);
        }
    }

    pub(crate) fn remove(&mut self) {
        if let Ok(entry) = self.shard.entries.find_entry(self.hash, |(key, _)| **key == *self.key) {
            entry.remove();
            self.shards.len.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether it is time to [tidy](Self::tidy). It stays so until somebody does.
    pub(crate) fn is_sweep_due(&self) -> bool {
        self.shard.visits >= ASK_EVERY
    }

    /// Sweeps this shard, and one other in its turn, unless they were swept a short while ago.
    pub(crate) fn tidy(&mut self, mut keep: impl FnMut(&V) -> bool, now: Time) {
        self.shard.visits = 0;
        if !is_within(SWEEP_EVERY, self.shard.swept, now) {
            self.shards.sweep(&mut self.shard, &mut keep, now);
        }
        let parts = &self.shards.parts;
        let turn = self.shards.turn.fetch_add(1, Ordering::Relaxed) % parts.len().max(1);
        // Never waits, as two that hold a shard each could wait for one another: who is busy has the next turn.
        if let Some(mut other) = parts.get(turn).and_then(Mutex::try_lock)
            && !is_within(SWEEP_EVERY, other.swept, now)
        {
            self.shards.sweep(&mut other, keep, now);
        }
    }
}
