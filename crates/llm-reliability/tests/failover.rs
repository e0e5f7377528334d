//! Failover: order, categories, policies, preemption and exhaustion.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;

use common::{Seen, builder, client, failing, ms, secs, text, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, Message, ModelAdapter, Request, Tool, Usage};
use llm_reliability::circuit_breaker::Settings;
use llm_reliability::{
    Call, Candidate, Ended, InputError, Launch, Outcome, Policy, Price, Report, ResilientClient, StreamMode,
    Timeouts,
};

#[tokio::test(start_paused = true)]
async fn the_first_that_answers_wins_and_the_rest_are_not_called() {
    let (a, b) = (ScriptedModel::new("one:a").then(Step::answer("hello there")), ScriptedModel::new("two:b"));
    let report = client(&[a.clone(), b.clone()]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["one:a success @stream"]);
    assert_eq!((report.ended(), report.succeeded(), report.degraded()), (Ended::Answered, true, false));
    assert_eq!(text(&report), "hello there");
    assert_eq!((a.started(), b.started()), (1, 0));
    let attempt = &report.attempts()[0];
    assert_eq!((&*attempt.provider, &*attempt.model_id, attempt.launch), ("one", "a", Launch::Primary));
    assert_eq!(a.calls()[0].request.messages, [Message::user("hi")]);
}

