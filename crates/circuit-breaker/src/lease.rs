//! Leases: the ids that name an admission, and the guard that gives one back when nobody settles it.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A unique 128-bit name for one admission.
///
/// The guard makes it *before* a backend is asked, so that an admission whose answer never arrives can still be
/// given back by name. Ids start at a place chosen from the operating system's randomness, per thread, and count up:
/// two workers of a fleet do not meet, and a program that seeds a random generator does not make them meet. A forked
/// child starts anew. (What copies a running process without giving it another id, such as a snapshot of a virtual
/// machine that is started twice, is not noticed.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u128);

impl LeaseId {
    /// A new id, unlike every other.
    #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    pub fn new() -> Self {
        Self::of(|_| process())
    }

    /// A new id that means something in this process only, so that it need not be asked which one it is.
    #[cfg(feature = "in-process")]
    pub(crate) fn local() -> Self {
        Self::of(|source| source.map_or_else(process, |source| source.process))
    }

    fn of(process: impl FnOnce(Option<Source>) -> u32) -> Self {
        thread_local! {
            static SOURCE: Cell<Option<Source>> = const { Cell::new(None) };
        }
        SOURCE.with(|source| {
            let (id, next) = Source::next(source.get(), process(source.get()));
            source.set(Some(next));
            id
        })
    }

    /// The id as a number, for a backend that stores it in its own form.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Where the ids of one thread come from. A fork copies it, so it knows whose it is.
#[derive(Clone, Copy)]
struct Source {
    process: u32,
    next: u128,
}

impl Source {
    fn next(source: Option<Self>, process: u32) -> (LeaseId, Self) {
        let id = match source {
            Some(source) if source.process == process => source.next,
            _ => random(process),
        };
        (LeaseId(id), Self { process, next: id.wrapping_add(1) })
    }
}

/// The process, where there are several: asking costs one short system call.
fn process() -> u32 {
    if cfg!(target_family = "wasm") { 0 } else { std::process::id() }
}

/// Each `RandomState` is keyed by the operating system, once a thread, and differs from the one before it. A fork
/// copies that key as well; its process and the time tell parent, child and siblings apart.
fn random(process: u32) -> u128 {
    let time = (!cfg!(target_family = "wasm")).then(SystemTime::now);
    let half = || u128::from(RandomState::new().hash_one((process, time)));
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

/// What a caller asks a backend with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ask {
    /// Names the admission.
    pub lease: LeaseId,
    /// How long the caller may take at most: a lease that is neither settled nor abandoned by then ends by itself.
    /// `None` leaves it to the backend's own maximum. A backend may cap it.
    pub hold: Option<Duration>,
}

impl Ask {
    /// Asks under `lease`, for as long as the backend allows.
    pub const fn new(lease: LeaseId) -> Self {
        Self { lease, hold: None }
    }

    /// Says how long the caller may take at most.
    pub const fn with_hold(mut self, hold: Duration) -> Self {
        self.hold = Some(hold);
        self
    }
}

/// What a lease is given back to.
pub(crate) trait Abandon: Send + Sync {
    /// What the backend hands out with a yes.
    type Grant: Copy;

    fn abandon(&self, key: &str, lease: LeaseId, grant: Option<Self::Grant>);
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
    /// `None` where nothing is held, or nothing any more.
    id: Option<LeaseId>,
    /// `None` until the backend has said yes.
    grant: Option<B::Grant>,
}

impl<B: Abandon + ?Sized> Armed<B> {
    pub(crate) fn new(bound: &Arc<Bound<B>>, id: LeaseId) -> Self {
        Self { bound: Arc::clone(bound), id: Some(id), grant: None }
    }

    /// The backend said yes without a lease.
    pub(crate) fn unheld(bound: &Arc<Bound<B>>) -> Self {
        Self { bound: Arc::clone(bound), id: None, grant: None }
    }

    /// The backend has said yes.
    pub(crate) fn granted(mut self, grant: B::Grant) -> Self {
        self.grant = Some(grant);
        self
    }

    pub(crate) fn id(&self) -> Option<LeaseId> {
        self.id
    }

    /// The lease has ended some other way.
    pub(crate) fn disarm(&mut self) {
        self.id = None;
    }
}

impl<B: Abandon + ?Sized> Drop for Armed<B> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.bound.backend.abandon(&self.bound.key, id, self.grant);
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
    fn a_fork_does_not_repeat_its_parents_ids() {
        let (_, copied) = Source::next(None, 1);
        let (parents, _) = Source::next(Some(copied), 1);
        let (childs, own) = Source::next(Some(copied), 2);
        let (siblings, _) = Source::next(Some(copied), 3);
        assert_eq!(parents.0, copied.next, "the parent counts on");
        assert!(parents != childs && parents != siblings && childs != siblings);
        assert_eq!(Source::next(Some(own), 2).0.0, childs.0.wrapping_add(1), "and so does the child");
    }

    #[test]
    fn an_id_is_shown_as_hexadecimal() {
        assert_eq!(LeaseId::from(0xfeed).to_string(), format!("{}feed", "0".repeat(28)));
        assert_eq!(LeaseId::from(7).as_u128(), 7);
    }
}
