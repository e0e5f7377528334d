//! The one pipeline: admit, open, meter, collect or hand out, settle. Every attempt of every strategy is a flight.

mod admission;
mod landing;
mod meter;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use circuit_breaker::{Permit, Slot};
use futures::{FutureExt, stream};
use llm_protocol::{Error, ErrorKind, EventStream, Progress, ResponseBuilder, StreamEvent};
use tokio::time::Instant;

pub(crate) use self::admission::ADMISSION;
pub(crate) use self::landing::Landed;
use self::meter::Meter;
use crate::attempt::{Launch, Outcome};
use crate::candidate::StreamMode;
use crate::contain::discard;
use crate::run::{Run, Seat};

/// The most bytes that an answer may have, whatever its adapter lets through.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// How far an attempt goes before its strategy takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end: the answer is collected.
    Complete,
    /// To the first token, which decides who collects the rest.
    Won,
    /// To the first token: the rest is handed out as it comes.
    FirstToken,
    /// The same, while the reader of a stream that was cut decides when it goes on.
    Takeover,
}

impl Until {
    /// Whether what comes goes to a reader.
    fn hands_out(self) -> bool {
        matches!(self, Self::FirstToken | Self::Takeover)
    }
}

/// What became of an attempt at its commit point.
pub(crate) enum Landing {
    /// It is over, and in the trail.
    Landed(Landed),
    /// It has its first token and goes on.
    Committed(Box<Flight>),
}

/// Why an attempt ends without an answer.
pub(crate) enum Cause {
    /// It was not let out.
    Preempted(Box<Outcome>),
    /// It went out and failed.
    Error(Error),
}

impl Cause {
    fn preempted(outcome: Outcome) -> Self {
        Self::Preempted(Box::new(outcome))
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// One attempt under way. However it ends, by an answer, an error, or by being dropped at any await point, its permit
/// is settled once and its observer is told once.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of its own time")]
pub(crate) struct Flight {
    run: Arc<Run>,
    seat: Arc<Seat>,
    ordinal: u32,
    /// How often its candidate has been retried before.
    retried: u32,
    launch: Launch,
    begun: Instant,
    /// When it went out; `None` as long as it has not been admitted.
    dispatched: Option<Instant>,
    progress: Progress,
    permit: Option<Permit>,
    slot: Option<Slot>,
    degraded: bool,
    meter: Meter,
    streamed: bool,
    events: Option<EventStream>,
    answer: ResponseBuilder,
    first_token: Option<Duration>,
    /// Bytes of the answer so far.
    size: usize,
    /// What came before the first token, kept until it is known that this is the answer.
    held: VecDeque<StreamEvent>,
    handed_out: bool,
    landed: bool,
    /// Whether its candidate's traffic counts it.
    counted: bool,
}

impl Flight {
    pub(crate) fn new(
        run: &Arc<Run>,
        seat: &Arc<Seat>,
        ordinal: usize,
        retried: u32,
        launch: Launch,
        begun: Instant,
    ) -> Box<Self> {
        Box::new(Self {
            run: Arc::clone(run),
            seat: Arc::clone(seat),
            ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
            retried,
            launch,
            begun,
            dispatched: None,
            progress: Progress::new(),
            permit: None,
            slot: None,
            degraded: false,
            meter: Meter::new(run.limits(seat), run.total, begun),
            streamed: false,
            events: None,
            answer: ResponseBuilder::default(),
            first_token: None,
            size: 0,
            held: VecDeque::new(),
            handed_out: false,
            landed: false,
            counted: false,
        })
    }

    /// It is looked at when its user likes: clocks that are found long past are held against nobody.
    pub(crate) fn watch(&mut self) {
        self.meter.watched = true;
    }

    /// From admission to the commit point.
    pub(crate) async fn fly(mut self: Box<Self>, until: Until) -> Landing {
        self.meter.paced = until == Until::Takeover;
        let flown = contained(pin!(self.advance(until))).await;
        // What is whole and no answer wins nothing, and is shown to nobody.
        let void = self.answer.is_finished() && self.withheld().is_some();
        if flown.is_ok() && until != Until::Complete && self.has_token() && !void {
            if until.hands_out() {
                self.hand_out();
            }
            return Landing::Committed(self);
        }
        Landing::Landed(self.end(flown))
    }

    /// The rest of an answer that has won.
    pub(crate) async fn collect_rest(mut self: Box<Self>) -> Landed {
        let read = contained(pin!(self.read(Until::Complete))).await;
        self.end(read)
    }

    async fn advance(&mut self, until: Until) -> Result<(), Cause> {
        self.admit().await?;
        self.open(until).await?;
        self.read(until).await
    }

    async fn read(&mut self, until: Until) -> Result<(), Cause> {
        while let Some(event) = poll_fn(|cx| self.poll_event(cx)).await {
            let event = event?;
            if until.hands_out() {
                self.held.push_back(event);
            }
            if until != Until::Complete && self.has_token() {
                break;
            }
        }
        Ok(())
    }

    /// Dispatches: asks for a stream where there is one, and lifts a whole answer into events where there is none.
    async fn open(&mut self, until: Until) -> Result<(), Error> {
        let Self { run, seat, progress, meter, answer, .. } = self;
        let adapter = &seat.candidate.adapter;
        let streaming = match seat.candidate.stream {
            StreamMode::Auto => adapter.capabilities().streaming(),
            StreamMode::Never => None,
        };
        let now = Instant::now();
        self.dispatched = Some(now);
        self.streamed = streaming.is_some();
        meter.dispatch(now, self.streamed);
        if run.shared.is_watching() {
            self.counted = true;
            seat.traffic.dispatched();
        }
        if let Some(adapter) = streaming {
            self.events = Some(meter.guard(adapter.stream(&run.request, progress)).await?);
            return Ok(());
        }
        let response = meter.guard(adapter.generate(&run.request, progress)).await?;
        let size = within_bounds(response.content_len());
        if size.is_err() {
            // Its content is not kept, but its name is.
            answer.absorb(&StreamEvent::Started(response.into_started()));
        } else if until.hands_out() && landing::withheld(&response).is_none() {
            self.events = Some(Box::pin(stream::iter(response.into_events().into_iter().map(Ok))));
            return Ok(());
        } else {
            *answer = ResponseBuilder::whole(response);
        }
        self.size = size?;
        Ok(())
    }

    /// The next event, under the clocks. Ends after the terminal marker; a stream without one was cut.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        let next = match ready!(self.meter.poll_hard_limit(cx)) {
            Some(clock) => Err(clock),
            None => match poll_contained(events, cx) {
                Poll::Ready(next) => Ok(next),
                Poll::Pending => Err(ready!(self.meter.poll_expired(cx))),
            },
        };
        let finished = self.answer.is_finished();
        let noted = next.map(|next| next.map(|event| event.and_then(|event| self.note(event))));
        Poll::Ready(match noted {
            Ok(Some(Ok(event))) => Some(Ok(event)),
            // The answer is whole. What is missing may be a count of tokens.
            _ if finished => self.withheld().map(Err),
            Ok(Some(Err(error))) => Some(Err(error)),
            Ok(None) => {
                let error = Error::new(ErrorKind::Truncated, "the stream ended without its terminal marker");
                Some(Err(error))
            }
            Err(clock) => Some(Err(Error::timeout(clock))),
        })
    }

