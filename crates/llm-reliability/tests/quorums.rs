//! How many answers are enough, who is waited for then, and what is left of those who are not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::fan_out::{after, answers, ask, ask_with, fails_after, silent};
use common::{builder, client, failing, ms, secs, trail};
use llm_protocol::testing::{Ending, ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, ModelAdapter, StreamEvent};
use llm_reliability::QuorumPolicy::{All, AtLeast, First, Majority};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Mode, RejectReason, Rejection, Settlement, State, Status, async_trait,
};
use llm_reliability::{Call, Ended, FanOut, Outcome, Report, Timeouts};

/// After 1, 2, 3 and 30 seconds, and never.
fn five() -> [ScriptedModel; 5] {
    [
        after("p:1", secs(1)),
        after("p:2", secs(2)),
        after("p:3", secs(3)),
        after("p:30", secs(30)),
        silent("p:never"),
    ]
}

/// How many seats were given up.
fn cancelled(report: &Report) -> usize {
    report.attempts().iter().filter(|attempt| matches!(attempt.outcome, Outcome::Cancelled)).count()
}

#[tokio::test(start_paused = true)]
async fn three_of_five_and_half_a_second_for_the_rest() {
    let models = five();
    let client = builder(&models).fan_out(FanOut::new(AtLeast(3)).grace(ms(500))).build().unwrap();
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!(report.elapsed(), ms(3500));
    assert_eq!(
        trail(&report),
        [
            "p:1 success @stream",
            "p:2 success @stream",
            "p:3 success @stream",
            "p:30 cancelled @first_token",
            "p:never cancelled @first_token",
        ]
    );
    assert_eq!(answers(&report), ["p:1", "p:2", "p:3"]);
    assert_eq!((report.ended(), report.succeeded(), report.degraded()), (Ended::QuorumMet, true, false));
    let quorum = report.quorum().unwrap();
    assert_eq!((quorum.policy, quorum.required, quorum.seats, quorum.answered), (AtLeast(3), 3, 5, 3));
    assert!(quorum.is_met());
    for (at, attempt) in report.attempts().iter().enumerate() {
        assert_eq!((attempt.start, attempt.ordinal as usize), (Duration::ZERO, at));
        assert_eq!(attempt.latency, [secs(1), secs(2), secs(3), ms(3500), ms(3500)][at]);
    }
    assert_eq!(report.usage().output_tokens, Some(3), "a word each");
    for model in &models[3..] {
        assert_eq!((model.open(), model.started()), (0, 1));
        assert_eq!(model.calls()[0].ending, Ending::Dropped, "its request has ended");
    }
    for (key, status) in client.status().await {
        assert_eq!((status.state, status.failures), (State::Closed, 0), "{key}");
    }
    assert_eq!(report.into_result().unwrap().text, "p:1");
}

#[tokio::test(start_paused = true)]
async fn the_grace_begins_with_the_quorum_and_ends_with_the_last_straggler() {
    let failing = fails_after("p:fails", ms(3400));
    let rows = [
        // Who is there, the grace, how long it takes, who has answered.
        (after("p:late", ms(3499)), ms(500), ms(3499), 4, false),
        (after("p:late", ms(3501)), ms(500), ms(3500), 3, false),
        (after("p:late", ms(3400)), Duration::MAX, ms(3400), 4, false),
        (after("p:late", ms(3400)), Duration::ZERO, secs(3), 3, false),
        (failing.clone(), ms(500), ms(3400), 3, true),
        (failing, ms(300), ms(3300), 3, false),
    ];
    for (straggler, grace, elapsed, answered, degraded) in rows {
        let [one, two, three, ..] = five();
        let models = [one, two, three, straggler];
        let report = ask(&models, FanOut::new(AtLeast(3)).grace(grace)).await;
        assert_eq!(report.elapsed(), elapsed, "{:?}", trail(&report));
        assert_eq!((report.ended(), report.degraded()), (Ended::QuorumMet, degraded));
        assert_eq!((report.quorum().unwrap().answered, answers(&report).len()), (answered, answered));
    }
    // A straggler that makes it in time gives the others none.
    let models =
        [after("p:a", secs(1)), after("p:b", ms(1400)), after("p:c", ms(1800)), after("p:d", secs(9))];
    let report = ask(&models, FanOut::new(First).grace(ms(500))).await;
    assert_eq!((report.elapsed(), answers(&report).len()), (ms(1500), 2));
}

