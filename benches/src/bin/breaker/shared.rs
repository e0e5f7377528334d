//! What rows have in common: keys, the call between check and success, and futures that are ready.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// So many keys, where there are many.
pub(crate) const KEYS: u32 = 10_000;
/// Longer than any run, so that what is open stays so.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// After so many failures in a row a circuit opens, for whoever counts them.
pub(crate) const THRESHOLD: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// As they look in practice.
pub(crate) fn names() -> impl Iterator<Item = String> {
    (0..KEYS).map(|number| format!("provider/model-{number:05}"))
}

/// [`names`] whose characters the threads share.
pub(crate) fn keys() -> Vec<Arc<str>> {
    names().map(Arc::from).collect()
}

/// Those whose circuits are open, where one in a hundred is.
pub(crate) fn is_down(key: &str) -> bool {
    key.ends_with("00")
}

/// The call. It takes no time, and nobody knows how it will end.
#[inline]
pub(crate) fn call() -> Result<u32, ()> {
    black_box(Ok(1))
}

/// Polls a future once, which is enough where nobody is in its way; else waits for it.
#[inline]
pub(crate) fn complete<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => futures::executor::block_on(future),
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock is part of what is measured")]
#[inline]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A clock that is read rarely enough not to count, and still goes on.
pub(crate) struct Glance {
    at: Instant,
    age: u8,
}

impl Glance {
    pub(crate) fn new() -> Self {
        Self { at: now(), age: 0 }
    }

    #[inline]
    pub(crate) fn now(&mut self) -> Instant {
        self.age = self.age.wrapping_add(1);
        if self.age == 0 {
            self.at = now();
        }
        self.at
    }
}
