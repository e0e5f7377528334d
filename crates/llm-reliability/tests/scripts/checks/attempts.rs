//! Each attempt by itself: what became of it follows from the script and the clocks.

use circuit_breaker::RejectReason;
use llm_protocol::{Category, ErrorKind, Response, ResponseBuilder, StreamEvent, Usage};
use llm_reliability::{Launch, Outcome, Phase, circuit_breaker, llm_protocol};

use crate::expected::{Course, End};
use crate::tale::{Tale, Trace};
use crate::world::Base;

/// Kind and finish, as far as an outcome says.
#[derive(Debug, PartialEq)]
enum Fate {
    Success,
    Empty,
    Unsupported,
    Deferred(ErrorKind),
    Failed(ErrorKind),
    Interrupted(ErrorKind),
}

fn fate(course: &Course, handed_out: bool) -> Fate {
    match course.end {
        End::Whole if course.answer.is_empty() => Fate::Empty,
        End::Whole => Fate::Success,
        End::Error(kind) if handed_out => Fate::Interrupted(kind),
        End::Error(kind @ ErrorKind::Unsupported) if course.phase != Phase::Prepare => Fate::Failed(kind),
        End::Error(ErrorKind::Unsupported) => Fate::Unsupported,
        End::Error(kind) if kind.category() == Category::Backpressure => Fate::Deferred(kind),
        End::Error(kind) => Fate::Failed(kind),
    }
}

fn told(outcome: &Outcome) -> Option<Fate> {
    Some(match outcome {
        Outcome::Success(_) => Fate::Success,
        Outcome::Empty { .. } => Fate::Empty,
        Outcome::PreemptedUnsupported(_) => Fate::Unsupported,
        Outcome::DeferredBackpressure(error) => Fate::Deferred(error.kind()),
        Outcome::Failed(error) => Fate::Failed(error.kind()),
        Outcome::Interrupted { error, .. } => Fate::Interrupted(error.kind()),
        _ => return None,
    })
}

/// What an attempt comes to is what its script and its clocks make of it, to the millisecond.
pub(crate) fn attempts_come_to_what_their_scripts_say(tale: &Tale<'_>) {
    for trace in &tale.traces {
        let Some(course) = tale.course(trace) else { continue };
        let attempt = trace.attempt;
        let context = || {
            format!(
                "{attempt:?}\nof {:?}\nshould be {course:?}",
                tale.story.stage.world.members[trace.member]
            )
        };
        if trace.is_cancelled() {
            if tale.call.was_awaited(trace.at) {
                assert!(attempt.latency <= course.at, "it was over before: {}", context());
            }
            continue;
        }
        if !tale.call.was_awaited(trace.at) {
            continue;
        }
        // Who stops at the terminal marker has the whole answer, and does not wait for what may follow: a reader that
        // has had enough, a fan-out that is over, a call that is dropped.
        let read = attempt.handed_out && tale.call.read.end.is_none();
        let over = trace.at == tale.call.over && (!tale.call.is_failover() || tale.call.report().is_none());
        let marker = course.events.iter().find(|(_, event)| matches!(event, StreamEvent::Finish(_)));
        let beaten = tale.hedge().is_some();
        let stopped = (read || over || beaten) && marker.is_some_and(|(at, _)| *at <= attempt.latency);
        assert_eq!(told(&attempt.outcome), Some(fate(&course, attempt.handed_out)), "{}", context());
        if stopped {
            continue;
        }
        assert_eq!(attempt.latency, course.at, "{}", context());
        assert_eq!(attempt.first_token, course.first_token, "{}", context());
        let phase = Some(course.phase).filter(|_| told(&attempt.outcome) != Some(Fate::Unsupported));
        assert_eq!(attempt.phase, phase, "{}", context());
        let usage = course.answer.usage;
        assert_eq!(attempt.usage, (!usage.is_unknown()).then_some(usage), "{}", context());
        match &attempt.outcome {
            Outcome::Success(response) => assert_eq!(response, &course.answer, "{}", context()),
            Outcome::Interrupted { partial, .. } => assert_eq!(partial, &course.answer, "{}", context()),
            Outcome::Empty { finish_reason, .. } => assert_eq!(*finish_reason, course.answer.finish_reason),
            _ => {}
        }
    }
}

