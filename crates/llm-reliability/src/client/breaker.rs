//! Which breaker a client asks: one of its own, one that wraps it, or one that is handed in.

use std::sync::Arc;

use circuit_breaker::{Breaker, InProcessBreaker, Settings, Transition};

use super::ClientBuilder;
use crate::observer::Observer;

/// Where the breaker comes from.
#[derive(Default)]
pub(super) enum Choice {
    #[default]
    Own,
    Wrapped(Box<Wrap>),
    Given(Arc<dyn Breaker>),
}

type Wrap = dyn FnOnce(InProcessBreaker) -> Arc<dyn Breaker> + Send + Sync;

impl Choice {
    /// The breaker.
    pub(super) fn make(self, settings: Settings, observer: &Arc<dyn Observer>) -> Arc<dyn Breaker> {
        let local = || {
            let observer = Arc::clone(observer);
            let listener = move |transition: &Transition| observer.on_transition(transition);
            InProcessBreaker::new(settings).on_transition(listener)
        };
        match self {
            Self::Given(breaker) => breaker,
            Self::Wrapped(wrap) => wrap(local()),
            Self::Own => Arc::new(local()),
        }
    }
}

impl ClientBuilder {
    /// Uses this breaker, which others may share, in place of one of its own.
    pub fn breaker(mut self, breaker: Arc<dyn Breaker>) -> Self {
        self.breaker = Choice::Given(breaker);
        self
    }

    /// Uses the breaker that `wrap` makes of the client's own one, which brings the
    /// [settings](Self::breaker_settings) and tells the [observer](Self::observer) of transitions. So a breaker is made
    /// that shares its circuits through a store, and that has the one in this process stand in when the store is away.
    ///
    /// It takes the place of a [`breaker`](Self::breaker) that was handed in, and the other way round.
    pub fn wrap_breaker(
        mut self,
        wrap: impl FnOnce(InProcessBreaker) -> Arc<dyn Breaker> + Send + Sync + 'static,
    ) -> Self {
        self.breaker = Choice::Wrapped(Box::new(wrap));
        self
    }
}
