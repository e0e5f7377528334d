//! One step after the other: a failover without hedges does what its rules say, and nothing else.

use std::time::Duration;

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{Category, Clock, ErrorKind};
use llm_reliability::{Ended, Launch, Outcome, Report, circuit_breaker, llm_protocol};

use super::attempts::lets_pass;
use crate::play::Came;
use crate::tale::{Tale, Trace};
use crate::world::{Ordering, ms};

/// How long an order may think about it.
const ARRANGEMENT: Duration = Duration::from_secs(5);

/// Between which times a retry of an attempt may begin after it; `None` where there is none.
fn pause(tale: &Tale<'_>, trace: &Trace<'_>, retried: u32) -> Option<(Duration, Duration)> {
    let rules = tale.rules();
    let (Outcome::Failed(error) | Outcome::DeferredBackpressure(error)) = &trace.attempt.outcome else {
        return None;
    };
    let hint = error.retry_after();
    let worth = match (error.kind(), error.category()) {
        (ErrorKind::Timeout(Clock::Total) | ErrorKind::QuotaExhausted, _) | (_, Category::Terminal) => false,
        (_, Category::Backpressure) => hint.is_some_and(|hint| hint <= rules.wait_out),
        (ErrorKind::Timeout(_), _) if !rules.retry_timeouts => false,
        (_, Category::Transient) => hint.is_none_or(|hint| hint <= rules.backoff.1),
    };
    let due = worth && retried < rules.retries && error.should_retry() != Some(false);
    let widest = rules.backoff.0.saturating_mul(2_u32.pow(retried)).min(rules.backoff.1);
    let least = hint.unwrap_or_default();
    due.then_some((least, widest.max(least)))
}

/// Whether a retry that is allowed cannot be left out.
fn is_due(tale: &Tale<'_>, trace: &Trace<'_>, (_, longest): (Duration, Duration)) -> bool {
    let time = tale.total().is_none_or(|total| tale.since(trace.at) + longest < total);
    tale.story.stage.world.budget.is_none() && !trace.open && time
}

/// Whether it may be a retry: another candidate that is asked again was waited for.
fn is_again(before: &Trace<'_>, trace: &Trace<'_>) -> bool {
    trace.attempt.launch == Launch::Retry && trace.member == before.member
}

fn stops(tale: &Tale<'_>, trace: &Trace<'_>) -> bool {
    match &trace.attempt.outcome {
        Outcome::Failed(error) => !lets_pass(tale, error.kind()),
        Outcome::Interrupted { .. } => !trace.attempt.fallback_eligible,
        Outcome::Success(_) | Outcome::Cancelled => true,
        _ => false,
    }
}

fn is_unavailable(trace: &Trace<'_>) -> bool {
    match trace.attempt.outcome {
        Outcome::PreemptedOpen { .. } => true,
        Outcome::PreemptedLimited { reason, .. } => reason != LimitReason::NeverFits,
        _ => false,
    }
}

/// What a call has come to that has nobody left to ask.
pub(crate) fn exhausted(traces: &[Trace<'_>]) -> Ended {
    let passed_over = |trace: &Trace<'_>| {
        matches!(
            trace.attempt.outcome,
            Outcome::PreemptedOpen { .. }
                | Outcome::PreemptedLimited { .. }
                | Outcome::PreemptedUnsupported(_)
        )
    };
    let unavailable = traces.iter().all(passed_over) && traces.iter().any(is_unavailable);
    if unavailable { Ended::Unavailable } else { Ended::Exhausted }
}

/// The waits of a call for those who are unavailable.
#[derive(Default)]
struct Waits {
    until: Option<Duration>,
    before: u32,
}

