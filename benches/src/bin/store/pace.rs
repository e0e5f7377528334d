//! An open loop: so many calls a second, whatever became of those before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, park_timeout, spawn};
use std::time::{Duration, Instant};

use llm_benches::Failure;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::ours::PATIENCE;
use crate::row::now;

/// What an admission was told, and when.
pub(crate) struct Told {
    pub(crate) at: Instant,
    /// It came without the store.
    pub(crate) degraded: bool,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it was to go out.
    pub(crate) due: Instant,
    /// From then on, until it was admitted.
    pub(crate) took: Duration,
    pub(crate) degraded: bool,
}

/// A thread that sends calls into the runtime.
pub(crate) struct Pace {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    under_way: AtomicUsize,
    samples: Mutex<Vec<Sample>>,
    failure: Mutex<Option<Failure>>,
}

/// From one call to the next.
pub(crate) const EVERY: Duration = Duration::from_millis(1);

impl Pace {
    /// Begins. A thread keeps the time, as the runtime's own clock counts whole milliseconds.
    pub(crate) fn start<F, C>(call: F) -> Self
    where
        F: Fn() -> C + Send + 'static,
        C: Future<Output = Result<Told, Failure>> + Send + 'static,
    {
        let (state, runtime) = (Arc::<State>::default(), Handle::current());
        let shared = Arc::clone(&state);
        let thread = spawn(move || {
            let mut due = now();
            while !shared.stopped.load(Ordering::Acquire) {
                due += EVERY;
                while let Some(rest) = due.checked_duration_since(now()).filter(|rest| !rest.is_zero()) {
                    park_timeout(rest);
                }
                shared.under_way.fetch_add(1, Ordering::AcqRel);
                runtime.spawn(one(Arc::clone(&shared), due, call()));
            }
        });
        Self { state, thread }
    }

    /// Ends, and says what became of all calls.
    pub(crate) async fn stop(self) -> Result<Vec<Sample>, Failure> {
        self.state.stopped.store(true, Ordering::Release);
        let start = now();
        while !self.thread.is_finished() || self.state.under_way.load(Ordering::Acquire) > 0 {
            if start.elapsed() > PATIENCE {
                return Err("calls do not end".into());
            }
            sleep(EVERY).await;
        }
        match self.state.failure.lock().take() {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut *self.state.samples.lock())),
        }
    }
}

async fn one(state: Arc<State>, due: Instant, call: impl Future<Output = Result<Told, Failure>>) {
    match call.await {
        Ok(Told { at, degraded }) => {
            let took = at.saturating_duration_since(due);
            state.samples.lock().push(Sample { due, took, degraded });
        }
        Err(failure) => *state.failure.lock() = Some(failure),
    }
    state.under_way.fetch_sub(1, Ordering::AcqRel);
}
