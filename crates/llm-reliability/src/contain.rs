//! Running and dropping what is not ours, so that what panics in it stays where it is.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs what is not ours; `None` when it panics. What it panics with may hold anything, and the panic hook has already
/// said what there is to say.
pub(crate) fn contain<T>(foreign: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(foreign)).map_err(discard).ok()
}

/// Drops what something has panicked with, which may panic again.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    dropped.unwrap_or_else(std::mem::forget);
}

/// A future that is not ours, pinned by whoever runs it. A panic while it is dropped stays there, so that neither the
/// caller's own drop nor an error that is on its way is lost to it. One while it is polled goes on as usual.
pub(crate) struct Contained<'a, F>(Pin<&'a mut Option<F>>);

impl<'a, F> Contained<'a, F> {
    pub(crate) fn new(pinned: Pin<&'a mut Option<F>>) -> Self {
        Self(pinned)
    }
}

impl<F: Future> Future for Contained<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.0.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Contained<'_, F> {
    fn drop(&mut self) {
        contain(|| self.0.set(None));
    }
}
