//! What is asked of a store: calls, what they are compared with, and how the last of them is waited for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use circuit_breaker::{Breaker, Limiter};
use llm_benches::Failure;
use tokio::spawn;
use tokio::sync::Notify;

/// A kind of call that asks the store, by hand or by one of the backends.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What is in the number.
    pub(crate) what: &'static str,
    /// The row that does the same by hand.
    pub(crate) floor: Option<&'static str>,
    /// Whether it is an admission, of which something is asked.
    pub(crate) judged: bool,
    /// So many scripts the Redis has to run for each call.
    pub(crate) scripts: u64,
    pub(crate) work: Arc<dyn Work>,
}

/// With so many calls at once each row is measured.
pub(crate) const AT_ONCE: [usize; 2] = [1, 64];

/// What workers do: how long each of their calls took.
pub(crate) type Working = Pin<Box<dyn Future<Output = Result<Vec<Duration>, Failure>> + Send>>;
/// Waiting for what they have left behind.
pub(crate) type Finishing = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Calls that a worker makes one after the other. The loop is here, so that what calls it indirectly does so once for
/// many.
pub(crate) trait Work: Send + Sync {
    /// Takes calls from `left` until there are none.
    fn work(self: Arc<Self>, left: Arc<AtomicU32>) -> Working;

    /// Waits for what the calls have left behind.
    fn finish(self: Arc<Self>) -> Finishing;
}

/// A call that fails where it does not do what it should, and what it leaves behind.
pub(crate) struct Calls<F> {
    pub(crate) call: F,
    pub(crate) behind: Behind,
}

/// What goes to the store without anybody waiting for it.
pub(crate) enum Behind {
    Nothing,
    /// By hand.
    Tasks(Arc<Tasks>),
    Breaker(Arc<dyn Breaker>),
    Limiter(Arc<dyn Limiter>),
}

impl<F, C> Work for Calls<F>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), Failure>> + Send,
{
    fn work(self: Arc<Self>, left: Arc<AtomicU32>) -> Working {
        Box::pin(async move {
            let mut took = Vec::new();
            while take(&left) {
                let start = now();
                (self.call)().await?;
                took.push(start.elapsed());
            }
            Ok(took)
        })
    }

    fn finish(self: Arc<Self>) -> Finishing {
        Box::pin(async move {
            match &self.behind {
                Behind::Nothing => Ok(()),
                Behind::Tasks(tasks) => tasks.finish().await,
                Behind::Breaker(breaker) => {
                    breaker.flush().await;
                    Ok(())
                }
                Behind::Limiter(limiter) => {
                    limiter.flush().await;
                    Ok(())
                }
            }
        })
    }
}

/// Takes one of the calls that are left.
pub(crate) fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Tasks that nobody waits for until the end.
#[derive(Default)]
pub(crate) struct Tasks {
    under_way: AtomicUsize,
    failed: AtomicBool,
    done: Notify,
}

impl Tasks {
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        let tasks = Arc::clone(self);
        tasks.under_way.fetch_add(1, Ordering::AcqRel);
        spawn(async move {
            if task.await.is_err() {
                tasks.failed.store(true, Ordering::Release);
            }
            if tasks.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
                tasks.done.notify_waiters();
            }
        });
    }

    async fn finish(&self) -> Result<(), Failure> {
        loop {
            let done = self.done.notified();
            if self.under_way.load(Ordering::Acquire) == 0 {
                break;
            }
            done.await;
        }
        if self.failed.load(Ordering::Acquire) { Err("what was left behind failed".into()) } else { Ok(()) }
    }
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
