//! What a codec says went wrong: raw, in the vendor's words, before the adapter makes an [`Error`] of it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use llm_protocol::{ErrorKind, Scrubber};

/// A failure as a codec reads it off the wire. Codecs are pure and know no secrets, so its texts are not scrubbed;
/// [`Failure::into_error`] is the one way out.
pub struct Failure {
    pub kind: ErrorKind,
    pub message: Cow<'static, str>,
    pub code: Option<String>,
    pub request_id: Option<String>,
    /// A hint in the body; headers are read by the adapter.
    pub retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), code: None, request_id: None, retry_after: None }
    }

    /// The bytes are not what the wire format promises.
    pub(crate) fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    /// The answer broke off before its terminal marker.
    pub(crate) fn truncated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Truncated, message)
    }

    /// The text that should be JSON is not, or not of the right shape. The parser's own message may quote the
    /// answer, so only the position is told.
    pub(crate) fn not_json(what: &str, error: &serde_json::Error) -> Self {
        let problem = if error.is_data() { "has an unexpected shape" } else { "is not valid JSON" };
        Self::protocol(format!("{what} {problem} (line {}, column {})", error.line(), error.column()))
    }

    /// The error that callers see: secrets are taken out by value, then by pattern.
    pub(crate) fn into_error(self, scrubber: &Scrubber) -> llm_protocol::Error {
        let mut error = llm_protocol::Error::new(self.kind, scrubber.scrub(&self.message));
        if let Some(code) = self.code {
            error = error.with_code(scrubber.scrub(&code));
        }
        if let Some(id) = self.request_id {
            error = error.with_request_id(scrubber.scrub(&id));
        }
        if let Some(delay) = self.retry_after {
            error = error.with_retry_after(delay);
        }
        error
    }
}

/// Without the message: it is the vendor's text, unscrubbed.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("kind", &self.kind).field("code", &self.code).finish_non_exhaustive()
    }
}

/// What an HTTP status means where the vendor's own codes say nothing more exact.
pub(crate) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400 | 422 => ErrorKind::BadRequest,
        401 => ErrorKind::Authentication,
        402 => ErrorKind::Billing,
        403 => ErrorKind::Permission,
        // Gone is how hosts say "retired".
        404 | 410 => ErrorKind::ModelNotFound,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        // Anthropic's own status, which some gateways have taken over.
        529 => ErrorKind::Overloaded,
        408 | 409 | 500..=599 => ErrorKind::Server,
        _ => ErrorKind::Other,
    }
}

/// The message of an answer that is no envelope of the vendor's: short plain text is kept, a page is not.
pub(crate) fn foreign_message(body: &[u8]) -> Cow<'static, str> {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => "no explanation".into(),
        page if page.starts_with(['<', '{', '[']) => "an answer that is not the vendor's".into(),
        text => text.to_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_kinds() {
        use ErrorKind::{
            Authentication, BadRequest, Billing, ModelNotFound, Other, Overloaded, Permission, RateLimited,
            Server, TooLarge,
        };
        for (status, kind) in [
            (400, BadRequest),
            (401, Authentication),
            (402, Billing),
            (403, Permission),
            (404, ModelNotFound),
            (408, Server),
            (409, Server),
            (410, ModelNotFound),
            (413, TooLarge),
            (422, BadRequest),
            (429, RateLimited),
            (500, Server),
            (502, Server),
            (503, Server),
            (504, Server),
            (520, Server),
            (529, Overloaded),
            (302, Other),
            (405, Other),
            (418, Other),
            (600, Other),
        ] {
            assert_eq!(kind_of_status(status), kind, "{status}");
        }
    }

    #[test]
    fn pages_are_not_quoted() {
        assert_eq!(foreign_message(b"  upstream timed out\n"), "upstream timed out");
        assert_eq!(foreign_message(b" <html>marmalade</html>"), "an answer that is not the vendor's");
        assert_eq!(foreign_message(b""), "no explanation");
        assert_eq!(foreign_message(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn secrets_are_taken_out_by_value() {
        let scrubber = Scrubber::new(["marmalade".into()]);
        let failure = Failure {
            code: Some("code-marmalade".into()),
            request_id: Some("id-marmalade".into()),
            ..Failure::new(ErrorKind::Server, "so marmalade it is")
        };
        let error = failure.into_error(&scrubber);
        assert_eq!(error.message(), "so *** it is");
        assert_eq!(error.code(), Some("code-***"));
        assert_eq!(error.request_id(), Some("id-***"));
    }

    #[test]
    fn parse_errors_do_not_quote_the_answer() {
        let error = serde_json::from_str::<u32>("\"marmalade\"").unwrap_err();
        assert_eq!(
            Failure::not_json("the answer", &error).message,
            "the answer has an unexpected shape (line 1, column 11)"
        );
    }
}
