//! How one request is answered: well, late, wrongly, in part, or not at all.

use std::time::Duration;

use crate::{
    answer::Said,
    fault::{ErrorWords, Fault, Opening, Pace},
    keys::Key,
};

/// How the simulator answers one request.
///
/// The default answers well. Every method adds one deviation and leaves the others as they are, so they compose:
/// "429 with `retry-after`, after two seconds" is `Behaviour::status(429).header("retry-after", "7").delay(…)`.
/// Which vendor's words are used follows from the path that was asked, so that one behaviour fits all of them.
///
/// The same can be written as text (see the [crate page](crate)):
///
/// ```
/// use std::time::Duration;
/// use llm_simulator::Behaviour;
///
/// let built = Behaviour::answer("Hello there").first_token(Duration::from_secs(5)).stall_after(1);
/// let parsed: Behaviour = "text=Hello there!first-token=5s!stall-after=1".parse()?;
/// assert_eq!(built, parsed);
/// # Ok::<(), llm_simulator::ParseBehaviourError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    pub(crate) opening: Opening,
    pub(crate) delay: Duration,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) error: ErrorWords,
    /// Answer 200 with the error envelope of this status.
    pub(crate) error_body: Option<u16>,
    pub(crate) said: Said,
    pub(crate) model_id: Option<String>,
    /// `None`: the first token never comes.
    pub(crate) first_token: Option<Duration>,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) text_delay: Duration,
    pub(crate) token_delay: Duration,
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) pace: Pace,
    pub(crate) ignore_stream: bool,
    pub(crate) done: bool,
    /// Answer what the vendor would refuse.
    pub(crate) lenient: bool,
    /// Fields of the request that are refused.
    pub(crate) refused: Vec<String>,
    /// The only credential that is accepted.
    pub(crate) key: Option<Key>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            opening: Opening::Respond,
            delay: Duration::ZERO,
            status: 200,
            headers: Vec::new(),
            body: None,
            error: ErrorWords::default(),
            error_body: None,
            said: Said::default(),
            model_id: None,
            first_token: Some(Duration::ZERO),
            keep_alive: None,
            text_delay: Duration::ZERO,
            token_delay: Duration::ZERO,
            fault: None,
            pace: Pace::Whole,
            ignore_stream: false,
            done: true,
            lenient: false,
            refused: Vec::new(),
            key: None,
        }
    }
}

/// What a behaviour starts from.
impl Behaviour {
    /// Answers well with this text, streamed word by word.
    pub fn answer(text: impl AsRef<str>) -> Self {
        Self::default().text(text)
    }

    /// Answers with this HTTP status and the vendor's own error envelope for it (529 is `overloaded_error` with
    /// Anthropic). A 2xx status answers well with that status. Sensible from 200 to 599.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// Answers 200 with the vendor's error envelope for `status` as the body.
    pub fn error_body(status: u16) -> Self {
        Self { error_body: Some(status), ..Self::default() }
    }

    /// Answers 200 with an HTML page, as a captive portal or a misrouted proxy does.
    pub fn html() -> Self {
        Self::default().body("<!DOCTYPE html>\n<html><body><h1>Welcome</h1></body></html>\n")
    }

    /// Answers 200 without any text.
    pub fn empty() -> Self {
        Self::default().text("")
    }

    /// Reads the request and never answers, not even with headers.
    pub fn stall() -> Self {
        Self { opening: Opening::Stall, ..Self::default() }
    }

    /// Reads the request and resets the connection (RST).
    pub fn reset() -> Self {
        Self { opening: Opening::Reset, ..Self::default() }
    }

    /// Reads the request and closes the connection (FIN) without a byte of an answer.
    pub fn close() -> Self {
        Self { opening: Opening::Close, ..Self::default() }
    }

    /// Sends headers and the opening events, then only keep-alives (an SSE comment, Anthropic's `ping`) at this
    /// interval, for ever.
    pub fn keep_alives_only(interval: Duration) -> Self {
        Self::default().keep_alive(interval).no_first_token()
    }
}

/// What the response looks like.
impl Behaviour {
    /// This body, byte for byte, instead of what the vendor would send; with status 200 unless another was chosen.
    /// The content type is JSON, HTML or plain text by its first character; [`header`](Self::header) overrides it.
    /// Of the other deviations only those before and around the body apply: delay, headers, pace.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// One more response header; replaces one of the same name. Control characters become spaces.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The vendor's error type (`rate_limit_error`, `insufficient_quota`, …) in error bodies and error events.
    pub fn error_type(mut self, kind: impl Into<String>) -> Self {
        self.error.kind = Some(kind.into());
        self
    }