impl Waits {
    /// From when to when a call may ask again now that everyone was passed over; `None` where it does not wait.
    fn due(&mut self, tale: &Tale<'_>, traces: &[Trace<'_>]) -> Option<(Duration, Duration)> {
        let longest = tale.rules().wait;
        let now = tale.since(traces.last()?.at);
        let is_last = |(at, trace): &(usize, &Trace<'_>)| {
            traces.iter().skip(at + 1).all(|later| later.member != trace.member)
        };
        let last_words: Vec<_> = traces.iter().enumerate().filter(is_last).map(|(_, trace)| trace).collect();
        // Whoever could not carry it the last time is not waited for.
        let is_vain = !last_words.iter().any(|trace| is_unavailable(trace));
        if longest.is_zero() || is_vain || exhausted(traces) != Ended::Unavailable {
            return None;
        }
        // Each time in vain a little longer, and where that is all there is to go by, by chance.
        let doubled = ms(10 << self.before.min(7)).min(ms(1000));
        let soon = last_words.iter().any(|trace| is_somebody_elses(&trace.attempt.outcome));
        let told = last_words.iter().filter_map(|trace| trace.attempt.retry_after());
        let told = told.chain(soon.then_some(doubled)).min()?;
        let (least, most) = match self.before {
            _ if told > doubled => (told, told),
            0 => (doubled, doubled),
            _ => (doubled, 2 * doubled),
        };
        let until = *self.until.get_or_insert(now + longest);
        let fits = now + least <= until && tale.total().is_none_or(|total| now + least < total);
        self.before += 1;
        fits.then_some((now + least, now + most))
    }

    /// Whether it has to wait, however long that is by chance.
    fn must(&mut self, tale: &Tale<'_>, traces: &[Trace<'_>]) -> bool {
        let Some((_, latest)) = self.due(tale, traces) else { return false };
        self.until.is_some_and(|until| latest <= until) && tale.total().is_none_or(|total| latest < total)
    }
}

/// Whether another call is in the way.
fn is_somebody_elses(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::PreemptedOpen { reason, .. } => *reason == RejectReason::ProbesTaken,
        Outcome::PreemptedLimited { reason, .. } => *reason == LimitReason::InFlight,
        _ => false,
    }
}

/// Whose turn it is.
struct Turns {
    line: Vec<usize>,
    next: usize,
    launch: Launch,
}

impl Turns {
    fn take(&mut self, tale: &Tale<'_>, trace: &Trace<'_>) {
        assert_eq!(trace.member, self.line[self.next], "whose turn it was: {}", tale.trail());
        assert_eq!(trace.attempt.launch, self.launch, "{}", tale.trail());
        self.next += 1;
        self.launch = if self.launch == Launch::Primary { Launch::Failover } else { self.launch };
    }

    fn is_over(&self) -> bool {
        self.next == self.line.len()
    }

    /// A request was too long: those that are known to take more go first.
    fn too_long_for(&mut self, tale: &Tale<'_>, member: usize) {
        let window = |member: usize| tale.story.stage.world.members[member].window;
        let Some(known) = window(member) else { return };
        self.line[self.next..].sort_by_key(|other| window(*other).is_none_or(|other| other <= known));
    }
}

