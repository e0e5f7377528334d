//! Watching every attempt and every transition of a breaker.

use std::sync::Arc;

use circuit_breaker::Transition;

use crate::attempt::Attempt;
use crate::contain::contain;

/// Is told of every attempt when it ends, also of one whose caller has gone away, and of every transition of the
/// client's own breaker.
///
/// It runs on the call's own task, so it should be quick. A panic in it is swallowed: watching never changes a call.
/// Any `Fn(&Attempt)` is an observer, and `()` is the one that does nothing.
pub trait Observer: Send + Sync {
    /// An attempt has ended.
    fn on_attempt(&self, attempt: &Attempt);

    /// A circuit has opened, half-opened or closed, or a person has [taken it over](crate::ResilientClient::set_mode).
    ///
    /// Told by the breaker that the client makes for itself, also where that is
    /// [wrapped](crate::ClientBuilder::wrap_breaker); a breaker that is handed in has a listener of its own.
    fn on_transition(&self, _transition: &Transition) {}
}

impl Observer for () {
    fn on_attempt(&self, _attempt: &Attempt) {}
}

impl<F: Fn(&Attempt) + Send + Sync> Observer for F {
    fn on_attempt(&self, attempt: &Attempt) {
        self(attempt);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on_attempt(&self, attempt: &Attempt) {
        (**self).on_attempt(attempt);
    }

    fn on_transition(&self, transition: &Transition) {
        (**self).on_transition(transition);
    }
}

/// Tells the observer; whatever it does stays with it.
pub(crate) fn tell(observer: &dyn Observer, attempt: &Attempt) {
    contain(|| observer.on_attempt(attempt));
}
