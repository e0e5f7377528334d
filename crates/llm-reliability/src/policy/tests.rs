//! The decision as tables.

use circuit_breaker::{LimitReason, RejectReason};
use llm_protocol::{FinishReason, Response};

use super::*;
use crate::attempt::Launch;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn ended(outcome: Outcome) -> Attempt {
    Attempt {
        model_key: "p:m".into(),
        provider: "p".into(),
        model_id: "m".into(),
        request_id: None,
        ordinal: 0,
        launch: Launch::Primary,
        outcome,
        phase: None,
        start: Duration::ZERO,
        first_token: None,
        latency: Duration::ZERO,
        usage: None,
        cost: None,
        handed_out: false,
        fallback_eligible: true,
        degraded: false,
    }
}

fn failed(kind: ErrorKind) -> Attempt {
    ended(Outcome::Failed(Error::new(kind, "")))
}

#[test]
fn terminal_errors_stop_or_move_on_by_policy() {
    use ErrorKind as K;
    let terminal = [
        (K::Authentication, true),
        (K::Permission, true),
        (K::ModelNotFound, true),
        (K::Other, true),
        (K::Billing, false),
        (K::BadRequest, false),
        (K::TooLarge, false),
        (K::ContextLength, false),
        (K::ContentFilter, false),
        (K::Refusal, false),
        (K::Unsupported, false),
    ];
    for (kind, robust_stops) in terminal {
        assert_eq!(Policy::keel().after(&failed(kind), 0, 0.5), Step::Advance, "{kind:?}");
        let robust = if robust_stops { Step::Stop } else { Step::Advance };
        assert_eq!(Policy::robust().after(&failed(kind), 0, 0.5), robust, "{kind:?}");
        let default = if kind == K::Refusal { Step::Stop } else { Step::Advance };
        assert_eq!(Policy::default().after(&failed(kind), 0, 0.5), default, "{kind:?}");
        assert_eq!(Policy::keel().stop_on(kind).after(&failed(kind), 0, 0.5), Step::Stop, "{kind:?}");
        assert_eq!(Policy::robust().advance_on(kind).after(&failed(kind), 0, 0.5), Step::Advance, "{kind:?}");
    }
}

#[test]
fn everything_else_moves_on_finishes_or_ends() {
    let policy = Policy::robust().stop_on(ErrorKind::Server);
    let cut =
        Outcome::Interrupted { error: Error::new(ErrorKind::Truncated, ""), partial: Response::new("x") };
    for (outcome, step) in [
        (Outcome::Success(Response::new("x")), Step::Finish),
        (Outcome::PreemptedOpen { retry_after: None, reason: RejectReason::Open }, Step::Advance),
        (Outcome::PreemptedLimited { retry_after: None, reason: LimitReason::Rate }, Step::Advance),
        (Outcome::PreemptedUnsupported(Error::unsupported("tools")), Step::Advance),
        (Outcome::DeferredBackpressure(Error::new(ErrorKind::RateLimited, "")), Step::Advance),
        (Outcome::Empty { finish_reason: FinishReason::Stop }, Step::Advance),
        // A transient error moves on even where the user listed it.
        (Outcome::Failed(Error::new(ErrorKind::Server, "")), Step::Advance),
        (Outcome::Failed(Error::timeout(Clock::FirstToken)), Step::Advance),
        (Outcome::Failed(Error::timeout(Clock::Total)), Step::OutOfTime),
        (cut, Step::Stop),
        (Outcome::Cancelled, Step::Stop),
    ] {
        assert_eq!(policy.after(&ended(outcome.clone()), 0, 0.5), step, "{outcome:?}");
    }
}

#[test]
fn a_cut_moves_on_where_that_is_asked_for_and_its_error_would() {
    let cut = |kind| ended(Outcome::Interrupted { error: Error::new(kind, ""), partial: Response::new("x") });
    let policy = Policy::robust().restart_on_cut(true).transient_retries(3).retry_timeouts(true);
    for (kind, step) in [
        (ErrorKind::Truncated, Step::Advance),
        (ErrorKind::Connection, Step::Advance),
        (ErrorKind::Timeout(Clock::Idle), Step::Advance),
        (ErrorKind::Timeout(Clock::Attempt), Step::Advance),
        (ErrorKind::Server, Step::Advance),
        (ErrorKind::RateLimited, Step::Advance),
        (ErrorKind::Protocol, Step::Advance),
        (ErrorKind::Refusal, Step::Advance),
        (ErrorKind::Other, Step::Stop),
        (ErrorKind::Timeout(Clock::Total), Step::Stop),
    ] {
        assert_eq!(policy.after(&cut(kind), 0, 0.5), step, "{kind:?}");
        assert_eq!(policy.clone().restart_on_cut(false).after(&cut(kind), 0, 0.5), Step::Stop, "{kind:?}");
    }
}