    fn note(&mut self, event: StreamEvent) -> Result<StreamEvent, Error> {
        if matches!(event, StreamEvent::Discard) {
            return Err(Error::new(ErrorKind::Protocol, "the adapter takes its own answer back"));
        }
        self.meter.saw(&event);
        if self.first_token.is_none() && self.streamed && event.is_token() {
            self.first_token = self.dispatched.map(|dispatched| dispatched.elapsed());
        }
        self.size = within_bounds(self.size + event.len())?;
        self.answer.absorb(&event);
        Ok(event)
    }

    /// Whether there is something for the caller: the point of no return of a handed-out stream.
    pub(crate) fn has_token(&self) -> bool {
        !self.answer.response().is_empty()
    }

    /// From here on it is handed out: its reader decides when it goes on.
    fn hand_out(&mut self) {
        self.handed_out = true;
        self.meter.hand_out(self.dispatched);
    }

    /// The next event for the caller: what was held back first.
    pub(crate) fn poll_handout(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        match self.held.pop_front() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => self.poll_event(cx),
        }
    }

    /// Whose answer it is.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// The answer as far as it has come.
    pub(crate) fn answer(&self) -> &ResponseBuilder {
        &self.answer
    }
}

fn within_bounds(bytes: usize) -> Result<usize, Error> {
    if bytes > MAX_ANSWER_BYTES {
        return Err(Error::new(ErrorKind::Protocol, "the answer is larger than any answer may be"));
    }
    Ok(bytes)
}

/// A panic on the way, in the adapter or in a store, is an error like others.
async fn contained(way: Pin<&mut impl Future<Output = Result<(), Cause>>>) -> Result<(), Cause> {
    AssertUnwindSafe(way).catch_unwind().await.unwrap_or_else(|panic| {
        discard(panic);
        Err(panicked().into())
    })
}

/// What a stream says next. A panic in it is an error like others.
fn poll_contained(
    events: &mut EventStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<StreamEvent, Error>>> {
    let next = catch_unwind(AssertUnwindSafe(|| events.as_mut().poll_next(cx)));
    next.unwrap_or_else(|panic| {
        discard(panic);
        Poll::Ready(Some(Err(panicked())))
    })
}

/// Whatever an adapter panics with may hold anything, so nothing of it is kept.
fn panicked() -> Error {
    Error::new(ErrorKind::Other, "the adapter panicked")
}