/// Whatever the reader's pace: an answer is what the script says, a cut one the beginning of it, and tokens are as the
/// model told them up to then.
pub(crate) fn answers_and_tokens_are_the_models_own(tale: &Tale<'_>) {
    for trace in &tale.traces {
        let attempt = trace.attempt;
        let Some(script) = tale.script(trace) else {
            assert_eq!((attempt.usage, attempt.first_token), (None, None), "it never went out");
            continue;
        };
        let parts = parts(&script);
        if let Some(response) = attempt.response() {
            assert!(parts.contains(response), "{response:?} of {:?}, {}", trace.asked, tale.trail());
            assert!(!response.is_empty());
        }
        if let Some(partial) = attempt.partial() {
            assert!(parts.contains(partial), "{partial:?}");
            assert!(!partial.is_empty() && attempt.handed_out);
        }
        let usage = attempt.usage.unwrap_or_default();
        let told: Vec<Usage> = parts.iter().map(|part| part.usage).collect();
        assert!(told.contains(&usage), "{usage:?} of {told:?}, {}", tale.trail());
    }
}

/// What there may be of an answer at some time.
fn parts(course: &Course) -> Vec<Response> {
    let mut builder = ResponseBuilder::default();
    let mut parts = vec![Response::default()];
    if course.phase == Phase::Response {
        parts.push(course.answer.clone());
    }
    for (_, event) in &course.events {
        builder.absorb(event);
        parts.push(builder.response().clone());
    }
    if course.events.iter().any(|(_, event)| matches!(event, StreamEvent::Finish(_))) {
        parts.push(course.answer.clone());
    }
    parts
}

/// No attempt outlasts its own limit, nor the call's.
pub(crate) fn deadlines_hold(tale: &Tale<'_>) {
    for trace in &tale.traces {
        let attempt = trace.attempt;
        if !tale.call.was_awaited(trace.at) {
            continue;
        }
        let Some((_, asked, _)) = trace.asked else {
            // A call's first attempt begins with the call, whoever has to be asked before it; so do seats.
            let begins_with_the_call = attempt.start.is_zero();
            assert!(attempt.latency.is_zero() || begins_with_the_call, "it waited: {attempt:?}");
            continue;
        };
        // Virtual time stands still while anything can go on, and all limits lie on whole milliseconds: no slack.
        assert!(attempt.latency <= tale.attempt_limit(trace.member), "{attempt:?}");
        if let Some(total) = tale.total() {
            assert!(tale.since(trace.at) <= total, "{attempt:?}");
            let in_time = tale.since(asked) < total || attempt.launch == Launch::Primary || total.is_zero();
            assert!(in_time, "there was no time left: {attempt:?}");
        }
        assert_eq!(trace.at.duration_since(asked), attempt.latency, "{attempt:?}");
    }
    let (Some(report), Some(total)) = (tale.call.report(), tale.total()) else { return };
    if tale.call.was_awaited(tale.call.over) {
        assert!(report.elapsed() <= total, "{:?} of {total:?}", report.elapsed());
        assert_eq!(report.elapsed(), tale.since(tale.call.over));
    }
}

/// Who was passed over never went out, and a reason that is given is one that there can be.
pub(crate) fn who_is_passed_over_never_goes_out(tale: &Tale<'_>) {
    for Trace { attempt, asked, .. } in &tale.traces {
        match &attempt.outcome {
            Outcome::PreemptedOpen { reason, retry_after, .. } => {
                assert_eq!((*asked, attempt.phase), (None, None));
                assert!(matches!(reason, RejectReason::Open | RejectReason::ProbesTaken));
                assert_eq!(retry_after.is_some(), *reason == RejectReason::Open);
            }
            Outcome::PreemptedLimited { .. } => assert_eq!((*asked, attempt.phase), (None, None)),
            Outcome::PreemptedUnsupported(_) => assert_eq!(attempt.phase, None),
            Outcome::Cancelled => assert_eq!(asked.is_some(), attempt.phase.is_some()),
            _ => assert!(attempt.phase.is_some()),
        }
        assert!(!attempt.degraded, "there is no store that could be away");
    }
}

/// Whether a failover may go on after an attempt is the policy's word on its error.
pub(crate) fn the_policy_says_who_may_follow(tale: &Tale<'_>) {
    for trace in &tale.traces {
        let eligible = match &trace.attempt.outcome {
            Outcome::Success(_) | Outcome::Cancelled => false,
            Outcome::Failed(error) => lets_pass(tale, error.kind()),
            Outcome::Interrupted { error, .. } => tale.rules().restart && lets_pass(tale, error.kind()),
            _ => true,
        };
        assert_eq!(trace.attempt.fallback_eligible, eligible, "{}", trace.attempt);
    }
}

pub(crate) fn lets_pass(tale: &Tale<'_>, kind: ErrorKind) -> bool {
    use ErrorKind::{Authentication, ModelNotFound, Other, Permission, Refusal, Timeout};
    let rules = tale.rules();
    let stops = match rules.base {
        Base::Default => kind == Refusal,
        Base::Keel => false,
        Base::Robust => matches!(kind, Authentication | Permission | ModelNotFound | Other),
    };
    let named = rules.stop_on == Some(kind) && kind.category() == Category::Terminal;
    !stops && !named && kind != Timeout(llm_protocol::Clock::Total)
}