#[tokio::test(start_paused = true)]
async fn lower_priorities_are_asked_first_and_ties_as_listed() {
    let models = ["p:a", "p:b", "p:c", "p:d", "p:e"]
        .map(|key| ScriptedModel::new(key).then(failing(ErrorKind::Server)));
    for (priorities, order) in [
        ([0, 0, 0, 0, 0], "abcde"),
        ([2, 1, 0, -1, -2], "edcba"),
        ([1, 0, 1, 0, 1], "bdace"),
        ([0, i32::MAX, 0, i32::MIN, 0], "daceb"),
    ] {
        let candidates = models.iter().cloned().zip(priorities);
        let candidates = candidates.map(|(model, priority)| Candidate::from(model).priority(priority));
        let settings = Settings::default().failure_threshold(NonZeroU32::MAX);
        let client =
            ResilientClient::builder().candidates(candidates).breaker_settings(settings).build().unwrap();
        let names =
            |report: &Report| report.attempts().iter().map(|attempt| &*attempt.model_id).collect::<String>();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(names(&report), order, "{priorities:?}");
        let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
        assert_eq!(launches[..2], [Launch::Primary, Launch::Failover]);
        assert_eq!(names(&client.failover_stream("hi").await.unwrap().into_report()), order);
        // All else keeps to the list.
        assert_eq!(names(&client.fan_out("hi").await.unwrap()), "abcde");
        assert!(client.candidates().map(Candidate::key).eq(models.iter().map(ModelAdapter::key)));
        assert!(
            client.status().await.iter().map(|(key, _)| &**key).eq(client.candidates().map(Candidate::key))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_category_moves_on_visibly() {
    let models = [
        ScriptedModel::new("p:throttled").then(failing(ErrorKind::RateLimited)),
        ScriptedModel::new("p:overloaded").then(failing(ErrorKind::Overloaded)),
        ScriptedModel::new("p:unauthorized").then(failing(ErrorKind::Authentication)),
        ScriptedModel::new("p:empty").then(Step::empty(FinishReason::Stop)),
        ScriptedModel::new("p:cut").then(Step::answer("half an").then_end()),
        ScriptedModel::new("p:panics").then(Step::panic()),
        ScriptedModel::new("p:panics-later").then(Step::answer("x").then_panic()),
        ScriptedModel::new("p:good").then(Step::answer("yes")),
        ScriptedModel::new("p:unused"),
    ];
    let report = client(&models).failover("hi").await.unwrap();
    assert_eq!(
        trail(&report),
        [
            "p:throttled deferred_backpressure rate_limited @first_token",
            "p:overloaded failed overloaded @first_token",
            "p:unauthorized failed authentication @first_token",
            "p:empty empty @stream",
            "p:cut failed truncated @stream",
            "p:panics failed other @first_token",
            "p:panics-later failed other @stream",
            "p:good success @stream",
        ]
    );
    assert!(report.degraded() && report.succeeded());
    assert_eq!(text(&report), "yes");
    let ordinals: Vec<_> = report.attempts().iter().map(|attempt| attempt.ordinal).collect();
    assert_eq!(ordinals, (0..8).collect::<Vec<_>>());
    assert!(report.attempts()[1..].iter().all(|attempt| attempt.launch == Launch::Failover));
    assert!(report.attempts()[..7].iter().all(|attempt| attempt.fallback_eligible));
    assert!(!report.attempts()[7].fallback_eligible);
    let received: Vec<_> = models.iter().map(ScriptedModel::started).collect();
    assert_eq!(received, [1, 1, 1, 1, 1, 1, 1, 1, 0]);
    assert!(
        report.attempts().iter().all(|attempt| attempt
            .error()
            .is_none_or(|error| error.model_key() == Some(&*attempt.model_key)))
    );
}

#[tokio::test(start_paused = true)]
async fn that_nobody_answers_is_a_value_and_an_error_for_those_who_want_one() {
    let models = [
        ScriptedModel::new("p:a").then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:b").then(failing(ErrorKind::RateLimited)),
    ];
    let report = client(&models).failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.succeeded(), report.retry_after()), (Ended::Exhausted, false, None));
    let error = report.into_result().unwrap_err();
    assert_eq!(error.ended(), Ended::Exhausted);
    assert_eq!(
        error.to_string(),
        "no candidate answered (p:a: failed, server; p:b: deferred_backpressure, rate_limited)"
    );
    assert_eq!(error.into_report().attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn policies_decide_what_stops() {
    let run = async |kind, policy: Policy| {
        let models = [ScriptedModel::new("p:a").then(failing(kind)), ScriptedModel::new("p:b")];
        let report = builder(&models).policy(policy).build().unwrap().failover("hi").await.unwrap();
        (report.ended(), models[1].started(), report.attempts()[0].fallback_eligible)
    };
    let (stopped, went_on) = ((Ended::Stopped, 0, false), (Ended::Answered, 1, true));
    assert_eq!(run(ErrorKind::Authentication, Policy::default()).await, went_on);
    assert_eq!(run(ErrorKind::Authentication, Policy::robust()).await, stopped);
    assert_eq!(run(ErrorKind::Other, Policy::robust()).await, stopped);
    assert_eq!(run(ErrorKind::ContentFilter, Policy::default()).await, went_on);
    assert_eq!(run(ErrorKind::Refusal, Policy::default()).await, stopped);
    assert_eq!(run(ErrorKind::Refusal, Policy::keel()).await, went_on);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_have_a_policy_of_its_own() {
    let models = [ScriptedModel::new("p:a").then(failing(ErrorKind::BadRequest)), ScriptedModel::new("p:b")];
    let call = Call::new("hi").policy(Policy::keel().stop_on(ErrorKind::BadRequest));
    let report = client(&models).failover(call).await.unwrap();
    assert_eq!(report.ended(), Ended::Stopped);
    assert!(!report.attempts()[0].fallback_eligible, "by the call's own policy");
    assert_eq!(models[1].started(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_model_declines_is_not_taken_to_another_unless_asked() {
    let refusing = || ScriptedModel::new("p:a").then(Step::refusal("I would rather not."));
    let other = ScriptedModel::new("p:b");
    let report = client(&[refusing(), other.clone()]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed refusal @stream"]);
    assert_eq!((report.ended(), other.started()), (Ended::Stopped, 0));

    let filtered = ScriptedModel::new("p:c").then(Step::empty(FinishReason::ContentFilter));
    let report = client(&[filtered, other]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:c failed content_filter @stream", "p:b success @stream"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_counts_unless_the_budget_ran_out() {
    for (reason, opened) in [
        (FinishReason::Stop, true),
        (FinishReason::Unknown, true),
        (FinishReason::Length, false),
        (FinishReason::ContentFilter, false),
    ] {
        let client = client(&[ScriptedModel::new("p:a").then(Step::empty(reason))]);
        for _ in 0..3 {
            client.failover("hi").await.unwrap();
        }
        let report = client.failover("hi").await.unwrap();
        assert_eq!(
            matches!(report.attempts()[0].outcome, Outcome::PreemptedOpen { .. }),
            opened,
            "{reason:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_passed_over_and_says_when_it_closes() {
    let a = ScriptedModel::new("p:a").then(failing(ErrorKind::Overloaded));
    let client = client(&[a.clone()]);
    for _ in 0..3 {
        assert_eq!(client.failover("hi").await.unwrap().ended(), Ended::Exhausted);
    }
    tokio::time::advance(secs(20)).await;
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a preempted_open"]);
    assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, Some(secs(100))));
    assert_eq!(a.started(), 3);
    // The cooldown passes, one probe goes out, and it is the one that fails.
    tokio::time::advance(secs(100)).await;
    assert_eq!(trail(&client.failover("hi").await.unwrap()), ["p:a failed overloaded @first_token"]);
    assert_eq!(trail(&client.failover("hi").await.unwrap()), ["p:a preempted_open"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_request_brought_about_never_opens_a_circuit_but_a_wrong_key_does() {
    for (kind, opens) in [
        (ErrorKind::RateLimited, false),
        (ErrorKind::QuotaExhausted, false),
        (ErrorKind::BadRequest, false),
        (ErrorKind::ContextLength, false),
        (ErrorKind::ContentFilter, false),
        (ErrorKind::Authentication, true),
        (ErrorKind::Billing, true),
        (ErrorKind::ModelNotFound, true),
        (ErrorKind::Truncated, true),
    ] {
        let client = client(&[ScriptedModel::new("p:a").then(failing(kind))]);
        for _ in 0..4 {
            client.failover("hi").await.unwrap();
        }
        let (_, status) = client.status().await.remove(0);
        assert_eq!(status.state != llm_reliability::circuit_breaker::State::Closed, opens, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_keeps_the_next_call_away_until_it_has_passed() {
    for kind in [ErrorKind::RateLimited, ErrorKind::Server] {
        let hinted = Error::new(kind, "").with_retry_after(secs(30));
        let a = ScriptedModel::new("p:a").then(Step::error(hinted)).then(Step::answer("back"));
        let client = client(&[a.clone(), ScriptedModel::new("p:b")]);
        client.failover("hi").await.unwrap();
        tokio::time::advance(secs(10)).await;
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), ["p:a preempted_limited", "p:b success @stream"]);
        assert_eq!(report.attempts()[0].retry_after(), Some(secs(20)));
        tokio::time::advance(secs(20)).await;
        assert_eq!(text(&client.failover("hi").await.unwrap()), "back");
        assert_eq!(a.started(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_is_left_alone_for_five_minutes() {
    let a = ScriptedModel::new("p:a").then(failing(ErrorKind::QuotaExhausted));
    let client = client(&[a.clone()]);
    client.failover("hi").await.unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, Some(secs(300))));
}

#[tokio::test(start_paused = true)]
async fn everyone_throttled_says_when_to_come_back() {
    let throttled = |key, hint| {
        let error = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(hint));
        ScriptedModel::new(key).then(Step::error(error))
    };
    let client = client(&[throttled("p:a", 40), throttled("p:b", 7)]);
    let report = client.failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.retry_after()), (Ended::Exhausted, Some(secs(7))));
    let report = client.failover("hi").await.unwrap();
    assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, Some(secs(7))));
    // As soon as anyone has failed for another reason, waiting is no way out.
    let hinted = Error::new(ErrorKind::Server, "").with_retry_after(secs(3));
    let mixed = common::client(&[throttled("p:a", 40), ScriptedModel::new("p:b").then(Step::error(hinted))]);
    assert_eq!(mixed.failover("hi").await.unwrap().retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_carry_the_request_is_passed_over_before_anything_is_sent() {
    let (plain, able) = (ScriptedModel::new("p:plain"), ScriptedModel::new("p:able").with_tools());
    let seen = Seen::default();
    let client = builder(&[plain.clone(), able]).observer(seen.clone()).build().unwrap();
    let request = Request::from("hi").tool(Tool::new("now", serde_json::json!({"type": "object"})));
    let report = client.failover(request).await.unwrap();
    assert_eq!(trail(&report), ["p:plain preempted_unsupported unsupported", "p:able success @stream"]);
    assert!(report.attempts()[0].error().unwrap().message().contains("tools"));
    assert_eq!(plain.started(), 0);
    assert_eq!(seen.take(), trail(&report));
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_it_is_sent_moves_on_and_says_so() {
    let connection = Error::new(ErrorKind::Connection, "refused");
    let models = [
        ScriptedModel::new("p:key")
            .then(Step::prepare_error(Error::new(ErrorKind::Authentication, "no key"))),
        ScriptedModel::new("p:seed").then(Step::prepare_error(Error::unsupported("seed"))),
        ScriptedModel::new("p:host").then(Step::connect_error(connection)),
        ScriptedModel::new("p:good"),
    ];
    let report = client(&models).failover("hi").await.unwrap();
    assert_eq!(
        trail(&report),
        [
            "p:key failed authentication @prepare",
            "p:seed preempted_unsupported unsupported",
            "p:host failed connection @connect",
            "p:good success @stream",
        ]
    );
    assert!(models[..3].iter().all(|model| model.started() == 0));
}

#[tokio::test(start_paused = true)]
async fn transient_errors_are_retried_when_asked_for_and_every_try_is_visible() {
    let a = ScriptedModel::new("p:a")
        .then_times(2, failing(ErrorKind::Overloaded))
        .then(Step::answer("third time"));
    let policy = Policy::default().transient_retries(2).backoff(ms(100), secs(1));
    let report = builder(&[a.clone()]).policy(policy).build().unwrap().failover("hi").await.unwrap();
    let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
    assert_eq!(launches, [Launch::Primary, Launch::Retry, Launch::Retry]);
    assert_eq!(text(&report), "third time");
    assert_eq!(a.started(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_hint_and_ends_where_the_circuit_opens() {
    let hinted = Error::new(ErrorKind::Server, "").with_retry_after(secs(3));
    let a = ScriptedModel::new("p:a").then(Step::error(hinted)).then(Step::answer("ok"));
    let client = builder(&[a]).policy(Policy::default().transient_retries(1)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @first_token", "p:a success @stream"]);
    assert!(report.attempts()[1].start >= secs(3), "{:?}", report.attempts()[1].start);

    // Three failures open the circuit, so there is no third retry.
    let b = ScriptedModel::new("p:b").then(failing(ErrorKind::Server));
    let client = builder(&[b.clone()]).policy(Policy::default().transient_retries(5)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!((b.started(), report.attempts().len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_does_not_fit_the_deadline_is_not_waited_for() {
    let hinted = Error::new(ErrorKind::Server, "").with_retry_after(secs(30));
    let models = [ScriptedModel::new("p:a").then(Step::error(hinted)), ScriptedModel::new("p:b")];
    let client = builder(&models).policy(Policy::default().transient_retries(1)).build().unwrap();
    let call = Call::new("hi").timeouts(Timeouts::new().total(secs(10)));
    let report = client.failover(call).await.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @first_token", "p:b success @stream"]);
    assert!(report.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_streamed_have_a_phase_of_their_own() {
    let never = Candidate::from(ScriptedModel::new("p:never").then(failing(ErrorKind::Server)))
        .stream(StreamMode::Never);
    let cannot = ScriptedModel::new("p:cannot").without_streaming().then(Step::answer("whole"));
    let client = ResilientClient::builder().candidate(never).candidate(cannot.clone()).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:never failed server @response", "p:cannot success @response"]);
    assert_eq!(text(&report), "whole");
    assert_eq!(report.attempts()[1].first_token, None);
    assert!(!cannot.calls()[0].streamed);
}

#[tokio::test(start_paused = true)]
async fn usage_and_cost_are_counted_for_every_attempt_that_told() {
    let usage =
        |output| Usage { input_tokens: Some(1_000_000), output_tokens: Some(output), ..Usage::default() };
    let priced = |model: ScriptedModel| {
        Candidate::from(model).price(Price::new("USD", "0.80".parse().unwrap(), "4.00".parse().unwrap()))
    };
    let a = ScriptedModel::new("p:a").then(Step::empty(FinishReason::Stop).usage(usage(0)));
    let b = ScriptedModel::new("p:b").then(Step::answer("x").usage(usage(500_000)));
    let client = ResilientClient::builder().candidate(priced(a)).candidate(priced(b)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(report.usage().total(), Some(2_500_000));
    assert_eq!(report.cost()[0].total.to_string(), "3.6");
    assert_eq!(report.attempts()[0].cost.as_ref().unwrap().total.to_string(), "0.8");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_quotes_the_prompt_does_not_bring_it_into_the_report() {
    let quoting = Error::new(ErrorKind::BadRequest, "not allowed: 'my secret marmalade recipe', sorry");
    let report = client(&[ScriptedModel::new("p:a").then(Step::error(quoting))])
        .failover("Here is my secret marmalade recipe: boil it.")
        .await
        .unwrap();
    assert_eq!(report.attempts()[0].error().unwrap().message(), "not allowed: […] sorry");
    let shown = format!("{report:?}{}", serde_json::to_string(&report).unwrap());
    assert!(!shown.contains("marmalade"));
}

#[tokio::test(start_paused = true)]
async fn wrong_input_asks_nobody() {
    assert_eq!(ResilientClient::builder().build().unwrap_err(), InputError::NoCandidates);
    let twice = [ScriptedModel::new("p:a"), ScriptedModel::new("p:a")];
    assert_eq!(builder(&twice).build().unwrap_err(), InputError::DuplicateId("p:a".into()));
    let a = ScriptedModel::new("p:a");
    let client = client(&[a.clone()]);
    for empty in [Request::default(), Request::from(" \n"), Request::new([])] {
        assert_eq!(client.failover(empty.clone()).await.unwrap_err(), InputError::EmptyRequest);
        assert_eq!(client.failover_stream(empty.clone()).await.unwrap_err(), InputError::EmptyRequest);
        assert_eq!(client.fan_out(empty).await.unwrap_err(), InputError::EmptyRequest);
    }
    assert_eq!(a.started(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_changes_nothing() {
    let observer = |_: &llm_reliability::Attempt| panic!("telemetry is down");
    let client =
        builder(&[ScriptedModel::new("p:a").then(failing(ErrorKind::Server)), ScriptedModel::new("p:b")])
            .observer(observer)
            .build()
            .unwrap();
    assert!(client.failover("hi").await.unwrap().succeeded());
}
