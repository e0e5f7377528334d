//! How a flight ends: the verdict to the breaker, the hint and the cost to the limiter, the attempt to the observer.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{self as limiter, Settlement, Verdict};
use llm_protocol::{Category, Clock, Error, ErrorKind, FinishReason, Response, Stage, Usage};

use super::meter::Meter;
use super::{Cause, Flight};
use crate::attempt::{Attempt, Launch, Outcome, Phase};
use crate::contain::contain;
use crate::money::Cost;
use crate::observer;
use crate::policy::Step;

/// How long an ordinary hint is believed, and a quota left alone that says nothing of its reset.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What an answer says beside its content.
struct Told {
    usage: Usage,
    request_id: Option<String>,
    finished: bool,
}

/// What a strategy goes by when an attempt has landed. The attempt itself is in the trail by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Landed {
    /// What comes next in a failover.
    pub(crate) step: Step,
    pub(crate) succeeded: bool,
    pub(crate) fallback_eligible: bool,
    pub(crate) error: Option<ErrorKind>,
    pub(crate) category: Option<Category>,
}

impl Flight {
    /// It has come to its end: the answer is whole, or there is none.
    pub(crate) fn end(mut self: Box<Self>, flown: Result<(), Cause>) -> Landed {
        match flown {
            Ok(()) => self.finished(),
            Err(cause) => self.failed(cause),
        }
    }

    fn finished(&mut self) -> Landed {
        if let Some(error) = self.withheld() {
            return self.failed(error.into());
        }
        let told = self.told();
        let answer = self.answer.response();
        let outcome = if answer.is_empty() {
            Outcome::Empty { finish_reason: answer.finish_reason }
        } else {
            Outcome::Success(self.answer.take_response())
        };
        self.land(outcome, told)
    }

    /// The error of its answer, if that is complete and none.
    pub(super) fn withheld(&self) -> Option<Error> {
        withheld(self.answer.response())
    }

    fn failed(&mut self, cause: Cause) -> Landed {
        let told = self.told();
        let outcome = match cause {
            Cause::Preempted(outcome) => *outcome,
            Cause::Error(error) if self.handed_out => {
                Outcome::Interrupted { error: self.named(error), partial: self.answer.take_response() }
            }
            Cause::Error(error) => self.failure(error),
        };
        self.land(outcome, told)
    }

    fn cancelled(&mut self) -> Landed {
        let told = self.told();
        self.land(Outcome::Cancelled, told)
    }

    /// What it has cost so far.
    pub(crate) fn cost(&self) -> Option<Cost> {
        self.seat.candidate.price.as_ref()?.cost(&self.answer.response().usage)
    }

    fn told(&self) -> Told {
        let Response { usage, request_id, .. } = self.answer.response();
        Told { usage: *usage, request_id: request_id.clone(), finished: self.answer.is_finished() }
    }

    fn failure(&self, error: Error) -> Outcome {
        let error = self.named(error);
        match error.category() {
            Category::Backpressure => Outcome::DeferredBackpressure(error),
            // The adapter looked at the request more closely than its capabilities tell, and nothing was sent.
            Category::Terminal
                if error.kind() == ErrorKind::Unsupported && self.progress.stage() == Stage::Prepare =>
            {
                Outcome::PreemptedUnsupported(error)
            }
            Category::Transient | Category::Terminal => Outcome::Failed(error),
        }
    }

    /// The error as it may be shown: with its model's name, and without what was asked.
    fn named(&self, error: Error) -> Error {
        let error = error.without_quotations_of(&self.run.request);
        if error.model_key().is_some() { error } else { error.with_model_key(Arc::clone(&self.seat.key)) }
    }

    fn land(&mut self, outcome: Outcome, told: Told) -> Landed {
        self.landed = true;
        let finished = told.finished;
        let attempt = self.attempt(outcome, told);
        self.settle(&attempt, finished);
        self.leave_traffic(&attempt);
        observer::tell(&*self.run.shared.observer, &attempt);
        let error = attempt.error();
        let landed = Landed {
            step: self.run.after(&attempt, self.retried),
            succeeded: attempt.succeeded(),
            fallback_eligible: attempt.fallback_eligible,
            error: error.map(Error::kind),
            category: error.map(Error::category),
        };
        self.run.keep(attempt);
        landed
    }

