//! Dropping a call at a chosen moment, without a clock.

use std::pin::pin;
use std::task::Poll;

use futures::future::{Either, poll_fn, select};

/// Polls a future this often, each time when it asks for it, and drops it then.
pub async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs a future until something else has happened, and drops it then. It must not end before.
pub async fn until<T>(happens: impl Future<Output = T>, future: impl Future) -> T {
    match select(pin!(happens), pin!(future)).await {
        Either::Left((happened, _)) => happened,
        Either::Right(_) => panic!("the call ended before it was to be dropped"),
    }
}
