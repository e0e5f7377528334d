//! What several tests share: answers that need no runtime, circuits in a chosen state, and both ways to one key.
#![allow(dead_code, reason = "no test uses all of it")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use circuit_breaker::{
    Breaker, Circuit, InProcessBreaker, LocalCircuit, LocalPermit, Permit, Rejection, Settings, Settlement,
    Snapshot, Status, Verdict,
};

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

/// A key of an in-process breaker, by either way to it.
pub(crate) enum Door {
    Key(Circuit, Arc<InProcessBreaker>),
    Handle(LocalCircuit),
}

/// What it gives.
#[derive(Debug)]
pub(crate) enum Pass<'a> {
    Key(Permit),
    Handle(LocalPermit<'a>),
}

impl Door {
    /// Each way to a breaker of its own.
    pub(crate) fn each(settings: &Settings) -> [Self; 2] {
        let breaker = || Arc::new(InProcessBreaker::new(settings.clone()));
        [Self::by_key(&breaker(), "key"), Self::by_handle(&breaker(), "key")]
    }

    pub(crate) fn by_key(breaker: &Arc<InProcessBreaker>, key: &str) -> Self {
        Self::Key(Circuit::new(breaker.clone(), key), Arc::clone(breaker))
    }

    pub(crate) fn by_handle(breaker: &Arc<InProcessBreaker>, key: &str) -> Self {
        Self::Handle(breaker.circuit(key))
    }

    pub(crate) fn admit(&self) -> Result<Pass<'_>, Rejection> {
        match self {
            Self::Key(circuit, _) => at_once(circuit.admit()).map(Pass::Key),
            Self::Handle(circuit) => circuit.admit().map(Pass::Handle),
        }
    }

    pub(crate) fn admit_for(&self, hold: Duration) -> Result<Pass<'_>, Rejection> {
        match self {
            Self::Key(circuit, _) => at_once(circuit.admit_for(hold)).map(Pass::Key),
            Self::Handle(circuit) => circuit.admit_for(hold).map(Pass::Handle),
        }
    }

    pub(crate) fn probe(&self) -> Pass<'_> {
        let pass = self.admit().unwrap();
        assert!(pass.is_probe());
        pass
    }

    /// So many calls end so.
    pub(crate) fn call(&self, times: usize, verdict: Verdict) {
        for _ in 0..times {
            self.admit().unwrap().settle(verdict);
        }
    }

    pub(crate) fn breaker(&self) -> &Arc<InProcessBreaker> {
        match self {
            Self::Key(_, breaker) => breaker,
            Self::Handle(circuit) => circuit.breaker(),
        }
    }

    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Key(circuit, _) => circuit.key(),
            Self::Handle(circuit) => circuit.key(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        match self {
            Self::Key(circuit, breaker) => breaker.snapshot(circuit.key()),
            Self::Handle(circuit) => circuit.snapshot(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Key(circuit, _) => at_once(circuit.status()),
            Self::Handle(circuit) => circuit.status(),
        }
    }

    /// For the messages of tests that try each.
    pub(crate) const fn way(&self) -> &'static str {
        match self {
            Self::Key(..) => "by key",
            Self::Handle(_) => "by handle",
        }
    }
}

impl Pass<'_> {
    pub(crate) fn settle(self, settlement: impl Into<Settlement>) {
        match self {
            Self::Key(permit) => permit.settle(settlement),
            Self::Handle(permit) => permit.settle(settlement),
        }
    }

    pub(crate) fn is_probe(&self) -> bool {
        match self {
            Self::Key(permit) => permit.is_probe(),
            Self::Handle(permit) => permit.is_probe(),
        }
    }
}
