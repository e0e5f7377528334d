//! Leases: the ids that name an admission, and the guard that gives one back when nobody settles it.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A unique 128-bit name for one admission.
///
/// The guard makes it *before* a backend is asked, so that an admission whose answer never arrives can still be
/// given back by name. Ids start at a place chosen from the operating system's randomness, per thread, and count up:
/// two workers of a fleet do not meet, and a program that seeds a random generator does not make them meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u128);

impl LeaseId {
    /// A new id, unlike every other.
    #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    pub fn new() -> Self {
        thread_local! {
            // Zero stands for "not started yet".
            static NEXT: Cell<u128> = const { Cell::new(0) };
        }
        NEXT.with(|next| {
            let id = match next.get() {
                0 => random(),
                id => id,
            };
            next.set(id.wrapping_add(1));
            Self(id)
        })
    }

    /// The id as a number, for a backend that stores it in its own form.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Each `RandomState` is keyed by the operating system, once a thread, and differs from the one before it.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0_u64));
    half() << 64 | half()
}

impl From<u128> for LeaseId {
    /// Takes up an id that was stored as a number; to make one use [`LeaseId::new`].
    fn from(id: u128) -> Self {
        Self(id)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseId({self})")
    }
}

/// What a lease is given back to.
pub(crate) trait Abandon: Send + Sync {
    fn abandon(&self, key: &str, lease: LeaseId);
}

/// One key of one backend.
pub(crate) struct Bound<B: ?Sized> {
    pub(crate) backend: Arc<B>,
    pub(crate) key: Arc<str>,
}

/// A lease that is abandoned when this is dropped, unless it was disarmed.
///
/// It exists from before the backend is asked until the verdict has been handed over, so there is no await point, and
/// no panic in the backend, at which a granted lease has no owner.
pub(crate) struct Armed<B: Abandon + ?Sized> {
    pub(crate) bound: Arc<Bound<B>>,
    pub(crate) id: LeaseId,
    live: bool,
}

impl<B: Abandon + ?Sized> Armed<B> {
    pub(crate) fn new(bound: &Arc<Bound<B>>) -> Self {
        Self { bound: Arc::clone(bound), id: LeaseId::new(), live: true }
    }

    /// The lease has ended some other way.
    pub(crate) fn disarm(&mut self) {
        self.live = false;
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.live
    }
}

impl<B: Abandon + ?Sized> Drop for Armed<B> {
    fn drop(&mut self) {
        if self.live {
            self.bound.backend.abandon(&self.bound.key, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_and_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| LeaseId::new()).collect::<Vec<_>>()))
            .collect();
        let ids: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.len(), 4000);
    }

    #[test]
    fn an_id_is_shown_as_hexadecimal() {
        assert_eq!(LeaseId::from(0xfeed).to_string(), format!("{}feed", "0".repeat(28)));
        assert_eq!(LeaseId::from(7).as_u128(), 7);
    }
}
