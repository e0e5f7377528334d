//! The one error type of every adapter.

mod kind;
mod wire;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::kind::{Category, Clock, ErrorKind};
use crate::echo;
use crate::request::Request;
use crate::scrub::Scrubber;

/// Why a call to a model gave no answer. One pointer wide and cheap to pass on.
///
/// The message is scrubbed of credentials by pattern and cut to [`MESSAGE_LIMIT`](crate::MESSAGE_LIMIT)
/// characters whoever makes the error; adapters scrub their own secrets by value first.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    model_key: Option<Arc<str>>,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind; the message is for people and never decides anything.
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self::plain(kind, Scrubber::default().scrub(message.as_ref()))
    }

    /// For messages of our own, which hold nothing to scrub.
    fn plain(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            model_key: None,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            should_retry: None,
            source: None,
        }))
    }

    /// A clock of this attempt ran out.
    pub fn timeout(clock: Clock) -> Self {
        let message = match clock {
            Clock::Connect => "no connection in time",
            Clock::FirstToken => "no first token in time",
            Clock::Idle => "the stream went quiet",
            Clock::Attempt => "the attempt took too long",
            Clock::Total => "the deadline of the call passed",
        };
        Self::plain(ErrorKind::Timeout(clock), message)
    }

    /// The candidate cannot carry what the request asks for; `what` names it.
    pub fn unsupported(what: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("this candidate does not support {what}"))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a strategy does about it: [`ErrorKind::category`].
    pub fn category(&self) -> Category {
        self.0.kind.category()
    }

    /// Whether another try could end differently: [`ErrorKind::retryable`].
    pub fn retryable(&self) -> bool {
        self.0.kind.retryable()
    }

    /// Whether it counts against the model: [`ErrorKind::blames_model`].
    pub fn blames_model(&self) -> bool {
        self.0.kind.blames_model()
    }

    /// For people; scrubbed and short.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The model that was asked.
    pub fn model_key(&self) -> Option<&str> {
        self.0.model_key.as_deref()
    }

    /// The HTTP status, where there was one.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider's own code or type for it.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's id of the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the provider asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the provider said that the same host may be asked again (`x-should-retry`).
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// Names the model that was asked.
    pub fn with_model_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.0.model_key = Some(key.into());
        self
    }

    /// Adds the HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the provider's own code; scrubbed and cut like the message.
    pub fn with_code(mut self, code: impl AsRef<str>) -> Self {
        self.0.code = Some(Scrubber::default().scrub(code.as_ref()));
        self
    }

    /// Adds the provider's id of the request; scrubbed and cut like the message.
    pub fn with_request_id(mut self, id: impl AsRef<str>) -> Self {
        self.0.request_id = Some(Scrubber::default().scrub(id.as_ref()));
        self
    }

    /// Adds a retry hint.
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds the provider's word on asking the same host again.
    pub fn with_should_retry(mut self, allowed: bool) -> Self {
        self.0.should_retry = Some(allowed);
        self
    }

    /// Takes out of message and code what they quote of the request: vendors like to repeat the prompt that they
    /// refuse. Quotations of less than about a dozen bytes are let stand, and of a very long conversation only the last
    /// 256 KiB are looked for. Strategies do this to every error that an adapter returns.
    pub fn without_quotations_of(mut self, request: &Request) -> Self {
        if let Some(message) = echo::hidden(&self.0.message, request) {
            self.0.message = message;
        }
        if let Some(code) = self.0.code.as_deref().and_then(|code| echo::hidden(code, request)) {
            self.0.code = Some(code);
        }
        self
    }

    /// Adds the cause. It is shown by [`StdError::source`] alone, never by Debug: its text is not scrubbed.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.as_str())?;
        if let ErrorKind::Timeout(clock) = self.0.kind {
            write!(f, " ({})", clock.as_str())?;
        }
        match (self.0.status, &self.0.code) {
            (Some(status), Some(code)) => write!(f, " (HTTP {status}, {code})")?,
            (Some(status), None) => write!(f, " (HTTP {status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        if self.0.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.message) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("model_key", &self.0.model_key)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("request_id", &self.0.request_id)
            .field("retry_after", &self.0.retry_after)
            .field("should_retry", &self.0.should_retry)
            .field("message", &self.0.message)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests;