    /// What its candidate's traffic learns of it: that it is over, and how long its first token took, or no less.
    fn leave_traffic(&mut self, attempt: &Attempt) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        let traffic = &self.seat.traffic;
        traffic.landed();
        let kind = error_of(&attempt.outcome).map(Error::kind);
        let first_token = match kind {
            // Whoever reads a stream may have come for it late.
            _ if !self.meter.is_timed() || self.run.shared.hedging.is_past(self.begun) => None,
            // It has taken no less, which says something where that is long.
            None if matches!(attempt.outcome, Outcome::Cancelled) && attempt.first_token.is_none() => {
                let late = self.run.hedge_delay(&self.seat);
                Some(attempt.latency).filter(|latency| late.is_some_and(|late| *latency >= late))
            }
            Some(ErrorKind::Timeout(Clock::FirstToken)) => Some(attempt.latency),
            None if !self.streamed && attempt.succeeded() => Some(attempt.latency),
            _ => attempt.first_token,
        };
        if let Some(first_token) = first_token {
            traffic.note(first_token);
        }
    }

    /// Tells breaker and limiter. Nothing here blocks, and what panics stays where it is.
    fn settle(&mut self, attempt: &Attempt, finished: bool) {
        // First, so that the connection is given up before anyone is told that the attempt is over.
        let events = self.events.take();
        contain(|| drop(events));
        if let Some(permit) = self.permit.take() {
            let mut settlement = Settlement::new(verdict(&attempt.outcome, &self.meter));
            settlement.latency = self.dispatched.map(|_| self.meter.latency(attempt.latency));
            contain(|| permit.settle(settlement));
        }
        if self.dispatched.is_some() && self.progress.stage() != Stage::Prepare {
            self.run.begin_retries(&self.seat, self.retried);
        }
        if self.launch == Launch::Hedge && self.dispatched.is_none() {
            // It was not sent, and costs nobody anything.
            self.run.shared.hedging.budget.give_back();
        }
        if let Some(slot) = self.slot.take() {
            let sent = self.dispatched.is_some() && self.progress.stage() == Stage::Sent;
            let reads = self.seat.candidate.counts_cache_reads;
            let mut actual = actual(attempt.usage.as_ref(), slot.cost(), finished, reads);
            if self.is_refused(attempt) {
                actual.output_tokens = Some(0);
            }
            contain(|| if sent { slot.settle(&actual) } else { drop(slot) });
        }
        if let Some(pause) = error_of(&attempt.outcome).and_then(pause_after) {
            contain(|| self.seat.quota.defer(pause));
        }
    }

    fn attempt(&self, outcome: Outcome, told: Told) -> Attempt {
        let seat = &self.seat;
        let usage = (!told.usage.is_unknown()).then_some(told.usage);
        let price = seat.candidate.price.as_ref();
        let preempted = matches!(outcome, Outcome::PreemptedUnsupported(_));
        Attempt {
            model_key: Arc::clone(&seat.key),
            provider: Arc::clone(&seat.provider),
            model_id: Arc::clone(&seat.model),
            request_id: told.request_id.or_else(|| error_of(&outcome)?.request_id().map(str::to_owned)),
            ordinal: self.ordinal,
            launch: self.launch,
            fallback_eligible: self.run.policy().lets_pass(&outcome),
            outcome,
            phase: self.phase(told.finished).filter(|_| !preempted),
            start: self.begun.duration_since(self.run.started),
            first_token: self.first_token,
            latency: self.dispatched.unwrap_or(self.begun).elapsed(),
            cost: usage.as_ref().zip(price).and_then(|(usage, price)| price.cost(usage)),
            usage,
            handed_out: self.handed_out,
            degraded: self.degraded,
        }
    }

    /// Whether the provider answered with an error in place of an answer, so that no model has written anything. Would
    /// its output stay reserved, refusals would use up what is there for the calls after them.
    fn is_refused(&self, attempt: &Attempt) -> bool {
        let status = attempt.error().and_then(Error::status);
        status.is_some_and(|status| !(200..300).contains(&status))
            && attempt.usage.is_none()
            && !self.meter.progressed()
    }

    fn phase(&self, finished: bool) -> Option<Phase> {
        self.dispatched?;
        Some(match self.progress.stage() {
            Stage::Prepare => Phase::Prepare,
            Stage::Connect => Phase::Connect,
            Stage::Sent if !self.streamed => Phase::Response,
            Stage::Sent if self.first_token.is_some() || finished => Phase::Stream,
            Stage::Sent => Phase::FirstToken,
        })
    }
}

