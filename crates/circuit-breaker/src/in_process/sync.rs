//! What [`cell`](super::cell) is made of. The model checker puts its own in place of these.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use parking_lot::{Mutex, MutexGuard as Guard};
