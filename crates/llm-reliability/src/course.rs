//! The one loop: a call on its way along its candidates.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{LimitReason, RejectReason};
use futures::FutureExt;
use llm_protocol::{Category, ErrorKind};
use tokio::time::Instant;

use crate::attempt::{Attempt, Launch, Outcome};
use crate::contain::discard;
use crate::flight::{ADMISSION, Flight, Landed, Landing, Until};
use crate::line::Line;
use crate::order::Lineup;
use crate::policy::Step;
use crate::report::{Ended, retry_after};
use crate::run::{Run, Seat, within};
use crate::timeouts::deadline;

/// Nobody is asked again sooner, whatever a store says; twice as long after each time in vain, up to the longest.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The way of one call along its candidates. It can be taken up where it was left: after an answer that was cut.
pub(crate) struct Course {
    pub(crate) run: Arc<Run>,
    pub(crate) until: Until,
    pub(crate) line: Line,
    /// How many attempts have begun.
    begun: usize,
    /// Until when unavailable candidates are waited for, once they have been.
    patience: Option<Instant>,
    /// How often they have been waited for, and with which attempt they were asked again.
    waits: u32,
    round: usize,
}

/// Where a course has come to.
pub(crate) enum Reached {
    /// The end of the call.
    End(Ended),
    /// The first token of an attempt that goes on, and the way from there.
    Token(Box<Flight>, Course),
}

impl Course {
    pub(crate) fn new(run: &Arc<Run>, until: Until) -> Self {
        Self {
            run: Arc::clone(run),
            until,
            line: Line::new(&run.shared),
            begun: 0,
            patience: None,
            waits: 0,
            round: 0,
        }
    }

    /// Until one attempt reaches its commit point: every candidate that has not had its turn, and every try of it.
    pub(crate) async fn advance(mut self) -> Reached {
        if let Err(ended) = self.line_up().await {
            return Reached::End(ended);
        }
        while let Some(mut seat) = self.next().await {
            // Who has lost has had its first request.
            let (mut launch, mut retried) = (self.launch(), u32::from(self.line.has_lost()));
            loop {
                let now = self.run.begin(launch);
                if self.run.is_over(now) {
                    return Reached::End(Ended::TotalTimeout);
                }
                let (decided, landing) = self.attempt(&seat, retried, launch, now).await;
                let landed = match landing {
                    Landing::Committed(flight) => {
                        self.until = Until::Takeover;
                        return Reached::Token(flight, self);
                    }
                    Landing::Landed(landed) => landed,
                };
                if let Some(hedge) = decided {
                    (seat, retried) = (hedge, 0);
                }
                self.heed(&seat, landed);
                let charged = landed.category != Some(Category::Backpressure);
                match landed.step {
                    Step::Finish => return Reached::End(Ended::Answered),
                    Step::Stop => return Reached::End(Ended::Stopped),
                    Step::OutOfTime => return Reached::End(Ended::TotalTimeout),
                    Step::Retry(pause) if self.run.may_retry(&seat, pause, charged).await => {
                        self.run.pause(pause).await;
                    }
                    Step::Retry(_) | Step::Advance => break,
                }
                (launch, retried) = (Launch::Retry, retried + 1);
            }
        }
        Reached::End(exhausted(&self.run.trail.lock()))
    }

    /// One attempt, and what runs beside it. Names the candidate that decided, where it was another.
    async fn attempt(
        &mut self,
        seat: &Arc<Seat>,
        retried: u32,
        launch: Launch,
        now: Instant,
    ) -> (Option<Arc<Seat>>, Landing) {
        if launch == Launch::Primary && self.run.policy().hedging().is_some() {
            self.run.shared.hedging.budget.earn();
        }
        // Whoever reads a stream decides when this goes on: no delay means anything then.
        let delay = if self.until == Until::Takeover { None } else { self.run.hedge_delay(seat) };
        let Some(delay) = delay.filter(|_| self.line.has_next()) else {
            let ordinal = self.count();
            let flight = Flight::new(&self.run, seat, ordinal, retried, launch, now);
            return (None, flight.fly(self.until).await);
        };
        let (decided, landing) = Box::pin(self.race(seat, retried, launch, now, delay)).await;
        let decided = Some(decided).filter(|decided| !Arc::ptr_eq(decided, seat));
        match landing {
            // Whoever is first has won; what is collected is not yet whole.
            Landing::Committed(flight) if self.until == Until::Complete => {
                (decided, Landing::Landed(flight.collect_rest().await))
            }
            landing => (decided, landing),
        }
    }

    /// Which attempt of the call this is.
    pub(crate) fn count(&mut self) -> usize {
        self.begun += 1;
        self.begun - 1
    }

    /// For a request that was too long for one, those who are known to take more come next.
    pub(crate) fn heed(&mut self, seat: &Seat, landed: Landed) {
        if landed.error == Some(ErrorKind::ContextLength)
            && let Some(window) = seat.context_window()
        {
            self.line.larger_first(window);
        }
    }

