//! Rates, calls in flight and hints: who is passed over, when it is worth asking again, and what a call costs in the
//! end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use common::{builder, failing, ms, secs, trail};
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, Request, StreamEvent, Usage};
use llm_reliability::circuit_breaker::{
    Cost, InProcessLimiter, LimitReason, Limits, Mode, Percent, Quota, Rate, Rates, RejectReason, Settings,
    State, Window,
};
use llm_reliability::{Attempt, Candidate, Ended, Launch, Outcome, Policy, Report, ResilientClient};

const fn a_minute(amount: u64) -> Rate {
    Rate::per_minute(NonZeroU64::new(amount).unwrap())
}

/// A limiter that allows this under one key, and anything under others.
fn limiting(key: &str, limits: Limits) -> Arc<InProcessLimiter> {
    Arc::new(InProcessLimiter::default().limits_for(key, limits))
}

fn one_in_flight() -> Limits {
    Limits::default().in_flight(NonZeroU32::MIN)
}

/// Why an attempt was not let out by its limiter, and when it would be.
fn limited(attempt: &Attempt) -> Option<(LimitReason, Option<Duration>)> {
    match attempt.outcome {
        Outcome::PreemptedLimited { reason, retry_after, .. } => Some((reason, retry_after)),
        _ => None,
    }
}

fn ends(report: &Report) -> (Ended, Option<Duration>) {
    (report.ended(), report.retry_after())
}

/// A request of so many bytes, that wants so many tokens.
fn request(bytes: usize, max_tokens: u32) -> Request {
    Request::from("x".repeat(bytes)).max_tokens(max_tokens)
}

