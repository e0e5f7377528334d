//! A lock with a word beside it: what can be said of the value without waiting for the lock.

use super::sync::{AtomicU64, Guard, Mutex, Ordering};

/// What can be said of a value in one word.
pub(super) trait Summary {
    fn word(&self) -> u64;
}

/// A value under a lock, and its summary for those who read only that.
///
/// The word is stored while the lock is held, so that whoever comes after a change sees the word of that change or of
/// a later one.
pub(super) struct Cell<V> {
    word: AtomicU64,
    value: Mutex<V>,
}

impl<V: Summary> Cell<V> {
    pub(super) fn new(value: V) -> Self {
        Self { word: AtomicU64::new(value.word()), value: Mutex::new(value) }
    }

    /// The summary, as of the last change.
    #[inline]
    pub(super) fn word(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn lock(&self) -> Locked<'_, V> {
        Locked { word: &self.word, value: self.value.lock() }
    }
}

/// The value, locked.
pub(super) struct Locked<'a, V: Summary> {
    word: &'a AtomicU64,
    value: Guard<'a, V>,
}

impl<V: Summary> Locked<'_, V> {
    pub(super) fn get(&self) -> &V {
        &self.value
    }

    /// Changes the value and publishes its word. Returns what `change` does, the word before it and the word after it.
    #[expect(clippy::inline_always, reason = "moving what goes in and out costs more than most changes do")]
    #[inline(always)]
    pub(super) fn change<T>(&mut self, change: impl FnOnce(&mut V) -> T) -> (T, u64, u64) {
        let done = change(&mut self.value);
        let (before, after) = (self.word.load(Ordering::Relaxed), self.value.word());
        if before != after {
            self.word.store(after, Ordering::Release);
        }
        (done, before, after)
    }
}
