//! What is known of the providers, fact by fact: each is a row of a table that says what a provider sends, to the byte
//! and through a real socket, and what comes of it.

mod anthropic;
mod anthropic_answers;
mod anthropic_requests;
mod endings;
mod first_token;
mod framing;
mod hints;
mod mistakes;
mod openai;
mod openai_answers;
mod openai_requests;
mod openrouter;
mod shown;
mod statuses;

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use llm_adapters::{Anthropic, HttpClient, OpenAi};
use llm_protocol::{
    Category, Error, ErrorKind, Progress, Request, Response, StreamEvent, StreamingModelAdapter,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::raw::{http, read_request};
use crate::simulated::Model;

/// Whose wire format is spoken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    OpenAi,
    /// OpenAI's, under OpenRouter's name.
    OpenRouter,
    Anthropic,
}

const BOTH: [Wire; 2] = [Wire::OpenAi, Wire::Anthropic];

const JSON: &str = "content-type: application/json";
const EVENTS: &str = "content-type: text/event-stream";

/// The bytes of a response with these lines in its head. The connection is never used again, so that every row has
/// its own.
fn reply(wire: Wire, status: u16, lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = format!("content-length: {}", body.len());
    let lines = [lines, &[&*length]].concat();
    [head(wire, status, &lines).as_bytes(), body].concat()
}

/// A head that does not say how long the body is.
fn head(wire: Wire, status: u16, lines: &[&str]) -> String {
    let id = match wire {
        Wire::OpenAi | Wire::OpenRouter => "x-request-id",
        Wire::Anthropic => "request-id",
    };
    format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{id}: req_1\r\n{}\r\n\r\n", lines.join("\r\n"))
}

/// A stream that comes with a success and ends cleanly.
fn stream(wire: Wire, events: impl AsRef<[u8]>) -> Vec<u8> {
    reply(wire, 200, &[EVENTS], events)
}

/// The events with these data.
fn sse<D: Display>(data: impl IntoIterator<Item = D>) -> String {
    data.into_iter().map(|data| format!("data: {data}\n\n")).collect::<Vec<_>>().concat()
}

/// What is done about a kind of error, and whether it counts against the model.
type Verdict = (ErrorKind, Category, bool);

const AUTHENTICATION: Verdict = (ErrorKind::Authentication, Category::Terminal, true);
const PERMISSION: Verdict = (ErrorKind::Permission, Category::Terminal, true);
const BILLING: Verdict = (ErrorKind::Billing, Category::Terminal, true);
const MODEL_NOT_FOUND: Verdict = (ErrorKind::ModelNotFound, Category::Terminal, true);
const BAD_REQUEST: Verdict = (ErrorKind::BadRequest, Category::Terminal, false);
const TOO_LARGE: Verdict = (ErrorKind::TooLarge, Category::Terminal, false);
const CONTEXT_LENGTH: Verdict = (ErrorKind::ContextLength, Category::Terminal, false);
const CONTENT_FILTER: Verdict = (ErrorKind::ContentFilter, Category::Terminal, false);
const RATE_LIMITED: Verdict = (ErrorKind::RateLimited, Category::Backpressure, false);
const SERVER: Verdict = (ErrorKind::Server, Category::Transient, true);
const OVERLOADED: Verdict = (ErrorKind::Overloaded, Category::Transient, true);
const TRUNCATED: Verdict = (ErrorKind::Truncated, Category::Transient, true);
const PROTOCOL: Verdict = (ErrorKind::Protocol, Category::Transient, true);
const CONNECTION: Verdict = (ErrorKind::Connection, Category::Transient, true);

/// All that callers see of a failure, but for its words.
#[derive(Clone, Debug, PartialEq)]
struct Failed {
    verdict: Verdict,
    status: Option<u16>,
    code: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    request_id: Option<String>,
}

impl Failed {
    fn of(error: &Error) -> Self {
        Self {
            verdict: (error.kind(), error.category(), error.blames_model()),
            status: error.status(),
            code: error.code().map(str::to_owned),
            retry_after: error.retry_after(),
            should_retry: error.should_retry(),
            request_id: error.request_id().map(str::to_owned),
        }
    }

    /// A failure that comes inside of a success, where there are no hints.
    fn inside(verdict: Verdict) -> Self {
        let request_id = Some("req_1".to_owned());
        Self { verdict, status: None, code: None, retry_after: None, should_retry: None, request_id }
    }

    fn with_status(verdict: Verdict, status: u16) -> Self {
        Self { status: Some(status), ..Self::inside(verdict) }
    }

    fn code(mut self, code: &str) -> Self {
        self.code = Some(code).filter(|code| !code.is_empty()).map(str::to_owned);
        self
    }
}

