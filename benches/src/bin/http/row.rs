//! What is measured: calls, what they are compared with, and what is asked of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use llm_benches::Failure;

use crate::wire::Model;

/// A kind of call, by hand or by a strategy.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What is in the number.
    pub(crate) what: &'static str,
    /// The row that does the same by hand.
    pub(crate) peer: Option<&'static str>,
    /// What the server has to be asked for each call.
    pub(crate) asks: &'static [Model],
    /// So many calls are under way at once.
    pub(crate) at: &'static [usize],
    /// So much longer than other rows it is measured.
    pub(crate) longer: u32,
    pub(crate) targets: &'static [Target],
    pub(crate) work: Arc<dyn Work>,
}

/// What is asked of a row with 64 calls at once, beside its peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// So many times its processor time at most.
    Cpu { most: f64, stretch: Option<f64> },
    /// So many microseconds more than its 99th percentile at most.
    AddedP99 { most: f64 },
}

/// What workers do: how long each of their calls took.
pub(crate) type Working = Pin<Box<dyn Future<Output = Result<Vec<Duration>, Failure>> + Send>>;

/// Calls that a worker makes one after the other. The loop is here, so that what calls it indirectly does so once for
/// many.
pub(crate) trait Work: Send + Sync {
    /// Takes calls from `left` until there are none.
    fn work(self: Arc<Self>, left: Arc<AtomicU32>) -> Working;
}

/// A call that fails where it does not do what it should.
pub(crate) struct Calls<F>(pub(crate) F);

impl<F, C> Work for Calls<F>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), Failure>> + Send,
{
    fn work(self: Arc<Self>, left: Arc<AtomicU32>) -> Working {
        Box::pin(async move {
            let mut took = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let start = now();
                self.0().await?;
                took.push(start.elapsed());
            }
            Ok(took)
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
