//! The one pipeline: admit, open, meter, collect or hand out, settle. Every attempt of every strategy is a flight.

mod landing;
mod meter;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use circuit_breaker::{Cost, Permit, RejectReason, Slot};
use futures::{FutureExt, stream};
use llm_protocol::{Clock, Error, ErrorKind, EventStream, Progress, ResponseBuilder, StreamEvent};
use tokio::time::Instant;

use self::meter::Meter;
use crate::attempt::{Attempt, Launch, Outcome};
use crate::candidate::StreamMode;
use crate::run::{Run, Seat, within};

/// How far an attempt goes before its strategy takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the end: the answer is collected.
    Complete,
    /// To the first token: the rest is handed out as it comes.
    FirstToken,
}

/// What became of an attempt at its commit point.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub(crate) enum Landing {
    /// It is over.
    Landed(Attempt),
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
    /// What came before the first token, kept until it is known that this is the answer.
    held: VecDeque<StreamEvent>,
    handed_out: bool,
    landed: bool,
}

impl Flight {
    pub(crate) fn new(
        run: &Arc<Run>,
        seat: &Arc<Seat>,
        ordinal: usize,
        launch: Launch,
        begun: Instant,
    ) -> Self {
        Self {
            run: Arc::clone(run),
            seat: Arc::clone(seat),
            ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
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
            held: VecDeque::new(),
            handed_out: false,
            landed: false,
        }
    }

    /// From admission to the commit point. A panic on the way, in the adapter or in a store, is an error like others.
    pub(crate) async fn fly(&mut self, until: Until) -> Result<(), Cause> {
        let flown = AssertUnwindSafe(self.advance(until)).catch_unwind().await;
        flown.unwrap_or_else(|_panic| Err(panicked().into()))
    }

    async fn advance(&mut self, until: Until) -> Result<(), Cause> {
        self.admit().await?;
        self.open().await?;
        while let Some(event) = poll_fn(|cx| self.poll_event(cx)).await {
            let event = event?;
            if until == Until::FirstToken {
                self.held.push_back(event);
                if self.has_token() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks everyone who may object, before anything leaves.
    async fn admit(&mut self) -> Result<(), Cause> {
        let capabilities = self.seat.candidate.adapter.capabilities();
        if let Some(missing) = capabilities.missing(&self.run.request) {
            let error = Error::unsupported(missing.as_str()).with_model_key(Arc::clone(&self.seat.key));
            return Err(Cause::preempted(Outcome::PreemptedUnsupported(error)));
        }
        let out_of_time = || Cause::Error(Error::timeout(Clock::Total));
        let permit = within(self.run.total, self.seat.circuit.admit()).await.ok_or_else(out_of_time)?;
        let permit = permit.map_err(|rejection| {
            self.degraded |= rejection.degraded || rejection.reason == RejectReason::StoreUnavailable;
            Cause::preempted(Outcome::PreemptedOpen { retry_after: rejection.retry_after })
        })?;
        self.degraded |= permit.degraded();
        self.permit = Some(permit);

        let slot =
            within(self.run.total, self.seat.quota.admit(Cost::REQUEST)).await.ok_or_else(out_of_time)?;
        let slot = slot.map_err(|limited| {
            self.degraded |= limited.degraded;
            Cause::preempted(Outcome::PreemptedLimited { retry_after: limited.retry_after })
        })?;
        self.degraded |= slot.degraded();
        self.slot = Some(slot);
        Ok(())
    }

    /// Dispatches: asks for a stream where there is one, and lifts a whole answer into events where there is none.
    async fn open(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.dispatched = Some(now);
        let Self { run, seat, progress, meter, .. } = self;
        let adapter = &seat.candidate.adapter;
        let streaming = match seat.candidate.stream {
            StreamMode::Auto => adapter.capabilities().streaming(),
            StreamMode::Never => None,
        };
        self.streamed = streaming.is_some();
        meter.dispatch(now, self.streamed);
        let events: EventStream = if let Some(adapter) = streaming {
            meter.guard(adapter.stream(&run.request, progress)).await?
        } else {
            let response = meter.guard(adapter.generate(&run.request, progress)).await?;
            Box::pin(stream::iter(response.into_events().into_iter().map(Ok)))
        };
        self.events = Some(events);
        Ok(())
    }

    /// The next event, under the clocks. Ends after the terminal marker; a stream without one was cut.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        if let Some(clock) = ready!(self.meter.poll_hard_limit(cx)) {
            return Poll::Ready(Some(Err(Error::timeout(clock))));
        }
        match events.as_mut().poll_next(cx) {
            Poll::Pending => {
                let clock = ready!(self.meter.poll_expired(cx));
                // The answer is whole, and only what may follow its terminal marker did not come.
                Poll::Ready((!self.answer.is_finished()).then(|| Err(Error::timeout(clock))))
            }
            Poll::Ready(Some(Ok(event))) => {
                self.note(&event);
                Poll::Ready(Some(Ok(event)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) if self.answer.is_finished() => Poll::Ready(None),
            Poll::Ready(None) => {
                let error = Error::new(ErrorKind::Truncated, "the stream ended without its terminal marker");
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn note(&mut self, event: &StreamEvent) {
        self.meter.saw(event);
        if self.first_token.is_none() && self.streamed && event.is_token() {
            self.first_token = self.dispatched.map(|dispatched| dispatched.elapsed());
        }
        self.answer.absorb(event);
    }

    /// Whether there is something for the caller: the point of no return of a handed-out stream.
    pub(crate) fn has_token(&self) -> bool {
        !self.answer.response().is_empty()
    }

    /// The next event for the caller: what was held back first.
    pub(crate) fn poll_handout(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        self.handed_out = true;
        match self.held.pop_front() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => catch_unwind(AssertUnwindSafe(|| self.poll_event(cx)))
                .unwrap_or_else(|_panic| Poll::Ready(Some(Err(panicked())))),
        }
    }

    /// The answer as far as it has come.
    pub(crate) fn answer(&self) -> &ResponseBuilder {
        &self.answer
    }
}

/// Whatever an adapter panics with may hold anything, so nothing of it is kept.
fn panicked() -> Error {
    Error::new(ErrorKind::Other, "the adapter panicked")
}
