//! The clocks of one attempt.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use llm_protocol::{Clock, Error, StreamEvent};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::contain::Contained;
use crate::timeouts::{Limits, deadline};

/// When a deadline has passed, the stream is asked this often again before it is believed: bytes that lie in the
/// socket need the connection's own task to run before they show.
const GRACE: u8 = 3;

/// After this many events without a wait the hard limits are looked at and other tasks get their turn: a stream that
/// always has more would otherwise never meet a clock.
const BURST: u8 = 64;

/// What may follow the terminal marker (a count of tokens) has this long. The answer is whole by then.
const TAIL: Duration = Duration::from_secs(1);

/// A reader that comes back this much after a deadline was not waiting when it passed: its timer would have woken it.
/// Only of readers, who come when they like. Where the call itself is awaited nobody stays away, and what is noticed
/// late there, on a busy runtime, is a clock that ran out all the same.
const AWAY: Duration = Duration::from_secs(1);

/// The clocks of one attempt. Only a wait reads the time: events that are already here cost neither that nor a timer.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of its own time")]
pub(super) struct Meter {
    limits: Limits,
    /// `None` when the answer comes whole.
    first_token: Option<Instant>,
    attempt: Instant,
    total: Option<Instant>,
    /// The model has shown that it is at work.
    progressed: bool,
    /// The terminal marker has come.
    finished: bool,
    /// The answer is handed out: somebody else decides when it is read on.
    has_reader: bool,
    /// Somebody else decides when this is polled: as above, or the reader of a stream that looks for another answer.
    pub(super) paced: bool,
    /// Somebody looks at it now and then, and not whenever there is something: a panel that is shown live.
    pub(super) watched: bool,
    /// How long it took until it was handed out, where the call was awaited until then.
    committed: Option<Duration>,
    /// By when a reader that waits would have come back, as of the last look at the time; and whether it has ever come
    /// later.
    expected: Option<Instant>,
    was_away: bool,
    /// Since when the model is waited for, and how long it was before: since the last progress, and in all.
    waiting: Option<Instant>,
    waited: Duration,
    waited_in_all: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    idle_grace: u8,
    hard_grace: u8,
    burst: u8,
    /// The deadline that was found to have passed, and whether that was long after. Asking the stream again takes time
    /// of its own, which is not counted.
    overdue: Option<(Instant, bool)>,
}

impl Meter {
    pub(super) fn new(limits: Limits, total: Option<Instant>, now: Instant) -> Self {
        Self {
            limits,
            first_token: None,
            attempt: now,
            total,
            progressed: false,
            finished: false,
            has_reader: false,
            paced: false,
            watched: false,
            committed: None,
            expected: None,
            was_away: false,
            waiting: None,
            waited: Duration::ZERO,
            waited_in_all: Duration::ZERO,
            timer: None,
            idle_grace: GRACE,
            hard_grace: GRACE,
            burst: BURST,
            overdue: None,
        }
    }

    /// How long it may take from dispatch to its end.
    pub(super) fn longest(&self) -> Duration {
        self.limits.attempt
    }

    /// The request goes out now.
    pub(super) fn dispatch(&mut self, now: Instant, streamed: bool) {
        self.first_token = streamed.then(|| deadline(now, self.limits.first_token));
        self.attempt = deadline(now, self.limits.attempt);
        self.waiting = Some(now);
    }

    /// From here on a reader decides when the next event is asked for.
    pub(super) fn hand_out(&mut self, dispatched: Option<Instant>) {
        self.committed = dispatched.filter(|_| !self.paced).map(|at| at.elapsed());
        self.has_reader = true;
        self.paced = true;
    }

    /// How long the model took, as far as that can be told, of an attempt that took so long. When an event came that
    /// waited for its reader nobody knows: what is paced counts as no time at all.
    pub(super) fn latency(&self, whole: Duration) -> Duration {
        if self.paced { self.committed.unwrap_or_default() } else { whole }
    }

    /// Whether the call itself was awaited until its first token, so that this took as long as the model did.
    pub(super) fn is_timed(&self) -> bool {
        !self.paced || self.committed.is_some()
    }

    /// Whether the model has shown that it is at work.
    pub(super) fn progressed(&self) -> bool {
        self.progressed
    }

    /// Whether the model had the whole of its limit to itself when this clock ran out: that nobody waited for it, as
    /// its reader took its time, is no fault of the model's.
    pub(super) fn had_its_time(&self, clock: Clock) -> bool {
        let waiting = self.waiting.map_or(Duration::ZERO, |since| since.elapsed());
        let slowed = clock == Clock::Attempt && self.has_reader;
        let late = (self.paced || self.watched) && self.overdue.is_some_and(|(_, late)| late);
        !late && (!slowed || self.waited_in_all + waiting >= self.limits.attempt)
    }

