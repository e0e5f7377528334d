//! What several tests share: answers that need no runtime, and circuits in a chosen state.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use circuit_breaker::{Breaker, Circuit, Permit, Verdict};

/// The output of a future that never waits.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("an in-process backend does not wait"),
    }
}

pub(crate) fn circuit(breaker: impl Breaker) -> Circuit {
    Circuit::new(Arc::new(breaker), "key")
}

pub(crate) fn admit(circuit: &Circuit) -> Permit {
    at_once(circuit.admit()).unwrap()
}

pub(crate) fn fail(circuit: &Circuit, times: usize) {
    for _ in 0..times {
        admit(circuit).settle(Verdict::Failure);
    }
}