#[test]
fn only_transient_errors_are_retried_and_only_so_often() {
    let policy = Policy::default().transient_retries(2);
    for kind in [ErrorKind::Overloaded, ErrorKind::Server, ErrorKind::Connection, ErrorKind::Truncated] {
        assert!(matches!(policy.after(&failed(kind), 1, 0.5), Step::Retry(_)), "{kind:?}");
        assert_eq!(policy.after(&failed(kind), 2, 0.5), Step::Advance, "{kind:?}");
        assert_eq!(Policy::default().after(&failed(kind), 0, 0.5), Step::Advance, "{kind:?}");
    }
    for clock in [Clock::Connect, Clock::FirstToken, Clock::Idle, Clock::Attempt] {
        let timeout = failed(ErrorKind::Timeout(clock));
        assert_eq!(policy.after(&timeout, 0, 0.5), Step::Advance, "{clock:?}");
        let asked = policy.clone().retry_timeouts(true);
        assert!(matches!(asked.after(&timeout, 0, 0.5), Step::Retry(_)), "{clock:?}");
    }
    assert_eq!(policy.after(&failed(ErrorKind::BadRequest), 0, 0.5), Step::Advance);
    let empty = ended(Outcome::Empty { finish_reason: FinishReason::Stop });
    assert_eq!(policy.after(&empty, 0, 0.5), Step::Advance);
}

#[test]
fn the_provider_has_a_say_in_its_own_retries() {
    let policy = Policy::default().transient_retries(1);
    let server = || Error::new(ErrorKind::Server, "");
    let after = |error| policy.after(&ended(Outcome::Failed(error)), 0, 0.0);
    assert_eq!(after(server().with_should_retry(false)), Step::Advance);
    assert_eq!(after(server().with_should_retry(true)), Step::Retry(Duration::ZERO));
    assert_eq!(after(server().with_retry_after(MS(700))), Step::Retry(MS(700)));
    // It may ask for more than anyone here is willing to wait.
    assert_eq!(after(server().with_retry_after(MS(8000))), Step::Retry(MS(8000)));
    assert_eq!(after(server().with_retry_after(MS(8001))), Step::Advance);
    assert_eq!(after(Error::new(ErrorKind::Overloaded, "").with_retry_after(MS(120_000))), Step::Advance);
    let patient = policy.clone().backoff(MS(1), MS(120_000));
    let overloaded = Error::new(ErrorKind::Overloaded, "").with_retry_after(MS(120_000));
    assert_eq!(patient.after(&ended(Outcome::Failed(overloaded)), 0, 0.0), Step::Retry(MS(120_000)));
    let timeout = Error::timeout(Clock::FirstToken).with_retry_after(MS(8001));
    assert_eq!(
        policy.clone().retry_timeouts(true).after(&ended(Outcome::Failed(timeout)), 0, 0.0),
        Step::Advance
    );
    // It never makes a terminal error worth another try.
    assert_eq!(after(Error::new(ErrorKind::BadRequest, "").with_should_retry(true)), Step::Advance);
}

#[test]
fn pauses_double_up_to_their_cap_with_full_jitter() {
    let policy = Policy::default().transient_retries(9).backoff(MS(100), MS(350));
    let pauses =
        |jitter| (0..4).map(|n| policy.after(&failed(ErrorKind::Server), n, jitter)).collect::<Vec<_>>();
    assert_eq!(pauses(1.0), [100, 200, 350, 350].map(|ms| Step::Retry(MS(ms))));
    assert_eq!(pauses(0.5), [50, 100, 175, 175].map(|ms| Step::Retry(MS(ms))));
    assert_eq!(pauses(0.0), [0; 4].map(|ms| Step::Retry(MS(ms))));
    // Nonsense is no reason to panic.
    let longest = Policy::default().transient_retries(1).backoff(Duration::MAX, Duration::MAX);
    assert_eq!(longest.after(&failed(ErrorKind::Server), 0, 1.0), Step::Retry(Duration::MAX));
    assert!(matches!(longest.after(&failed(ErrorKind::Server), 0, f64::NAN), Step::Retry(_)));
    let many = Policy::default().transient_retries(u32::MAX).backoff(Duration::MAX, MS(1));
    assert_eq!(many.after(&failed(ErrorKind::Server), u32::MAX - 1, 1.0), Step::Retry(MS(1)));
}

#[test]
fn backpressure_is_waited_out_only_when_asked_for_and_short() {
    let throttled = |hint: Option<u64>| {
        let error = Error::new(ErrorKind::RateLimited, "");
        ended(Outcome::DeferredBackpressure(match hint {
            Some(ms) => error.with_retry_after(MS(ms)),
            None => error,
        }))
    };
    let plain = Policy::default().transient_retries(1);
    assert_eq!(plain.after(&throttled(Some(10)), 0, 0.0), Step::Advance);
    // Its own limit holds, and not the one for pauses that nobody asked for by name.
    let patient = plain.backoff(MS(1), MS(1)).wait_out_backpressure(MS(500));
    assert_eq!(patient.after(&throttled(Some(500)), 0, 0.0), Step::Retry(MS(500)));
    assert_eq!(patient.after(&throttled(Some(501)), 0, 0.0), Step::Advance);
    assert_eq!(patient.after(&throttled(None), 0, 0.0), Step::Advance);
    let quota = Error::new(ErrorKind::QuotaExhausted, "").with_retry_after(MS(10));
    assert_eq!(patient.after(&ended(Outcome::DeferredBackpressure(quota)), 0, 0.0), Step::Advance);
    let never = Policy::default().wait_out_backpressure(MS(500));
    assert_eq!(never.after(&throttled(Some(10)), 0, 0.0), Step::Advance, "without retries there is no wait");
}