    /// Whether the reader has ever stayed away longer than it would have had to wait: a provider that cannot get rid of
    /// its answer hangs up at last. Once is enough, as the end of a connection may show only after what came before it.
    pub(super) fn reader_was_away(&self) -> bool {
        self.was_away || self.is_away(Instant::now())
    }

    fn is_away(&self, now: Instant) -> bool {
        self.paced && self.expected.is_some_and(|by| now > deadline(by, AWAY))
    }

    /// Runs what opens the answer, under the clocks.
    pub(super) async fn guard<T>(
        &mut self,
        opening: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let opening = pin!(Some(opening));
        let mut opening = Contained::new(opening);
        std::future::poll_fn(|cx| match Pin::new(&mut opening).poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.poll_expired(cx).map(|clock| Err(Error::timeout(clock))),
        })
        .await
    }

    /// An event has come.
    pub(super) fn saw(&mut self, event: &StreamEvent) {
        if let Some(since) = self.waiting.take() {
            let now = Instant::now();
            self.was_away |= self.is_away(now);
            self.expected = Some(deadline(now, self.limits.idle));
            let waited = now.duration_since(since);
            self.waited += waited;
            self.waited_in_all += waited;
        }
        if event.is_progress() {
            self.progressed = true;
            self.waited = Duration::ZERO;
            self.idle_grace = GRACE;
        }
        if matches!(event, StreamEvent::Finish(_)) && !self.finished {
            self.finished = true;
            self.waited = Duration::ZERO;
        }
    }

    /// Called when there is nothing to read: which clock has run out. Reads the time itself, as a timer may be late: it
    /// keeps still when the task has used up its turn.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Clock> {
        self.burst = BURST;
        let now = Instant::now();
        self.was_away |= self.is_away(now);
        let hard = self.hard_deadline();
        let idle = self.idle_deadline(now);
        let (due, clock) = idle.filter(|due| *due <= hard.0).map_or(hard, |due| (due, Clock::Idle));
        if self.is_over(due, now) {
            let grace = if clock == Clock::Idle { &mut self.idle_grace } else { &mut self.hard_grace };
            if *grace == 0 {
                return Poll::Ready(clock);
            }
            // Nothing gives the hard limits' grace back, so that no stream can outrun them.
            *grace -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
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
            timer.as_mut().reset(due);
        }
        self.expected = Some(due);
        Poll::Pending
    }

    fn is_over(&mut self, due: Instant, now: Instant) -> bool {
        let over = now >= due;
        if over && self.overdue.is_none_or(|(known, _)| known != due) {
            self.overdue = Some((due, now > deadline(due, AWAY)));
        }
        over
    }

    /// Called before each event: now and then, whether a limit has run out that no stream of events may outrun, and a
    /// turn for other tasks. A reader's own pace is no flood.
    pub(super) fn poll_hard_limit(&mut self, cx: &mut Context<'_>) -> Poll<Option<Clock>> {
        if self.burst > 0 {
            self.burst -= 1;
            return Poll::Ready(None);
        }
        self.burst = BURST;
        let (due, clock) = self.hard_deadline();
        if !self.has_reader && self.is_over(due, Instant::now()) {
            return Poll::Ready(Some(clock));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// When the stream has been quiet for too long; `None` before the first progress.
    fn idle_deadline(&mut self, now: Instant) -> Option<Instant> {
        if !self.progressed && !self.finished {
            self.waiting.get_or_insert(now);
            return None;
        }
        let limit = if self.finished { self.limits.idle.min(TAIL) } else { self.limits.idle };
        let since = *self.waiting.get_or_insert(now);
        let due = deadline(since, limit.saturating_sub(self.waited));
        if self.has_reader && now > deadline(due, AWAY) {
            (self.waiting, self.waited) = (Some(now), Duration::ZERO);
            return Some(deadline(now, limit));
        }
        Some(due)
    }

    /// The deadlines that run whether or not anybody waits. On a tie the attempt's own limits go before the caller's.
    fn hard_deadline(&self) -> (Instant, Clock) {
        let first_token = self.first_token.filter(|_| !self.progressed).map(|due| (due, Clock::FirstToken));
        let own = match first_token {
            Some(first) if first.0 <= self.attempt => first,
            _ => (self.attempt, Clock::Attempt),
        };
        match self.total {
            Some(total) if total < own.0 => (total, Clock::Total),
            _ => own,
        }
    }
}