/// Candidates in their order, each once; retries as far as the policy says; waits as far as it says; and an end that
/// follows from the last step.
pub(crate) fn a_failover_takes_the_steps_of_its_policy(tale: &Tale<'_>) {
    let awaited = tale.call.was_awaited(tale.call.over);
    if !tale.call.is_failover()
        || tale.hedge().is_some()
        || !awaited
        || matches!(tale.call.came, Came::Refused(_))
    {
        return;
    }
    if let Some(ended) = refused_by_its_order(tale) {
        assert!(tale.traces.is_empty());
        assert!(tale.call.report().is_none_or(|report| report.ended() == ended));
        return;
    }
    let mut turns = Turns { line: tale.line.clone(), next: 0, launch: Launch::Primary };
    let (mut retried, mut waits) = (0, Waits::default());
    for at in 0..tale.traces.len() {
        let trace = &tale.traces[at];
        let start = trace.attempt.start;
        let Some(before) = at.checked_sub(1).map(|before| &tale.traces[before]) else {
            let arranging = match tale.story.stage.world.order {
                Ordering::TakesTime(time) => ms(time),
                _ => Duration::ZERO,
            };
            assert_eq!(start, arranging, "nobody else is waited for");
            turns.take(tale, trace);
            continue;
        };
        let now = tale.since(before.at);
        assert!(!stops(tale, before), "nothing follows on {}", before.attempt);
        let retry = pause(tale, before, retried);
        if let Some((least, most)) = retry.filter(|_| is_again(before, trace)) {
            assert!(!before.open, "nobody waits for an open circuit: {}", tale.trail());
            // A timer fires on a whole millisecond.
            assert!(start >= now + least && start <= now + most + ms(1), "a pause of {:?}", start - now);
            retried += 1;
            continue;
        }
        assert!(
            retry.is_none_or(|retry| !is_due(tale, before, retry)),
            "a retry was due: {}",
            before.attempt
        );
        retried = 0;
        if before.kind() == Some(ErrorKind::ContextLength) {
            turns.too_long_for(tale, before.member);
        }
        if turns.is_over() {
            let due = waits.due(tale, &tale.traces[..at]);
            let due = due.unwrap_or_else(|| panic!("nobody was to be waited for: {}", tale.trail()));
            assert!(start >= due.0 && start < due.1 + ms(1), "it waited until {start:?}, not {due:?}");
            let last = |member: &usize| tale.traces[..at].iter().rev().find(|trace| trace.member == *member);
            turns.line.retain(|member| last(member).is_some_and(is_unavailable));
            (turns.next, turns.launch) = (0, Launch::Retry);
        } else {
            assert_eq!(start, now, "there is nothing to wait for");
        }
        turns.take(tale, trace);
    }
    if let Some(report) = tale.call.report() {
        it_ended_rightly(tale, report, &turns, (retried, waits));
    }
}

/// How a call ends whose order finds no line.
fn refused_by_its_order(tale: &Tale<'_>) -> Option<Ended> {
    let total = tale.total().unwrap_or(Duration::MAX);
    match tale.story.stage.world.order {
        Ordering::Refuses => Some(Ended::StoreUnavailable),
        Ordering::TakesTime(time) if ms(time) > ARRANGEMENT.min(total) => {
            Some(if total <= ARRANGEMENT { Ended::TotalTimeout } else { Ended::StoreUnavailable })
        }
        _ => None,
    }
}

fn it_ended_rightly(tale: &Tale<'_>, report: &Report, turns: &Turns, (retried, mut waits): (u32, Waits)) {
    let Some(last) = tale.traces.last() else {
        assert_eq!((report.ended(), tale.total()), (Ended::TotalTimeout, Some(report.elapsed())));
        return;
    };
    let handed_out = tale.traces.iter().any(|trace| trace.attempt.handed_out);
    let now = tale.since(last.at);
    let out_of_time = tale.total().is_some_and(|total| report.elapsed() >= total);
    let ended = match &last.attempt.outcome {
        Outcome::Success(_) => Ended::Answered,
        _ if handed_out => Ended::Interrupted,
        Outcome::Failed(error) if error.kind() == ErrorKind::Timeout(Clock::Total) => Ended::TotalTimeout,
        _ if stops(tale, last) => Ended::Stopped,
        _ if !turns.is_over() => Ended::TotalTimeout,
        _ => exhausted(&tale.traces),
    };
    assert_eq!(report.ended(), ended, "{}", tale.trail());
    if stops(tale, last) {
        return;
    }
    let early = tale.call.read.since.is_some() && tale.call.read.end.is_none();
    assert!(turns.is_over() || out_of_time || early, "there were others to ask: {}", tale.trail());
    let retry = pause(tale, last, retried);
    assert!(retry.is_none_or(|retry| !is_due(tale, last, retry)), "a retry was due: {}", tale.trail());
    if turns.is_over() {
        assert!(!waits.must(tale, &tale.traces), "there was time to wait: {}", tale.trail());
    }
    // A pause that ends within the last millisecond ends with the call.
    let waited = retry.is_some() && out_of_time;
    assert!(report.elapsed() == now || waited, "{}", tale.trail());
}
