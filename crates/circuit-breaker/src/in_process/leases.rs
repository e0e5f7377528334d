//! Leases that are out, and when they end by themselves: a bounded number of slots.

use std::fmt;

use hashbrown::HashTable;

use crate::in_process::clock::Time;
use crate::lease::LeaseId;

/// What is held under each lease, until it ends. Without any it takes no memory of its own.
#[derive(Clone)]
pub(super) struct Leases<T = ()> {
    held: HashTable<Held<T>>,
    /// None ends by itself before this.
    earliest: Time,
}

#[derive(Clone)]
struct Held<T> {
    lease: LeaseId,
    what: T,
    expires: Time,
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self { held: HashTable::new(), earliest: Time::END }
    }
}

impl<T> Leases<T> {
    pub(super) fn is_held(&self, lease: LeaseId, now: Time) -> bool {
        let held = self.held.find(hash(lease), |held| held.lease == lease);
        held.is_some_and(|held| now < held.expires)
    }

    /// Whether one more fits. Those that ended by themselves are forgotten when they are in the way.
    pub(super) fn has_room(&mut self, limit: usize, now: Time) -> bool {
        if self.held.len() >= limit {
            self.forget_expired(now);
        }
        self.held.len() < limit
    }

    fn forget_expired(&mut self, now: Time) {
        if self.earliest <= now {
            self.held.retain(|held| now < held.expires);
            self.earliest = self.held.iter().map(|held| held.expires).min().unwrap_or(Time::END);
        }
    }

    /// Holds it until it expires. Before it takes more memory, those that ended by themselves are forgotten.
    pub(super) fn hold(&mut self, lease: LeaseId, what: T, now: Time, expires: Time) {
        self.end(lease, now);
        if self.held.len() == self.held.capacity() {
            self.forget_expired(now);
        }
        self.earliest = self.earliest.min(expires);
        self.held.insert_unique(hash(lease), Held { lease, what, expires }, |held| hash(held.lease));
    }

    /// Ends a lease. What it held, if it had not ended before.
    pub(super) fn end(&mut self, lease: LeaseId, now: Time) -> Option<T> {
        let entry = self.held.find_entry(hash(lease), |held| held.lease == lease).ok()?;
        let (held, _) = entry.remove();
        (now < held.expires).then_some(held.what)
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.held.iter_mut().map(|held| &mut held.what)
    }

    /// Whether one is out still.
    pub(super) fn any(&self, now: Time) -> bool {
        self.held.iter().any(|held| now < held.expires)
    }

    pub(super) fn count(&self, now: Time) -> usize {
        self.held.iter().filter(|held| now < held.expires).count()
    }
}

/// Ids are random where they begin and count up from there: spread them over all bits, and they need no better hash.
fn hash(lease: LeaseId) -> u64 {
    let id = lease.as_u128();
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let halves = id as u64 ^ (id >> 64) as u64;
    halves.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<T> fmt::Debug for Leases<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.held.iter().map(|held| held.lease)).finish()
    }
}