#[tokio::test(start_paused = true)]
async fn so_many_are_enough() {
    let seats = |n: u64| -> Vec<_> { (1..=n).map(|at| after(&format!("p:{at}"), secs(at))).collect() };
    let table = [
        // Policy, seats, how many of them are waited for.
        (First, 5, 1),
        (AtLeast(1), 5, 1),
        (AtLeast(2), 5, 2),
        (AtLeast(5), 5, 5),
        (Majority, 5, 3),
        (Majority, 4, 3),
        (Majority, 2, 2),
        (Majority, 1, 1),
        (All, 5, 5),
    ];
    for (policy, n, waited) in table {
        let report = ask(&seats(n), FanOut::new(policy)).await;
        assert_eq!(report.elapsed(), secs(waited), "{policy:?} of {n}");
        assert_eq!(answers(&report).len() as u64, waited, "{policy:?} of {n}");
        assert_eq!(cancelled(&report) as u64, n - waited);
        assert_eq!((report.ended(), report.degraded()), (Ended::QuorumMet, false));
        assert_eq!(report.quorum().unwrap().seats as u64, n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_no_answer_and_any_will_do_for_all() {
    let models = [fails_after("p:a", ms(1)), after("p:b", secs(2)), after("p:c", secs(3))];
    for (policy, elapsed, answered) in
        [(First, secs(2), 1), (AtLeast(2), secs(3), 2), (Majority, secs(3), 2), (All, secs(3), 2)]
    {
        let report = ask(&models, FanOut::new(policy).grace(ms(1))).await;
        let grace = if policy == First { ms(1) } else { ms(0) };
        assert_eq!((report.elapsed(), answers(&report).len()), (elapsed + grace, answered), "{policy:?}");
        assert_eq!((report.ended(), report.degraded()), (Ended::QuorumMet, true));
    }
    let report = ask(&[silent("p:a"), after("p:b", secs(2))], FanOut::new(All).grace(ms(1))).await;
    assert_eq!(report.elapsed(), secs(15), "it ends with the last, whatever the grace");
}

#[tokio::test(start_paused = true)]
async fn the_cutoff_is_the_end_whoever_has_answered() {
    let long = Timeouts::new().first_token(secs(100)).attempt(secs(100));
    let table = [
        // Policy, grace, cutoff, how long it takes, how many answer, whether that is enough.
        (All, ms(0), secs(10), secs(10), 3, true),
        (All, ms(0), ms(2500), ms(2500), 2, true),
        (All, ms(0), ms(500), ms(500), 0, false),
        (All, ms(0), Duration::MAX, secs(100), 4, true),
        (AtLeast(3), ms(0), ms(2500), ms(2500), 2, false),
        (AtLeast(3), ms(0), secs(10), secs(3), 3, true),
        (AtLeast(3), ms(500), ms(3200), ms(3200), 3, true),
        (AtLeast(3), ms(500), ms(3700), ms(3500), 3, true),
        (AtLeast(3), ms(500), ms(2999), ms(2999), 2, false),
        (AtLeast(4), secs(60), secs(31), secs(31), 4, true),
        (Majority, ms(0), ms(1500), ms(1500), 1, false),
        (First, ms(0), ms(999), ms(999), 0, false),
        (First, secs(5), ms(2001), ms(2001), 2, true),
        (First, ms(0), ms(0), ms(0), 0, false),
        (All, ms(0), ms(0), ms(0), 0, false),
    ];
    for (policy, grace, cutoff, elapsed, answered, met) in table {
        let models = five();
        let rules = FanOut::new(policy).grace(grace).cutoff(cutoff);
        let report = ask_with(&models, builder(&models).fan_out(rules.clone()).timeouts(long), "hi").await;
        let shown = format!("{rules:?}: {:?}", trail(&report));
        assert_eq!(report.elapsed(), elapsed, "{shown}");
        assert_eq!(answers(&report).len(), answered, "{shown}");
        let ended = if met { Ended::QuorumMet } else { Ended::QuorumNotMet };
        assert_eq!((report.ended(), report.succeeded()), (ended, met), "{shown}");
        let outlasted = cutoff == Duration::MAX;
        assert_eq!(cancelled(&report), if outlasted { 0 } else { 5 - answered }, "{shown}");
        assert_eq!(report.degraded(), outlasted, "who is given up did not fail: {shown}");
        assert_eq!(report.retry_after(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_whole_at_the_cutoff_is_one() {
    // The terminal marker has come; what may follow it is waited for.
    let finished = [StreamEvent::Text("whole".into()), StreamEvent::Finish(FinishReason::Stop)];
    let whole = ScriptedModel::new("p:whole").then(Step::events(finished).then_stall().delayed(secs(1)));
    let half = ScriptedModel::new("p:half").then(Step::answer("half").then_stall());
    for policy in [All, First, AtLeast(1)] {
        let models = [half.clone(), whole.clone()];
        let report = ask(&models, FanOut::new(policy).cutoff(ms(1200))).await;
        assert_eq!(trail(&report), ["p:half cancelled @stream", "p:whole success @stream"], "{policy:?}");
        assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, ms(1200)));
        assert_eq!(report.quorum().unwrap().answered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_of_the_call_fails_the_attempts_and_the_cutoff_gives_them_up() {
    let table = [
        (Some(secs(5)), Some(secs(2)), secs(2), "failed timeout/total", true),
        (Some(secs(2)), Some(secs(5)), secs(2), "cancelled", false),
        (None, Some(secs(2)), secs(2), "failed timeout/total", true),
        (None, None, secs(15), "failed timeout/first_token", true),
    ];
    for (cutoff, total, elapsed, outcome, degraded) in table {
        let models = [after("p:a", secs(1)), silent("p:b")];
        let rules = FanOut::default();
        let rules = cutoff.map_or(rules.clone(), |cutoff| rules.cutoff(cutoff));
        let timeouts = total.map_or(Timeouts::new(), |total| Timeouts::new().total(total));
        let client = builder(&models).fan_out(rules).build().unwrap();
        let report = client.fan_out(Call::new("hi").timeouts(timeouts)).await.unwrap();
        assert_eq!(
            trail(&report),
            ["p:a success @stream".to_owned(), format!("p:b {outcome} @first_token")],
            "{cutoff:?} {total:?}"
        );
        assert_eq!(
            (report.ended(), report.elapsed(), report.degraded()),
            (Ended::QuorumMet, elapsed, degraded)
        );
        let failures = u32::from(total.is_none());
        assert_eq!(client.status().await[1].1.failures, failures, "only its own clock counts");
        assert_eq!(models[1].open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_quorum_cannot_come_any_more() {
    let (f, a, s) = (fails_after, after, silent("p:c"));
    let table = [
        // Policy, seats, when it is decided, how many still ran.
        (AtLeast(2), vec![f("p:a", secs(1)), f("p:b", secs(2)), s.clone()], secs(2), 1),
        (AtLeast(3), vec![f("p:a", secs(1)), a("p:b", secs(2)), s.clone()], secs(1), 2),
        (Majority, vec![f("p:a", secs(1)), f("p:b", secs(2)), s.clone()], secs(2), 1),
        (Majority, vec![f("p:a", secs(1)), s.clone()], secs(1), 1),
        (Majority, vec![f("p:a", secs(1)), a("p:b", secs(2)), f("p:d", secs(3)), s.clone()], secs(3), 1),
        (First, vec![f("p:a", secs(1)), f("p:b", secs(2)), s.clone()], secs(15), 0),
        (AtLeast(1), vec![f("p:a", secs(1)), s.clone()], secs(15), 0),
        (All, vec![f("p:a", secs(1)), f("p:b", secs(2)), s.clone()], secs(15), 0),
    ];
    for (policy, models, elapsed, ran) in table {
        let report = ask(&models, FanOut::new(policy).grace(secs(60)).cutoff(secs(60))).await;
        let shown = format!("{policy:?}: {:?}", trail(&report));
        assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumNotMet, elapsed), "{shown}");
        assert_eq!(cancelled(&report), ran, "{shown}");
        assert!(!report.succeeded() && report.degraded() && report.into_result().is_err());
    }
    // What came before is kept, though it was too little.
    let models = [a("p:a", secs(1)), f("p:b", secs(2)), s];
    let report = ask(&models, FanOut::new(AtLeast(3))).await;
    assert_eq!((answers(&report), report.elapsed()), (vec!["p:a"], secs(2)));
    assert_eq!(report.into_result().unwrap_err().report().responses().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn seats_that_were_passed_over_count_as_seats() {
    let models = [after("p:a", secs(1)), silent("p:b"), after("p:c", secs(1))];
    for (shut, policy, ended, elapsed) in [
        (vec!["p:b"], Majority, Ended::QuorumMet, secs(1)),
        (vec!["p:b"], AtLeast(3), Ended::QuorumNotMet, secs(0)),
        (vec!["p:b", "p:c"], Majority, Ended::QuorumNotMet, secs(0)),
        (vec!["p:a", "p:b"], Majority, Ended::QuorumNotMet, secs(0)),
        (vec!["p:b", "p:c"], First, Ended::QuorumMet, secs(1)),
        (vec!["p:b", "p:c"], All, Ended::QuorumMet, secs(1)),
    ] {
        let client = builder(&models).fan_out(FanOut::new(policy)).build().unwrap();
        for key in &shut {
            client.set_mode(key, Mode::ForcedOpen).await.unwrap();
        }
        let report = client.fan_out("hi").await.unwrap();
        let shown = format!("{policy:?}: {:?}", trail(&report));
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed), "{shown}");
        assert_eq!(report.quorum().unwrap().seats, 3, "{shown}");
        assert!(report.degraded() && models.iter().all(|model| model.open() == 0), "{shown}");
        // Whoever else was asked by then has been given up.
        let kept = report.succeeded();
        assert_eq!(cancelled(&report), if kept { 0 } else { 3 - shut.len() }, "{shown}");
    }
    assert_eq!(models[1].started(), 0);
}

#[tokio::test(start_paused = true)]
async fn everyone_unavailable_is_that_whatever_the_quorum() {
    let hinted = |delay| Step::error(Error::new(ErrorKind::RateLimited, "").with_retry_after(delay));
    let models = [("p:a", 30), ("p:b", 20), ("p:c", 40)]
        .map(|(name, delay)| ScriptedModel::new(name).then(hinted(secs(delay))));
    let client = client(&models);
    client.fan_out("hi").await.unwrap();
    for policy in [All, First, AtLeast(2), AtLeast(3), Majority] {
        let report = client.fan_out(Call::new("hi").fan_out(FanOut::new(policy))).await.unwrap();
        assert_eq!(report.ended(), Ended::Unavailable, "{policy:?}: {:?}", trail(&report));
        assert_eq!(report.retry_after(), Some(secs(20)), "{policy:?}");
        assert_eq!(
            trail(&report),
            models.each_ref().map(|model| format!("{} preempted_limited", model.key()))
        );
    }
    assert!(models.iter().all(|model| model.started() == 1));
}

/// A breaker that lets nobody through.
struct Refusing(RejectReason);

#[async_trait]
impl Breaker for Refusing {
    async fn acquire(&self, key: &str, _: &Ask) -> Result<Admission, Rejection> {
        let reason = if key == "p:open" { RejectReason::Open } else { self.0 };
        Err(Rejection::new(reason).with_retry_after(secs(7)))
    }

    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {}

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_there_is_told_from_circuits_that_are_open() {
    for policy in [All, First, AtLeast(2), Majority] {
        for (last, ended) in [("p:b", Ended::StoreUnavailable), ("p:open", Ended::Unavailable)] {
            let models = [ScriptedModel::new("p:a"), ScriptedModel::new(last)];
            let client = builder(&models).breaker(Arc::new(Refusing(RejectReason::StoreUnavailable)));
            let report = client.fan_out(FanOut::new(policy)).build().unwrap().fan_out("hi").await.unwrap();
            assert_eq!(report.ended(), ended, "{policy:?}: {:?}", trail(&report));
            assert_eq!(report.attempts()[0].to_string(), "p:a preempted_open");
            assert!(report.attempts()[0].degraded && report.degraded());
            assert!(models.iter().all(|model| model.invoked() == 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn degraded_is_what_failed_was_deferred_or_passed_over() {
    let table = [
        ("p:b success", Step::answer("yes"), false),
        ("p:b cancelled", Step::stall(), false),
        ("p:b cancelled", Step::connect_stall(), false),
        ("p:b failed", failing(ErrorKind::BadRequest), true),
        ("p:b failed", Step::panic(), true),
        ("p:b empty", Step::empty(FinishReason::Stop), true),
        ("p:b deferred_backpressure", failing(ErrorKind::RateLimited), true),
        ("p:b preempted_unsupported", Step::prepare_error(Error::unsupported("seed")), true),
    ];
    for (outcome, step, degraded) in table {
        let models = [after("p:a", secs(1)), ScriptedModel::new("p:b").then(step)];
        let report = ask(&models, FanOut::default().cutoff(secs(2))).await;
        assert!(trail(&report)[1].starts_with(outcome), "{:?}", trail(&report));
        assert_eq!((report.degraded(), report.ended()), (degraded, Ended::QuorumMet), "{outcome}");
        assert!(!report.attempts().iter().any(|attempt| attempt.degraded), "no store was away");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_stand_in_the_order_of_the_seats() {
    let models = [after("p:a", secs(3)), after("p:b", secs(1)), after("p:c", secs(2))];
    for (seats, expected) in [
        (None, vec!["p:a", "p:b", "p:c"]),
        (Some(vec!["p:c", "p:a"]), vec!["p:c", "p:a"]),
        (Some(vec!["p:c", "p:b", "p:a"]), vec!["p:c", "p:b", "p:a"]),
        (Some(vec!["p:b"]), vec!["p:b"]),
    ] {
        let rules = seats.map_or_else(FanOut::default, |seats| FanOut::default().seats(seats));
        let report = ask(&models, rules).await;
        assert_eq!(answers(&report), expected);
        let ordinals: Vec<_> = report.attempts().iter().map(|attempt| attempt.ordinal as usize).collect();
        assert_eq!(ordinals, (0..expected.len()).collect::<Vec<_>>());
        assert_eq!(report.into_result().unwrap().text, expected[0], "the first seat's");
    }
}