    fn launch(&self) -> Launch {
        match self.begun {
            0 => Launch::Primary,
            _ if self.line.is_again() => Launch::Retry,
            _ => Launch::Failover,
        }
    }

    /// Has the order arrange the line, once.
    async fn line_up(&mut self) -> Result<(), Ended> {
        let run = &self.run;
        let Some(order) = run.shared.order.as_ref().filter(|_| self.begun == 0) else { return Ok(()) };
        let mut lineup = Lineup::new(&run.shared.seats, &run.request, run.shared.ranked.clone());
        let limit = deadline(run.started, ADMISSION);
        let limit = run.total.map_or(limit, |total| total.min(limit));
        let arranged = AssertUnwindSafe(async { order.arrange(&mut lineup).await }).catch_unwind();
        match within(limit, arranged).await {
            Some(Ok(Ok(()))) => {}
            Some(Err(panic)) => discard(panic),
            None if run.is_over(Instant::now()) => return Err(Ended::TotalTimeout),
            Some(Ok(Err(_))) | None => return Err(Ended::StoreUnavailable),
        }
        self.line.arrange(lineup.into_line());
        Ok(())
    }

    /// The next candidate. When there is none, and everyone was only unavailable, those again if the policy waits.
    async fn next(&mut self) -> Option<Arc<Seat>> {
        if !self.line.has_next() {
            self.wait().await;
        }
        self.line.next()
    }

    async fn wait(&mut self) {
        // A reader who has had an answer cut is told so, and is not kept waiting for another.
        let waits = self.run.policy().waits().filter(|_| self.until != Until::Takeover);
        let Some(longest) = waits else { return };
        let now = Instant::now();
        let patience = *self.patience.get_or_insert_with(|| deadline(now, longest));
        let Some(pause) = self.pause() else { return };
        if deadline(now, pause) <= patience && self.run.has_time_for(pause) {
            self.run.pause(pause).await;
            let trail = self.run.trail.lock();
            let round = last_round(&trail, self.round);
            let waited_for = |seat: &Seat| {
                round.iter().any(|last| last.model_key == seat.key && is_unavailable(&last.outcome))
            };
            self.line.again(waited_for);
            (self.waits, self.round) = (self.waits + 1, self.begun);
        }
    }

    /// How long to wait for the first that is available again, if everyone was only unavailable the last time: as long as
    /// they say. Where that is short, who has waited in vain was not alone in waiting: it waits longer each time, and not as
    /// long as the others.
    fn pause(&self) -> Option<Duration> {
        let trail = self.run.trail.lock();
        let round = last_round(&trail, self.round);
        if exhausted(round) != Ended::Unavailable {
            return None;
        }
        let doubled = SHORTEST_WAIT.saturating_mul(2_u32.saturating_pow(self.waits)).min(LONGEST_WAIT);
        // When a probe or another call ends is not known, but it will be soon.
        let soon = round.iter().any(|attempt| ends_soon(&attempt.outcome)).then_some(doubled);
        let told = retry_after(round).into_iter().chain(soon).min()?;
        let jitter = if self.waits == 0 { 0.0 } else { fastrand::f64() };
        Some(if told > doubled { told } else { doubled.mul_f64(1.0 + jitter) })
    }
}

/// The attempts since everyone was asked again.
fn last_round(trail: &[Attempt], round: usize) -> &[Attempt] {
    let earlier =
        trail.iter().rposition(|attempt| usize::try_from(attempt.ordinal).is_ok_and(|at| at < round));
    trail.get(earlier.map_or(0, |last| last + 1)..).unwrap_or_default()
}

/// Whether it is other calls that are in the way.
fn ends_soon(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::PreemptedOpen { reason, .. } => *reason == RejectReason::ProbesTaken,
        Outcome::PreemptedLimited { reason, .. } => *reason == LimitReason::InFlight,
        _ => false,
    }
}

/// Whether waiting may help: a circuit is open, or a limit reached.
pub(crate) fn is_unavailable(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::PreemptedOpen { .. } => true,
        Outcome::PreemptedLimited { reason, .. } => *reason != LimitReason::NeverFits,
        _ => false,
    }
}

/// Nobody is left: was everyone only unavailable for now, or the store that knows?
pub(crate) fn exhausted(trail: &[Attempt]) -> Ended {
    let (mut unavailable, mut no_store) = (false, false);
    for attempt in trail {
        match &attempt.outcome {
            Outcome::PreemptedOpen { reason: RejectReason::StoreUnavailable, .. }
            | Outcome::PreemptedLimited { reason: LimitReason::StoreUnavailable, .. } => no_store = true,
            outcome if is_unavailable(outcome) => unavailable = true,
            // Waiting would not help.
            Outcome::PreemptedUnsupported(_) | Outcome::PreemptedLimited { .. } => {}
            _ => return Ended::Exhausted,
        }
    }
    match (unavailable, no_store) {
        (true, _) => Ended::Unavailable,
        (false, true) => Ended::StoreUnavailable,
        (false, false) => Ended::Exhausted,
    }
}
