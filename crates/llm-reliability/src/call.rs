//! What a strategy is called with, and what it refuses before it asks anyone.

use std::sync::Arc;

use llm_protocol::{Message, Request};

use crate::fan_out::FanOut;
use crate::policy::Policy;
use crate::timeouts::Timeouts;

/// A request, with what shall be different for this call alone. Anything that makes a [`Request`] makes a `Call`; so does a
/// request behind an [`Arc`], for those who ask the same more than once.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) request: Arc<Request>,
    pub(crate) timeouts: Timeouts,
    // Boxed, as most calls have none and every call is moved about.
    pub(crate) policy: Option<Box<Policy>>,
    pub(crate) fan_out: Option<Box<FanOut>>,
}

impl Call {
    /// A call with the client's settings.
    pub fn new(request: impl Into<Request>) -> Self {
        Self::from(Arc::new(request.into()))
    }

    /// Sets limits for this call; they win over the candidates' and the client's.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets the policy for this call.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Sets who takes part in this `fan_out` and how many answers are enough.
    pub fn fan_out(mut self, fan_out: FanOut) -> Self {
        self.fan_out = Some(Box::new(fan_out));
        self
    }
}

impl From<Arc<Request>> for Call {
    fn from(request: Arc<Request>) -> Self {
        Self { request, timeouts: Timeouts::default(), policy: None, fan_out: None }
    }
}

impl From<Request> for Call {
    fn from(request: Request) -> Self {
        Self::new(request)
    }
}

impl From<&str> for Call {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Call {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Vec<Message>> for Call {
    fn from(messages: Vec<Message>) -> Self {
        Self::new(messages)
    }
}

/// The input was wrong, so nobody was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// There is nobody to ask.
    #[error("there are no candidates")]
    NoCandidates,
    /// The request says nothing.
    #[error("the request is empty: no message says anything")]
    EmptyRequest,
    /// Two candidates have one name, so their attempts and their circuits could not be told apart.
    #[error("two candidates are called `{0}`")]
    DuplicateId(String),
    /// No candidate has this key, which a `fan_out` names.
    #[error("no candidate is called `{0}`")]
    UnknownCandidate(String),
    /// A `fan_out` wants more answers than it has seats, or none.
    #[error("{required} of {seats} answers cannot be a quorum")]
    #[non_exhaustive]
    Quorum {
        /// How many answers it wants.
        required: usize,
        /// How many seats there are.
        seats: usize,
    },
}