#[tokio::test(start_paused = true)]
async fn what_a_rate_has_no_room_for_goes_to_the_next_candidate_until_it_has() {
    for (limits, reason) in [
        (Limits::default().requests(a_minute(1)), LimitReason::RequestRate),
        (Limits::default().input_tokens(a_minute(100)), LimitReason::InputTokenRate),
        (Limits::default().output_tokens(a_minute(100)), LimitReason::OutputTokenRate),
    ] {
        let usage = Usage { input_tokens: Some(100), output_tokens: Some(100), ..Usage::default() };
        let first = ScriptedModel::new("p:a").then(Step::answer("ok").usage(usage));
        let client = builder(&[first.clone(), ScriptedModel::new("p:b")])
            .limiter(limiting("p:a", limits))
            .build()
            .unwrap();
        assert_eq!(trail(&client.failover(request(400, 100)).await.unwrap()), ["p:a success @stream"]);

        tokio::time::advance(secs(20)).await;
        let report = client.failover(request(400, 100)).await.unwrap();
        assert_eq!(trail(&report), ["p:a preempted_limited", "p:b success @stream"], "{reason:?}");
        assert_eq!(limited(&report.attempts()[0]), Some((reason, Some(secs(40)))));
        assert!(report.succeeded() && report.degraded());

        tokio::time::advance(secs(40)).await;
        assert_eq!(trail(&client.failover(request(400, 100)).await.unwrap()), ["p:a success @stream"]);
        assert_eq!(first.started(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_out_keeps_his_place_until_his_answer_has_been_read() {
    let client = builder(&[ScriptedModel::new("p:a").then(Step::answer("one two three").paced(secs(1)))])
        .limiter(limiting("p:a", one_in_flight()))
        .build()
        .unwrap();
    for reads_on in [true, false] {
        let mut stream = client.failover_stream("hi").await.unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        let report = client.failover("hi").await.unwrap();
        assert_eq!(ends(&report), (Ended::Unavailable, None), "nobody knows when it ends");
        assert_eq!(limited(&report.attempts()[0]), Some((LimitReason::InFlight, None)));
        if reads_on {
            while let Some(event) = stream.next().await {
                event.unwrap();
            }
        }
        drop(stream);
        assert!(client.failover("hi").await.unwrap().succeeded(), "{reads_on}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_reads_on_and_keeps_his_place_only_as_long_as_a_call_may_take() {
    let model = ScriptedModel::new("p:a").then(Step::answer("one two three"));
    let client = builder(&[model]).limiter(limiting("p:a", one_in_flight())).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    // The limits of an attempt, of the cleanup and of the admission.
    for (wait, is_free) in [(secs(66), false), (secs(2), true)] {
        tokio::time::advance(wait).await;
        assert_eq!(client.failover("hi").await.unwrap().succeeded(), is_free, "{wait:?}");
    }
    while let Some(event) = stream.next().await {
        event.unwrap();
    }
    assert!(stream.into_report().succeeded());
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_not_worth_waiting_for() {
    let small = Limits::default().input_tokens(a_minute(10));
    let down = ScriptedModel::new("p:b").then(failing(ErrorKind::Server));
    let models = [ScriptedModel::new("p:a"), down];
    let alone = builder(&models[..1]).limiter(limiting("p:a", small)).build().unwrap();
    let report = alone.failover(request(400, 1)).await.unwrap();
    assert_eq!(limited(&report.attempts()[0]), Some((LimitReason::NeverFits, None)));
    assert_eq!(ends(&report), (Ended::Exhausted, None));
    assert!(alone.failover(request(40, 1)).await.unwrap().succeeded());

    let client = builder(&models).limiter(limiting("p:a", small)).build().unwrap();
    for _ in 0..3 {
        client.failover(request(400, 1)).await.unwrap();
    }
    let report = client.failover(request(400, 1)).await.unwrap();
    assert_eq!(trail(&report), ["p:a preempted_limited", "p:b preempted_open"]);
    assert_eq!(ends(&report), (Ended::Unavailable, Some(secs(120))), "the other one will be there again");
}

#[tokio::test(start_paused = true)]
async fn when_everyone_is_limited_the_earliest_says_when() {
    let minutes = |n: u64| Rate::new(NonZeroU64::MIN, secs(60 * n));
    let limiter = InProcessLimiter::default()
        .limits_for("p:a", Limits::default().requests(minutes(3)))
        .limits_for("p:b", Limits::default().requests(minutes(1)))
        .limits_for("p:c", Limits::default().requests(minutes(2)));
    let models = ["p:a", "p:b", "p:c"].map(ScriptedModel::new);
    let client = builder(&models).limiter(Arc::new(limiter)).build().unwrap();
    assert_eq!(client.fan_out("hi").await.unwrap().responses().count(), 3);
    tokio::time::advance(secs(10)).await;
    for report in [client.failover("hi").await.unwrap(), client.fan_out("hi").await.unwrap()] {
        assert_eq!(ends(&report), (Ended::Unavailable, Some(secs(50))));
    }
    assert!(models.iter().all(|model| model.started() == 1));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_is_asked_first_and_whom_it_refuses_costs_nothing() {
    let four = Rate::new(NonZeroU64::new(4).unwrap(), secs(86_400));
    let model = ScriptedModel::new("p:a").then_times(3, failing(ErrorKind::Server)).then(Step::answer("ok"));
    let client =
        builder(&[model]).limiter(limiting("p:a", Limits::default().requests(four))).build().unwrap();
    for _ in 0..3 {
        client.failover("hi").await.unwrap();
    }
    let report = client.failover("hi").await.unwrap();
    let Outcome::PreemptedOpen { reason, .. } = report.attempts()[0].outcome else { panic!("{report:?}") };
    assert_eq!((reason, ends(&report)), (RejectReason::Open, (Ended::Unavailable, Some(secs(120)))));
    for _ in 0..20 {
        client.failover("hi").await.unwrap();
    }
    tokio::time::advance(secs(120)).await;
    assert!(client.failover("hi").await.unwrap().succeeded(), "the refused ones took nothing");

    // Both would refuse.
    client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!((limited(&report.attempts()[0]), ends(&report)), (None, (Ended::Unavailable, None)));
    client.set_mode("p:a", Mode::Automatic).await.unwrap();
    let report = client.failover("hi").await.unwrap();
    let (reason, when) = limited(&report.attempts()[0]).unwrap();
    assert_eq!((reason, when), (LimitReason::RequestRate, report.retry_after()));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_the_limiter_refuses_gives_its_slot_back() {
    let half = Rates::failures(Percent::new(50).unwrap(), Window::Calls(NonZeroU32::new(3).unwrap()));
    for settings in [Settings::default(), Settings::default().trip(half)] {
        let limiter = limiting("p:a", one_in_flight());
        let quota = Quota::new(Arc::<InProcessLimiter>::clone(&limiter) as _, "p:a");
        let model =
            ScriptedModel::new("p:a").then_times(3, failing(ErrorKind::Server)).then(Step::answer("ok"));
        let client = builder(&[model]).breaker_settings(settings).limiter(limiter).build().unwrap();
        for _ in 0..3 {
            client.failover("hi").await.unwrap();
        }
        tokio::time::advance(secs(120)).await;
        let taken = quota.admit(Cost::REQUEST).await.unwrap();
        for _ in 0..3 {
            let report = client.failover("hi").await.unwrap();
            assert_eq!(limited(&report.attempts()[0]), Some((LimitReason::InFlight, None)));
            let status = client.status().await[0].1;
            assert_eq!((status.state, status.probes), (State::HalfOpen, 0));
        }
        drop(taken);
        assert!(client.failover("hi").await.unwrap().succeeded());
        assert_eq!(client.status().await[0].1.state, State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_keeps_calls_away_and_the_refusal_says_until_when() {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(7));
    let one = || {
        let script = [Step::error(hinted.clone()), Step::answer("ok")];
        builder(&[script.into_iter().fold(ScriptedModel::new("p:a"), ScriptedModel::then)])
    };
    for client in [one(), one().limiter(limiting("p:a", one_in_flight()))] {
        let client = client.build().unwrap();
        assert_eq!(ends(&client.failover("hi").await.unwrap()), (Ended::Exhausted, Some(secs(7))));
        tokio::time::advance(secs(2)).await;
        let report = client.failover("hi").await.unwrap();
        assert_eq!(limited(&report.attempts()[0]), Some((LimitReason::Deferred, Some(secs(5)))));
        assert_eq!(ends(&report), (Ended::Unavailable, Some(secs(5))));
        tokio::time::advance(secs(5)).await;
        assert!(client.failover("hi").await.unwrap().succeeded());
    }
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_credential_shares_its_limits_and_its_hints() {
    let shared = |model: &ScriptedModel| Candidate::from(model.clone()).quota_key("team");
    let client = |models: &[ScriptedModel; 3], limits| {
        ResilientClient::builder()
            .candidates([shared(&models[0]), shared(&models[1]), Candidate::from(models[2].clone())])
            .limiter(limiting("team", limits))
            .build()
            .unwrap()
    };

    for kind in [ErrorKind::RateLimited, ErrorKind::Overloaded, ErrorKind::BadRequest] {
        let hinted = Step::error(Error::new(kind, "").with_retry_after(secs(7)));
        let models =
            [ScriptedModel::new("p:a").then(hinted), ScriptedModel::new("p:b"), ScriptedModel::new("q:c")];
        let client = client(&models, Limits::default());
        let report = client.failover("hi").await.unwrap();
        let outcomes: Vec<_> = report.attempts().iter().map(|it| it.outcome.as_str()).collect();
        assert_eq!(outcomes[1..], ["preempted_limited", "success"], "{kind:?}");
        assert_eq!(limited(&report.attempts()[1]), Some((LimitReason::Deferred, Some(secs(7)))));
        assert_eq!(client.failover("hi").await.unwrap().attempts().len(), 3);
        assert_eq!((models[0].started(), models[1].started(), models[2].started()), (1, 0, 2));
    }

    // Its circuits are each candidate's own.
    let models = [
        ScriptedModel::new("p:a").then_times(3, failing(ErrorKind::Server)),
        ScriptedModel::new("p:b"),
        ScriptedModel::new("q:c"),
    ];
    let one_a_minute = Limits::default().requests(a_minute(1));
    let client = client(&models, one_a_minute);
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!(
        trail(&report),
        ["p:a failed server @first_token", "p:b preempted_limited", "q:c success @stream"]
    );
    assert_eq!(limited(&report.attempts()[1]), Some((LimitReason::RequestRate, Some(secs(60)))));
    let open: Vec<_> = client.status().await.iter().map(|(key, it)| (key.to_string(), it.failures)).collect();
    assert_eq!(open, [("p:a".to_owned(), 1), ("p:b".to_owned(), 0), ("q:c".to_owned(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_asked_for_again_and_moves_on_where_there_is_no_room() {
    let models = [ScriptedModel::new("p:a").then(failing(ErrorKind::Server)), ScriptedModel::new("p:b")];
    let client = builder(&models)
        .limiter(limiting("p:a", Limits::default().requests(a_minute(1))))
        .policy(Policy::default().transient_retries(2).backoff(Duration::ZERO, Duration::ZERO))
        .build()
        .unwrap();
    let report = client.failover("hi").await.unwrap();
    let expected = ["p:a failed server @first_token", "p:a preempted_limited", "p:b success @stream"];
    assert_eq!(trail(&report), expected);
    assert_eq!(report.attempts()[1].launch, Launch::Retry);
}

/// A hundred at once, and then nothing for as long as a test takes.
fn a_hundred() -> (Arc<InProcessLimiter>, Quota) {
    let rate = Rate::new(NonZeroU64::new(100).unwrap(), secs(86_400));
    let limiter = limiting("p:a", Limits::default().output_tokens(rate));
    let quota = Quota::new(Arc::<InProcessLimiter>::clone(&limiter) as _, "p:a");
    (limiter, quota)
}

/// How many of a hundred tokens there are after a call that had reserved 60 of them.
async fn left_after(step: Step, streamed: bool) -> u64 {
    let (limiter, quota) = a_hundred();
    let client = builder(&[ScriptedModel::new("p:a").then(step)]).limiter(limiter).build().unwrap();
    let call = Request::from("hi").max_tokens(60);
    if streamed {
        let mut stream = client.failover_stream(call).await.unwrap();
        while stream.next().await.is_some() {}
    } else {
        client.failover(call).await.unwrap();
    }
    left(&quota).await
}

/// The largest cost that there is room for. Asking and going away changes nothing.
async fn left(quota: &Quota) -> u64 {
    let mut fits = 0;
    for tokens in 0..=100 {
        if quota.admit(Cost::REQUEST.with_output_tokens(tokens)).await.is_ok() {
            fits = tokens;
        }
    }
    fits
}

#[tokio::test(start_paused = true)]
async fn a_call_costs_what_it_did_cost_and_at_least_what_was_reserved_where_that_is_unknown() {
    let used = |tokens| Usage { output_tokens: Some(tokens), ..Usage::default() };
    let told = |tokens| Step::events([StreamEvent::Text("one".into()), StreamEvent::Usage(used(tokens))]);
    let status = |status| Error::new(ErrorKind::Server, "scripted").with_status(status);
    for (step, left) in [
        (Step::answer("one two"), 98),
        (Step::answer("one two").usage(used(90)), 10),
        (Step::answer("one two").usage(Usage::default()), 40),
        (Step::empty(FinishReason::Length).usage(used(30)), 70),
        (Step::refusal("no").usage(used(5)), 95),
        // What is told before the end is not all of it.
        (told(1), 40),
        (told(80), 20),
        // Who knows how far it got.
        (failing(ErrorKind::Server), 40),
        (failing(ErrorKind::RateLimited), 40),
        (Step::error(status(200)), 40),
        (Step::events([]).then_end(), 40),
        (Step::panic(), 40),
        (Step::stall(), 40),
        // Nothing was written, unless there is a sign of it.
        (Step::error(status(429)), 100),
        (Step::error(status(500)), 100),
        (Step::error(status(400)), 100),
        (Step::events([StreamEvent::Usage(Usage::default())]).then_error(status(529)), 100),
        (Step::events([StreamEvent::Usage(used(1))]).then_error(status(529)), 40),
        (Step::events([StreamEvent::Usage(used(80))]).then_error(status(529)), 20),
        (Step::events([StreamEvent::Reasoning("so".into())]).then_error(status(529)), 40),
        (Step::answer("one two").then_error(status(529)), 40),
        // The provider knows nothing of these.
        (Step::connect_error(Error::new(ErrorKind::Connection, "")), 100),
        (Step::prepare_error(Error::unsupported("seed")), 100),
    ] {
        for streamed in [false, true] {
            assert_eq!(left_after(step.clone(), streamed).await, left, "streamed {streamed}: {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_with_errors_is_asked_on_as_far_as_its_requests_and_input_go() {
    let a_day = |amount| Rate::new(NonZeroU64::new(amount).unwrap(), secs(86_400));
    let output = Limits::default().output_tokens(a_day(100));
    for (limits, expected) in [
        (output, None),
        (output.requests(a_day(2)), Some(LimitReason::RequestRate)),
        (output.input_tokens(a_day(25)), Some(LimitReason::InputTokenRate)),
    ] {
        let refusal = Error::new(ErrorKind::RateLimited, "").with_status(429);
        let client = builder(&[ScriptedModel::new("p:a").then(Step::error(refusal))])
            .limiter(limiting("p:a", limits))
            .build()
            .unwrap();
        for asked in 0..3 {
            let report = client.failover(request(40, 60)).await.unwrap();
            let reason = limited(&report.attempts()[0]).map(|(reason, _)| reason);
            assert_eq!(reason, expected.filter(|_| asked == 2), "{limits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_keeps_its_cost_once_it_was_sent() {
    for (step, after, expected) in [
        (Step::answer("one two").prepared_after(secs(1)), ms(500), 100),
        (Step::answer("one two").connected_after(secs(1)), ms(500), 100),
        (Step::answer("one two").delayed(secs(1)), ms(500), 40),
        (Step::answer("one two").paced(ms(400)), ms(500), 40),
    ] {
        let (limiter, quota) = a_hundred();
        let client = builder(&[ScriptedModel::new("p:a").then(step)]).limiter(limiter).build().unwrap();
        let call = client.failover(Request::from("hi").max_tokens(60));
        assert!(tokio::time::timeout(after, call).await.is_err());
        assert_eq!(left(&quota).await, expected);
    }
    let (limiter, quota) = a_hundred();
    let model = ScriptedModel::new("p:a").then(Step::answer("one two three").paced(ms(10)));
    let client = builder(&[model]).limiter(limiter).build().unwrap();
    let mut stream = client.failover_stream(Request::from("hi").max_tokens(60)).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(left(&quota).await, 40, "while it is read");
    drop(stream);
    assert_eq!(left(&quota).await, 40, "and when nobody reads on");
}

#[tokio::test(start_paused = true)]
async fn input_counts_whole_and_from_a_cache_unless_its_vendor_does_not_count_it() {
    let usage = Usage {
        input_tokens: Some(10),
        cache_read_tokens: Some(50),
        cache_write_tokens: Some(5),
        output_tokens: Some(1),
        ..Usage::default()
    };
    for (reads_count, expected) in [(true, 35), (false, 85)] {
        let limiter = limiting("p:a", Limits::default().input_tokens(a_minute(100)));
        let quota = Quota::new(Arc::<InProcessLimiter>::clone(&limiter) as _, "p:a");
        let model = ScriptedModel::new("p:a").then(Step::answer("ok").usage(usage));
        let client = ResilientClient::builder()
            .candidate(Candidate::from(model).count_cache_reads(reads_count))
            .limiter(limiter)
            .build()
            .unwrap();
        assert!(client.failover("hi").await.unwrap().succeeded());
        for (tokens, fits) in [(expected, true), (expected + 1, false)] {
            let cost = Cost::REQUEST.with_input_tokens(tokens);
            assert_eq!(quota.admit(cost).await.is_ok(), fits, "{reads_count} {tokens}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_switched_off_or_held_closed_is_limited_all_the_same() {
    for mode in [Mode::Disabled, Mode::ForcedClosed] {
        let client = builder(&[ScriptedModel::new("p:a")])
            .limiter(limiting("p:a", Limits::default().requests(a_minute(1))))
            .build()
            .unwrap();
        client.set_mode("p:a", mode).await.unwrap();
        assert!(client.failover("hi").await.unwrap().succeeded());
        assert_eq!(ends(&client.failover("hi").await.unwrap()), (Ended::Unavailable, Some(secs(60))));
    }
}
