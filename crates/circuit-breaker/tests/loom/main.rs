//! Every interleaving of a few threads over a resolved key, by a model checker.
//!
//! The source is the crate's own. Only what its [`sync`](in_process) module brings in is the checker's: the word that
//! the fast path reads, and the lock beside it. Whether a thread sees the latest word is therefore what is explored;
//! the registry's counters are not, as a resolved key does not decide by them. The unit tests
//! of the source are compiled with it, and run here once more.
#![cfg(feature = "in-process")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    unfulfilled_lint_expectations,
    reason = "a part of a crate"
)]

#[path = "../../src/breaker.rs"]
mod breaker;
#[path = "../../src/circuit.rs"]
mod circuit;
#[path = "../../src/in_process"]
mod in_process {
    mod breaker;
    mod cell;
    mod clock;
    mod leases;
    mod machine;
    mod registry;
    mod shards;
    mod untracked;

    mod sync {
        pub(super) use loom::sync::MutexGuard as Guard;
        pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

        /// As the crate's own, without poisoning.
        pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub(super) fn new(value: T) -> Self {
                Self(loom::sync::Mutex::new(value))
            }

            pub(super) fn lock(&self) -> Guard<'_, T> {
                self.0.lock().unwrap()
            }
        }
    }

    pub use breaker::{InProcessBreaker, LocalCircuit, LocalPermit};

    #[path = "../../tests/loom/cells.rs"]
    mod cells;
}
#[path = "../../src/lease.rs"]
mod lease;
#[path = "../../src/refusal.rs"]
mod refusal;
#[path = "../../src"]
mod source {
    pub(crate) mod settings;
}
#[path = "../../src/status.rs"]
mod status;
#[path = "../../src/transition.rs"]
mod transition;

mod handles;

pub(crate) use settings::{Percent, Preset};
pub(crate) use source::settings;
