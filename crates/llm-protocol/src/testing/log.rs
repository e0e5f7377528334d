//! What reached a scripted model, and how each call ended.

use std::sync::Arc;

use parking_lot::Mutex;

use super::plan::{Plan, Script};
use crate::request::Request;

/// How a call that reached the model ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It has not ended.
    Open,
    /// The whole answer was handed over.
    Completed,
    /// It ended with an error, a panic, or a stream cut before its terminal marker.
    Failed,
    /// The caller dropped it before it was over.
    Dropped,
}

/// A call that reached the model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub request: Request,
    /// Whether the answer was to be streamed.
    pub streamed: bool,
    /// How it ended.
    pub ending: Ending,
}

/// What the clones of one model share, behind one lock: the script and the log.
pub(super) struct Ledger {
    pub(super) key: Arc<str>,
    pub(super) provider: String,
    pub(super) model: String,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) invoked: usize,
    pub(super) in_flight: usize,
    pub(super) started: usize,
    pub(super) open: usize,
}

struct State {
    script: Script,
    counts: Counts,
    /// `None` where nobody wants to read it.
    calls: Option<Vec<Call>>,
}

impl Ledger {
    pub(super) fn new(key: Arc<str>, provider: String, model: String) -> Self {
        let script = Script::default();
        let state = State { script, counts: Counts::default(), calls: Some(Vec::new()) };
        Self { key, provider, model, state: Mutex::new(state) }
    }

    pub(super) fn edit_script(&self, edit: impl FnOnce(&mut Script)) {
        edit(&mut self.state.lock().script);
    }

    pub(super) fn stop_logging(&self) {
        self.state.lock().calls = None;
    }

    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone().unwrap_or_default()
    }

    /// The plan for the next call.
    pub(super) fn next(&self, request: &Request) -> Arc<Plan> {
        let responder = match self.state.lock().script.advance() {
            Ok(plan) => return plan,
            Err(responder) => responder,
        };
        // Asked without the lock: it is the test's own code and may look at the model.
        Arc::new(responder(request).into_plan(&self.key, &self.model))
    }

    /// A call that is answered at once: in and out under one lock.
    pub(super) fn pass(&self, request: &Request, streamed: bool, ending: Ending) {
        let mut state = self.state.lock();
        state.counts.invoked += 1;
        state.counts.started += 1;
        if let Some(calls) = &mut state.calls {
            calls.push(Call { request: request.clone(), streamed, ending });
        }
    }
}

/// A call in flight. Whoever drops it ends the call.
pub(super) struct Ticket {
    ledger: Arc<Ledger>,
    received: bool,
    /// Where the log has it, if it is written down.
    logged: Option<usize>,
    ending: Ending,
}

impl Ticket {
    /// A call that has not reached the model yet.
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        {
            let counts = &mut ledger.state.lock().counts;
            counts.invoked += 1;
            counts.in_flight += 1;
        }
        Self { ledger, received: false, logged: None, ending: Ending::Dropped }
    }

    /// A call that has.
    pub(super) fn new_received(ledger: Arc<Ledger>, request: &Request, streamed: bool) -> Self {
        let logged = {
            let mut state = ledger.state.lock();
            state.counts.invoked += 1;
            state.counts.in_flight += 1;
            state.receive(request, streamed)
        };
        Self { ledger, received: true, logged, ending: Ending::Dropped }
    }

    /// The model received it.
    pub(super) fn receive(&mut self, request: &Request, streamed: bool) {
        self.logged = self.ledger.state.lock().receive(request, streamed);
        self.received = true;
    }

    /// How it will have ended when the ticket is dropped.
    pub(super) fn ends(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl State {
    fn receive(&mut self, request: &Request, streamed: bool) -> Option<usize> {
        self.counts.started += 1;
        self.counts.open += 1;
        let calls = self.calls.as_mut()?;
        calls.push(Call { request: request.clone(), streamed, ending: Ending::Open });
        Some(calls.len() - 1)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.ledger.state.lock();
        state.counts.in_flight -= 1;
        if !self.received {
            return;
        }
        state.counts.open -= 1;
        if let Some(call) = self.logged.and_then(|at| state.calls.as_mut()?.get_mut(at)) {
            // A panic drops the ticket too, and that is no caller's doing.
            let panicked = self.ending == Ending::Dropped && std::thread::panicking();
            call.ending = if panicked { Ending::Failed } else { self.ending };
        }
    }
}
