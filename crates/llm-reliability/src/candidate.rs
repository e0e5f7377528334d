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
    pub(crate) weight: u32,
    pub(crate) quota_key: Option<Arc<str>>,
    pub(crate) counts_cache_reads: bool,
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
            weight: 1,
            quota_key: None,
            counts_cache_reads: true,
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

    /// Sets how often a call begins with it, beside the weights of the others, where the order is
    /// [`Weighted`](crate::Weighted). Default 1; 0 is never.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets its key on the limiter: candidates with the same one share its rates, its calls in flight and its hints, as
    /// the models behind one credential share what its vendor allows. A name for the credential, not the credential
    /// itself. The candidate's own key unless set; the circuit always goes by that.
    ///
    /// A retry hint keeps calls away from the key, whichever candidate's failure brought it: all that share it are then
    /// left alone.
    ///
    /// ```
    /// use llm_reliability::Candidate;
    /// use llm_reliability::llm_protocol::testing::ScriptedModel;
    ///
    /// # let (large, small) = (ScriptedModel::new("acme:large"), ScriptedModel::new("acme:small"));
    /// let candidates = [large, small].map(|model| Candidate::from(model).quota_key("acme-team-a"));
    /// ```
    pub fn quota_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.quota_key = Some(key.into());
        self
    }

    /// Sets whether input that was read from a prompt cache counts as input for the limiter, once it is known. It does
    /// unless set, as OpenAI counts it against its rates. Anthropic does not, for most of its models. What is written to
    /// a cache always counts.
    pub fn count_cache_reads(mut self, yes: bool) -> Self {
        self.counts_cache_reads = yes;
        self
    }

    /// The name of the candidate in reports, its key on the breaker, and on the limiter unless it has
    /// [another](Self::quota_key).
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
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
