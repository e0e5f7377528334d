//! Who may answer a call, and what is particular about asking them.

use std::fmt;
use std::sync::Arc;

use llm_protocol::ModelAdapter;

use crate::money::Price;
use crate::timeouts::Timeouts;

/// Whether answers are collected from a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamMode {
    /// Where the adapter can stream, so that a silent provider is given up after the first-token limit.
    #[default]
    Auto,
    /// Never: the answer comes whole, and only the attempt limit applies.
    Never,
}

/// Someone to ask: an adapter, and what is particular about it.
#[derive(Clone)]
pub struct Candidate {
    pub(crate) adapter: Arc<dyn ModelAdapter>,
    pub(crate) timeouts: Timeouts,
    pub(crate) stream: StreamMode,
    pub(crate) price: Option<Price>,
    pub(crate) priority: i32,
}

impl Candidate {
    /// Asks through this adapter; its [`key`](ModelAdapter::key) names the candidate.
    pub fn new(adapter: Arc<dyn ModelAdapter>) -> Self {
        Self {
            adapter,
            timeouts: Timeouts::default(),
            stream: StreamMode::default(),
            price: None,
            priority: 0,
        }
    }

    /// Sets limits of its own: `first_token`, `idle` and `attempt`. They win over the client's, and a call's own win over
    /// them.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets whether its answers are collected from a stream.
    pub fn stream(mut self, mode: StreamMode) -> Self {
        self.stream = mode;
        self
    }

    /// Sets what its tokens cost.
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets when a `failover` asks it: those with a lower number before those with a higher one, those with the same in
    /// the order in which they are listed. Default 0; may be negative. A `fan_out` keeps to the list.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// The name of the candidate in reports, and its key on breaker and limiter.
    pub fn key(&self) -> &str {
        self.adapter.key()
    }
}

impl<A: ModelAdapter + 'static> From<A> for Candidate {
    fn from(adapter: A) -> Self {
        Self::new(Arc::new(adapter))
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("key", &self.key())
            .field("timeouts", &self.timeouts)
            .field("stream", &self.stream)
            .field("price", &self.price)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