    /// The vendor's error code: OpenAI's `code`, Anthropic's `details.error_code`.
    pub fn error_code(mut self, code: impl Into<String>) -> Self {
        self.error.code = Some(code.into());
        self
    }

    /// The message in error bodies and error events.
    pub fn error_message(mut self, message: impl Into<String>) -> Self {
        self.error.message = Some(message.into());
        self
    }

    /// Answers a request for a stream with one JSON body.
    pub fn ignore_stream(mut self) -> Self {
        self.ignore_stream = true;
        self
    }

    /// Leaves out the `[DONE]` after the finish reason. Only OpenAI has it; see [`Fault::Truncate`] for the rest.
    pub fn no_done(mut self) -> Self {
        self.done = false;
        self
    }
}

/// What is refused. A request that is refused takes no step of a [`Script`](crate::Script).
impl Behaviour {
    /// Answers requests that the vendor would refuse, for tests of odd clients. What has no model, no messages or
    /// no `max_tokens` where it is required is refused all the same.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Refuses a request whose body has this field at its top level, as hosts do that do not know it
    /// (`stream_options`, `max_completion_tokens`, …). Can be given several times.
    pub fn refuses(mut self, field: impl Into<String>) -> Self {
        self.refused.push(field.into());
        self
    }

    /// Refuses a request with another API key, or without any, with the vendor's 401. For all models at once there
    /// is [`Simulator::require_key`](crate::Simulator::require_key).
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Key(key.into()));
        self
    }
}

/// When things come. A request that is not streamed waits for the sum of these before its headers.
impl Behaviour {
    /// Waits this long before the headers.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends headers and the opening events at once, and waits this long before the first token (or reasoning).
    pub fn first_token(mut self, delay: Duration) -> Self {
        self.first_token = Some(delay);
        self
    }

    /// Sends headers and the opening events, and then nothing any more (but [keep-alives](Self::keep_alive)).
    pub fn no_first_token(mut self) -> Self {
        self.first_token = None;
        self
    }

    /// Sends a keep-alive at this interval (at least a millisecond) whenever the stream waits or stalls.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Waits this long between the last reasoning and the first text.
    pub fn text_delay(mut self, delay: Duration) -> Self {
        self.text_delay = delay;
        self
    }

    /// Waits this long between deltas.
    pub fn token_delay(mut self, delay: Duration) -> Self {
        self.token_delay = delay;
        self
    }

    /// Writes the body in pieces of this many bytes (at least one), each a chunk of its own, with this delay
    /// between them.
    pub fn drip(mut self, bytes: usize, delay: Duration) -> Self {
        self.pace = Pace::Drip { bytes: bytes.max(1), delay };
        self
    }

    /// Splits every character of more than one byte over several writes, each a chunk of its own.
    pub fn split_utf8(mut self) -> Self {
        self.pace = Pace::SplitUtf8;
        self
    }
}

/// What goes wrong on the way.
impl Behaviour {
    /// `fault` happens after `deltas` deltas have been sent, or after the last if there are fewer, but always before
    /// the finish reason. Reasoning is not counted; the start of a tool call is a delta, and so is each piece of its
    /// arguments, so that a stream can break within a call.
    pub fn fault_after(mut self, deltas: usize, fault: Fault) -> Self {
        self.fault = Some((deltas, fault));
        self
    }

    /// [`Fault::Stall`] after this many deltas.
    pub fn stall_after(self, deltas: usize) -> Self {
        self.fault_after(deltas, Fault::Stall)
    }

    /// [`Fault::Reset`] after this many deltas.
    pub fn reset_after(self, deltas: usize) -> Self {
        self.fault_after(deltas, Fault::Reset)
    }

    /// [`Fault::Close`] after this many deltas.
    pub fn close_after(self, deltas: usize) -> Self {
        self.fault_after(deltas, Fault::Close)
    }

    /// [`Fault::Truncate`] after this many deltas.
    pub fn truncate_after(self, deltas: usize) -> Self {
        self.fault_after(deltas, Fault::Truncate)
    }

    /// [`Fault::Error`] with the words for this status after this many deltas.
    pub fn error_after(self, deltas: usize, status: u16) -> Self {
        self.fault_after(deltas, Fault::Error(status))
    }
}
