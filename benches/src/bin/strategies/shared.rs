//! What rows have in common: calls that are awaited one after the other in a runtime, and what is asked.

use std::hint::black_box;
use std::io;

use llm_benches::{Body, Maker};
use llm_protocol::Request;
use tokio::runtime::{Builder, Runtime};

/// A row of calls. Each thread has a runtime of its own, which is entered once for many of them.
pub(crate) fn calls<C: AsyncFnMut() -> bool + 'static>(
    make: impl Fn() -> C + Send + Sync + 'static,
) -> Maker {
    Box::new(move |_| {
        let runtime = Builder::new_current_thread().enable_time().build();
        Box::new(Calls { runtime, call: make() })
    })
}

struct Calls<C> {
    runtime: io::Result<Runtime>,
    call: C,
}

/// Without a runtime, a call does not do what it should.
impl<C: AsyncFnMut() -> bool> Body for Calls<C> {
    fn run(&mut self, times: u32) {
        let Ok(runtime) = &self.runtime else { return };
        runtime.block_on(async {
            for _ in 0..times {
                black_box((self.call)().await);
            }
        });
    }

    fn check(&mut self, times: u32) -> bool {
        let Ok(runtime) = &self.runtime else { return false };
        runtime.block_on(async {
            for _ in 0..times {
                if !(self.call)().await {
                    return false;
                }
            }
            true
        })
    }
}

/// A short question.
pub(crate) fn request() -> Request {
    Request::from("Why is the sky blue?")
}
