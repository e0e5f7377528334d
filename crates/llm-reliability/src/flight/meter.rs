//! The clocks of one attempt.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use llm_protocol::{Clock, Error, StreamEvent};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::timeouts::{Limits, deadline};

/// When a deadline has passed, the stream is asked this often again before it is believed: bytes that lie in the
/// socket need the connection's own task to run before they show.
const GRACE: u8 = 3;

/// After this many events without a wait the hard limits are looked at and other tasks get their turn: a stream that
/// always has more would otherwise never meet a clock.
const BURST: u8 = 64;

/// The clocks of one attempt. Only a wait reads the time or sets a timer: events that are already here cost neither.
pub(super) struct Meter {
    limits: Limits,
    /// `None` when the answer comes whole.
    first_token: Option<Instant>,
    attempt: Instant,
    total: Option<Instant>,
    /// The model has shown that it is at work.
    progressed: bool,
    /// Since when the consumer waits, and how long it had waited before since the last progress.
    waiting: Option<Instant>,
    waited: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    grace: u8,
    burst: u8,
}

impl Meter {
    pub(super) fn new(limits: Limits, total: Option<Instant>, now: Instant) -> Self {
        Self {
            limits,
            first_token: None,
            attempt: now,
            total,
            progressed: false,
            waiting: None,
            waited: Duration::ZERO,
            timer: None,
            grace: GRACE,
            burst: BURST,
        }
    }

    /// The request goes out now.
    pub(super) fn dispatch(&mut self, now: Instant, streamed: bool) {
        self.first_token = streamed.then(|| deadline(now, self.limits.first_token));
        self.attempt = deadline(now, self.limits.attempt);
    }

    /// Runs what opens the answer, under the clocks.
    pub(super) async fn guard<T>(
        &mut self,
        opening: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut opening = std::pin::pin!(opening);
        std::future::poll_fn(|cx| match opening.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.poll_expired(cx).map(|clock| Err(Error::timeout(clock))),
        })
        .await
    }

    /// An event has come.
    pub(super) fn saw(&mut self, event: &StreamEvent) {
        self.grace = GRACE;
        let waiting = self.waiting.take();
        if event.is_progress() {
            self.progressed = true;
            self.waited = Duration::ZERO;
        } else if let Some(since) = waiting {
            // What comes next may be asked for much later; only the waiting so far counts.
            self.waited += since.elapsed();
        }
    }

    /// Called when there is nothing to read: which clock has run out.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Clock> {
        self.burst = BURST;
        let (due, clock) = self.next_deadline();
        let timer = match &mut self.timer {
            Some(timer) => {
                // A deadline that moved further away is looked at when the timer fires: not every token sets it anew.
                if timer.deadline() > due || timer.is_elapsed() {
                    timer.as_mut().reset(due);
                }
                timer
            }
            None => self.timer.insert(Box::pin(sleep_until(due))),
        };
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= due {
                if self.grace == 0 {
                    return Poll::Ready(clock);
                }
                self.grace -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// Called before each event: now and then, whether a limit has run out that no stream of events may outrun.
    pub(super) fn poll_hard_limit(&mut self, cx: &mut Context<'_>) -> Poll<Option<Clock>> {
        if self.burst > 0 {
            self.burst -= 1;
            return Poll::Ready(None);
        }
        self.burst = BURST;
        let (due, clock) = self.hard_deadline();
        if Instant::now() >= due {
            return Poll::Ready(Some(clock));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The first deadline of all, and whose it is. On a tie the attempt's own limits go before the caller's.
    fn next_deadline(&mut self) -> (Instant, Clock) {
        let hard = self.hard_deadline();
        if !self.progressed {
            return hard;
        }
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let idle = deadline(since, self.limits.idle.saturating_sub(self.waited));
        if idle <= hard.0 { (idle, Clock::Idle) } else { hard }
    }

    /// The deadlines that run whether or not anybody waits.
    fn hard_deadline(&self) -> (Instant, Clock) {
        let first_token = self.first_token.filter(|_| !self.progressed).map(|due| (due, Clock::FirstToken));
        let total = self.total.map(|due| (due, Clock::Total));
        let own = match first_token {
            Some(first) if first.0 <= self.attempt => first,
            _ => (self.attempt, Clock::Attempt),
        };
        match total {
            Some(total) if total.0 < own.0 => total,
            _ => own,
        }
    }
}