/// Looks whether rows hold, by asking a provider that answers with given bytes. At its end it tells all that do not.
struct Facts {
    address: SocketAddr,
    http: HttpClient,
    reply: watch::Sender<Vec<u8>>,
    asked: watch::Receiver<String>,
    wrong: Vec<String>,
}

impl Facts {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, replies) = watch::channel(Vec::new());
        let (last, asked) = watch::channel(String::new());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                last.send_replace(read_request(&mut socket).await.unwrap());
                let bytes = replies.borrow().clone();
                // The client may have seen enough before the end.
                let _unsent = socket.write_all(&bytes).await;
                let _unsent = socket.shutdown().await;
            }
        });
        Self { address, http: http(), reply, asked, wrong: Vec::new() }
    }

    fn model(&self, wire: Wire) -> Model {
        let base = format!("http://{}", self.address);
        let http = self.http.clone();
        let openai = || OpenAi::builder("m").base_url(format!("{base}/api/v1")).http_client(http.clone());
        match wire {
            Wire::OpenAi => Arc::new(openai().build().unwrap()),
            Wire::OpenRouter => Arc::new(openai().provider("openrouter").build().unwrap()),
            Wire::Anthropic => {
                Arc::new(Anthropic::builder("m").base_url(base).http_client(http).build().unwrap())
            }
        }
    }

    /// What comes of these bytes when a whole answer is asked for.
    async fn whole(&self, wire: Wire, sent: &[u8]) -> Result<Response, Error> {
        self.reply.send_replace(sent.to_vec());
        self.model(wire).generate(&Request::from("hello"), &Progress::new()).await
    }

    /// What comes of these bytes when a stream is asked for: its events, and the error in which it ends.
    async fn streamed(&self, wire: Wire, sent: &[u8]) -> (Vec<StreamEvent>, Option<Error>) {
        self.reply.send_replace(sent.to_vec());
        streamed(&*self.model(wire), &Request::from("hello")).await
    }

    /// The row says that this is what comes.
    #[expect(clippy::needless_pass_by_value, reason = "rows are written where they are looked at")]
    fn holds<T: PartialEq + Debug>(&mut self, says: &str, came: T, expected: T) {
        if came != expected {
            self.wrong.push(format!("{says}\n     came: {came:?}\n expected: {expected:?}"));
        }
    }

    /// Both ways to ask fail like this.
    async fn fails(&mut self, wire: Wire, says: &str, sent: &[u8], expected: &Failed) {
        let error = self.whole(wire, sent).await.err();
        self.holds(&format!("{says} (whole)"), error.as_ref().map(Failed::of).as_ref(), Some(expected));
        let events = self.breaks(wire, says, sent, expected).await;
        self.holds(&format!("{says} (streamed)"), shown::content(&events), String::new());
    }

    /// The stream fails like this; what came before it.
    async fn breaks(&mut self, wire: Wire, says: &str, sent: &[u8], expected: &Failed) -> Vec<StreamEvent> {
        let (events, error) = self.streamed(wire, sent).await;
        self.holds(&format!("{says} (streamed)"), error.as_ref().map(Failed::of).as_ref(), Some(expected));
        events
    }

    /// The stream gives this answer, whole.
    async fn streams(&mut self, wire: Wire, says: &str, sent: &[u8], expected: &str) {
        let (events, error) = self.streamed(wire, sent).await;
        let came = (shown::collected(&events), error.as_ref().map(ToString::to_string));
        self.holds(&format!("{says} (streamed)"), came, (expected.to_owned(), None));
    }

    /// Both ways to ask give this answer: whole as this JSON, streamed as these events.
    async fn answers(&mut self, wire: Wire, says: &str, json: &str, events: &str, expected: &str) {
        let came = self.whole(wire, &reply(wire, 200, &[JSON], json)).await;
        let came = came.map_or_else(|error| error.to_string(), |answer| shown::answer(&answer));
        self.holds(&format!("{says} (whole)"), &*came, expected);
        self.streams(wire, says, &stream(wire, events), expected).await;
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        let wrong = &self.wrong;
        assert!(
            wrong.is_empty() || thread::panicking(),
            "{} rows do not hold:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

async fn streamed(model: &dyn StreamingModelAdapter, request: &Request) -> (Vec<StreamEvent>, Option<Error>) {
    let mut came = Vec::new();
    let mut events = match model.stream(request, &Progress::new()).await {
        Ok(events) => events,
        Err(error) => return (came, Some(error)),
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => came.push(event),
            Err(error) => return (came, Some(error)),
        }
    }
    (came, None)
}