/// The error of an answer that is complete and none: the model declined, its vendor calls it failed, or a filter left
/// nothing of it.
pub(super) fn withheld(answer: &Response) -> Option<Error> {
    let (kind, why) = match answer.finish_reason {
        _ if answer.refusal.is_some() => (ErrorKind::Refusal, "the model declined to answer"),
        FinishReason::Error => (ErrorKind::Server, "the provider says that its model failed"),
        FinishReason::ContentFilter if answer.is_empty() => {
            (ErrorKind::ContentFilter, "a filter held the answer back")
        }
        _ => return None,
    };
    Some(Error::new(kind, why))
}

/// However a flight ends that nobody waits for any more, it is visible, and neutral for the breaker. An answer that was
/// whole by then is one all the same: its reader has stopped at the terminal marker.
impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            if self.answer.is_finished() {
                self.finished()
            } else {
                self.cancelled()
            };
        }
    }
}

fn error_of(outcome: &Outcome) -> Option<&Error> {
    match outcome {
        Outcome::DeferredBackpressure(error)
        | Outcome::Failed(error)
        | Outcome::Interrupted { error, .. } => Some(error),
        _ => None,
    }
}

/// What an outcome says of the candidate's health.
fn verdict(outcome: &Outcome, meter: &Meter) -> Verdict {
    match outcome {
        Outcome::Success(_) => Verdict::Success,
        // Reasoning used up the budget: the request's doing.
        Outcome::Empty { finish_reason: FinishReason::Length } => Verdict::Neutral,
        Outcome::Empty { .. } => Verdict::Failure,
        outcome if error_of(outcome).is_some_and(|error| excused(error, meter)) => Verdict::Neutral,
        outcome if error_of(outcome).is_some_and(Error::blames_model) => Verdict::Failure,
        _ => Verdict::Neutral,
    }
}

/// Whether it came about by the doing of whoever reads the stream: a clock ran out, or the provider hung up, while
/// nobody waited.
fn excused(error: &Error, meter: &Meter) -> bool {
    match error.kind() {
        ErrorKind::Timeout(clock) => !meter.had_its_time(clock),
        ErrorKind::Connection | ErrorKind::Truncated => meter.reader_was_away(),
        _ => false,
    }
}

/// How long a failure asks to be left alone. An ordinary hint is believed up to five minutes, so that a wrong one does
/// not take a candidate away for a day; a quota's is believed as it is.
fn pause_after(error: &Error) -> Option<Duration> {
    match error.kind() {
        ErrorKind::QuotaExhausted => Some(error.retry_after().unwrap_or(LONGEST_PAUSE)),
        _ => error.retry_after().map(|hint| hint.min(LONGEST_PAUSE)),
    }
}

/// What a call that went out did cost its limiter. Of an answer that was cut only so much is known that it was not less:
/// what was reserved for it stays.
fn actual(
    usage: Option<&Usage>,
    reserved: &limiter::Cost,
    finished: bool,
    cache_reads: bool,
) -> limiter::Cost {
    let known = |tokens: Option<u64>, reserved: Option<u64>| {
        tokens.filter(|tokens| finished || reserved.is_none_or(|reserved| *tokens > reserved))
    };
    let input = usage.and_then(|usage| {
        let read = usage.cache_read_tokens.filter(|_| cache_reads).unwrap_or_default();
        let written = usage.cache_write_tokens.unwrap_or_default();
        Some(usage.input_tokens?.saturating_add(read).saturating_add(written))
    });
    let mut cost = limiter::Cost::REQUEST.with_requests(reserved.requests);
    cost.input_tokens = known(input, reserved.input_tokens);
    cost.output_tokens = known(usage.and_then(|usage| usage.output_tokens), reserved.output_tokens);
    cost
}
