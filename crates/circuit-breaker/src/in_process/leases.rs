//! Leases that are out, and when they end by themselves: a bounded number of slots.

use std::collections::BTreeMap;

use crate::in_process::clock::Time;
use crate::lease::LeaseId;

/// What is held under each lease, until it ends. A map without entries takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leases<T = ()> {
    held: BTreeMap<LeaseId, Held<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held<T> {
    what: T,
    expires: Time,
}

impl<T> Default for Leases<T> {
    fn default() -> Self {
        Self { held: BTreeMap::new() }
    }
}

impl<T> Leases<T> {
    pub(super) fn get(&self, lease: LeaseId, now: Time) -> Option<&T> {
        self.held.get(&lease).filter(|held| now < held.expires).map(|held| &held.what)
    }

    /// Whether one more fits. Those that ended by themselves are forgotten when they are in the way.
    pub(super) fn has_room(&mut self, limit: usize, now: Time) -> bool {
        if self.held.len() >= limit {
            self.held.retain(|_, held| now < held.expires);
        }
        self.held.len() < limit
    }

    pub(super) fn hold(&mut self, lease: LeaseId, what: T, expires: Time) {
        self.held.insert(lease, Held { what, expires });
    }

    /// Ends a lease. What it held, if it had not ended before.
    pub(super) fn end(&mut self, lease: LeaseId, now: Time) -> Option<T> {
        self.held.remove(&lease).filter(|held| now < held.expires).map(|held| held.what)
    }

    pub(super) fn count(&self, now: Time) -> usize {
        self.held.values().filter(|held| now < held.expires).count()
    }
}
