//! The taxonomy: what went wrong, and what to do about it.

use serde::{Deserialize, Serialize};

/// What a strategy does about an error. The three ways are all there are, so match them without `_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Healthy but throttled: go elsewhere at once, come back later, and never count it as a failure.
    Backpressure,
    /// A real failure that may pass: it counts, and another try may succeed.
    Transient,
    /// The same call would fail the same way again.
    Terminal,
}

impl Category {
    /// The name in reports, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backpressure => "backpressure",
            Self::Transient => "transient",
            Self::Terminal => "terminal",
        }
    }
}

/// Which clock of an attempt ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Clock {
    /// The connection was not made in time.
    Connect,
    /// Nothing that a model thinks or says arrived in time.
    FirstToken,
    /// The stream went quiet between two deltas.
    Idle,
    /// The attempt as a whole took too long.
    Attempt,
    /// The deadline of the whole call passed while this attempt ran.
    Total,
}

impl Clock {
    /// The name in reports, `snake_case`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Attempt => "attempt",
            Self::Total => "total",
        }
    }
}

/// What went wrong. Everything that strategies decide on derives from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Too many requests or tokens for the moment.
    RateLimited,
    /// A quota with a long window (a day, say) is used up: backpressure until it resets, never a loop.
    QuotaExhausted,
    /// The vendor has too much load of its own (Anthropic's 529).
    Overloaded,
    /// A clock ran out.
    Timeout(Clock),
    /// No connection, or it broke before the answer began.
    Connection,
    /// The vendor failed (5xx and what it calls the like).
    Server,
    /// The answer broke off before its terminal marker.
    Truncated,
    /// Bytes that are not what the wire format promises.
    Protocol,
    /// The credential is missing, wrong or expired.
    Authentication,
    /// The credential is good but may not do this.
    Permission,
    /// The account has no money left, or a spending limit was reached.
    Billing,
    /// No such model, or not any more.
    ModelNotFound,
    /// The vendor refuses the request as it stands.
    BadRequest,
    /// The request is larger than the vendor takes.
    TooLarge,
    /// The conversation is longer than the model's context window.
    ContextLength,
    /// A filter of the vendor's held back the prompt or the answer.
    ContentFilter,
    /// The model itself declined to answer.
    Refusal,
    /// The candidate cannot carry what the request asks for.
    Unsupported,
    /// Anything not known. Unknown errors are terminal.
    Other,
}

impl ErrorKind {
    /// What a strategy does about it.
    pub const fn category(self) -> Category {
        match self {
            Self::RateLimited | Self::QuotaExhausted => Category::Backpressure,
            Self::Overloaded
            | Self::Timeout(_)
            | Self::Connection
            | Self::Server
            | Self::Truncated
            | Self::Protocol => Category::Transient,
            Self::Authentication
            | Self::Permission
            | Self::Billing
            | Self::ModelNotFound
            | Self::BadRequest
            | Self::TooLarge
            | Self::ContextLength
            | Self::ContentFilter
            | Self::Refusal
            | Self::Unsupported
            | Self::Other => Category::Terminal,
        }
    }

    /// Whether another try could end differently: everything but [`Category::Terminal`].
    pub const fn retryable(self) -> bool {
        !matches!(self.category(), Category::Terminal)
    }

    /// Whether it says something about the model or its configuration, and so counts on a circuit breaker.
    ///
    /// Transient failures do, and so do the terminal ones that every call would meet until a person acts (a
    /// wrong key, say). What only this request brought about does not, nor does the caller's own total deadline.
    pub const fn blames_model(self) -> bool {
        match self {
            Self::Timeout(Clock::Total) => false,
            Self::Authentication | Self::Permission | Self::Billing | Self::ModelNotFound => true,
            _ => matches!(self.category(), Category::Transient),
        }
    }

    /// The name in reports, `snake_case`. Which clock ran out is told apart from it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::Timeout(_) => "timeout",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Billing => "billing",
            Self::ModelNotFound => "model_not_found",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Unsupported => "unsupported",
            Self::Other => "other",
        }
    }
}
