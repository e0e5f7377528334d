//! Substitutes: who takes the seat of one that gave no answer, when nobody does, and how that is counted and written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroUsize;
use std::time::Duration;

use common::fan_out::{after, answers, ask, ask_with, fails_after, silent};
use common::{builder, failing, ms, secs, short, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, ModelAdapter, Request, Tool};
use llm_reliability::QuorumPolicy::{All, AtLeast, First, Majority};
use llm_reliability::circuit_breaker::Mode;
use llm_reliability::{Call, Ended, FanOut, Launch, Policy, Report, Timeouts};
use serde_json::{Value, json};

async fn ask_by(models: &[ScriptedModel], rules: FanOut, policy: Policy) -> Report {
    ask_with(models, builder(models).fan_out(rules).policy(policy), "hi").await
}

fn written(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

fn read(json: Value) -> Result<Report, serde_json::Error> {
    serde_json::from_value(json)
}

/// Who was asked, as what, and when.
fn line_up(report: &Report) -> Vec<(&str, Launch, u128)> {
    let attempts = report.attempts().iter();
    attempts.map(|attempt| (&*attempt.model_key, attempt.launch, attempt.start.as_millis())).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_no_answer_has_a_substitute() {
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(9));
    let table = [
        (failing(ErrorKind::Server), "p:a failed server @first_token"),
        (failing(ErrorKind::Authentication), "p:a failed authentication @first_token"),
        (Step::answer("half of").then_end(), "p:a failed truncated @stream"),
        (Step::panic(), "p:a failed other @first_token"),
        (Step::empty(FinishReason::Stop), "p:a empty @stream"),
        (Step::error(hinted), "p:a deferred_backpressure rate_limited @first_token"),
        (Step::connect_error(Error::new(ErrorKind::Connection, "")), "p:a failed connection @connect"),
        (Step::prepare_error(Error::unsupported("seed")), "p:a preempted_unsupported unsupported"),
    ];
    for (step, outcome) in table {
        let prepares = outcome.contains("unsupported") || outcome.contains("@connect");
        let models = [
            ScriptedModel::new("p:a").then(step.delayed(secs(1))),
            after("p:b", ms(1500)),
            after("p:c", secs(1)),
        ];
        for policy in [AtLeast(2), All, Majority] {
            let report = ask(&models, FanOut::new(policy).bench(["p:c"])).await;
            let begun = if prepares { 0 } else { 1000 };
            assert_eq!(
                line_up(&report),
                [("p:a", Launch::Panel, 0), ("p:b", Launch::Panel, 0), ("p:c", Launch::Failover, begun)],
                "{outcome}, {policy:?}"
            );
            assert_eq!(trail(&report), [outcome, "p:b success @stream", "p:c success @stream"]);
            assert_eq!(report.elapsed().as_millis(), (begun + 1000).max(1500));
            assert_eq!((report.ended(), report.degraded()), (Ended::QuorumMet, true));
            let quorum = report.quorum().unwrap();
            assert_eq!((quorum.seats, quorum.answered), (2, 2), "a substitute takes a seat and adds none");
            assert_eq!(answers(&report), ["p:b", "p:c"], "it comes after the seats");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_passed_over_has_a_substitute_at_once() {
    let models = ["p:open", "p:limited", "p:plain", "p:x", "p:y", "p:z"].map(ScriptedModel::new);
    let [open, limited, plain, x, y, z] = models.clone();
    let limited = limited.then(Step::error(Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(9))));
    let models = [open, limited, plain, x.with_tools(), y.with_tools(), z.with_tools()];
    let tool = Tool::new("now", json!({"type": "object"}));
    let rules = FanOut::new(AtLeast(3)).bench(["p:x", "p:y", "p:z"]);
    let client = builder(&models).build().unwrap();
    client.fan_out(Call::new("hi").fan_out(FanOut::default().seats(["p:limited"]))).await.unwrap();
    client.set_mode("p:open", Mode::ForcedOpen).await.unwrap();
    // Neither of the first two has tools, but a circuit and a limit are looked at afterwards.
    for (request, outcome) in [
        (Request::from("hi"), "p:plain success @stream"),
        (Request::from("hi").tool(tool), "p:plain preempted_unsupported unsupported"),
    ] {
        let report = client.fan_out(Call::new(request).fan_out(rules.clone())).await.unwrap();
        assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, Duration::ZERO));
        assert_eq!(trail(&report)[2], outcome);
        assert_eq!(report.quorum().unwrap().answered, 3);
        let substitutes = report.attempts().iter().filter(|attempt| attempt.launch == Launch::Failover);
        assert_eq!(substitutes.count(), if outcome.contains("success") { 2 } else { 3 });
    }
    assert_eq!(models[0].invoked() + models[2].invoked(), 1);
}

#[tokio::test(start_paused = true)]
async fn substitutes_come_in_their_order_and_until_they_are_used_up() {
    let models = [
        fails_after("p:a", secs(2)),
        fails_after("p:b", secs(1)),
        fails_after("p:c", secs(3)),
        fails_after("p:x", ms(1500)),
        after("p:y", secs(5)),
        after("p:z", secs(1)),
    ];
    let report = ask(&models, FanOut::default().bench(["p:x", "p:y", "p:z"])).await;
    // b has the first, a the second, and the third takes the seat of the first, who fails too.
    assert_eq!(
        line_up(&report)[3..],
        [("p:x", Launch::Failover, 1000), ("p:y", Launch::Failover, 2000), ("p:z", Launch::Failover, 2500)]
    );
    assert_eq!((answers(&report), report.elapsed()), (vec!["p:y", "p:z"], secs(7)));
    assert_eq!(report.quorum().unwrap().seats, 3);
    assert!(models.iter().all(|model| model.started() == 1), "c had nobody left to take its seat");

    // The same may be there several times, also beside its seat: each time it is another attempt.
    let models = [fails_after("p:a", secs(1)), fails_after("p:x", secs(1)).then(Step::answer("x"))];
    let rules = FanOut::new(AtLeast(1)).seats(["p:a"]).bench(["p:a", "p:x", "p:x"]);
    let report = ask(&models, rules).await;
    assert_eq!(line_up(&report).iter().map(|line| line.0).collect::<Vec<_>>(), ["p:a", "p:a", "p:x", "p:x"]);
    assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, secs(3)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_from_the_bench_who_is_not_needed() {
    let models =
        [after("p:a", secs(1)), after("p:b", secs(2)), fails_after("p:c", ms(2500)), after("p:x", secs(1))];
    // Nobody failed.
    let report = ask(&models, FanOut::new(AtLeast(2)).bench(["p:x"])).await;
    assert_eq!((report.attempts().len(), report.degraded()), (3, false));
    // Who fails when there are enough already is not replaced.
    let report = ask(&models, FanOut::new(AtLeast(2)).bench(["p:x"]).grace(secs(1))).await;
    assert_eq!(trail(&report)[2..], ["p:c failed server @first_token"]);
    assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumMet, ms(2500)));
    // All are never enough.
    assert_eq!(models[3].started(), 0);
    let report = ask(&models, FanOut::new(All).bench(["p:x"])).await;
    assert_eq!((answers(&report).len(), report.elapsed()), (3, ms(3500)));
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_stops_on_leaves_the_seat_empty() {
    let models = || {
        let refuses = ScriptedModel::new("p:a").then(Step::refusal("no").delayed(secs(1)));
        [refuses, after("p:b", secs(2)), after("p:x", secs(3))]
    };
    let keel = Policy::keel();
    let robust = Policy::robust().stop_on(ErrorKind::Refusal);
    for (policy, refilled) in [
        (Policy::default(), false),
        (robust, false),
        (keel, true),
        (Policy::default().advance_on(ErrorKind::Refusal), true),
    ] {
        let models = models();
        let report = ask_by(&models, FanOut::new(First).seats(["p:a"]).bench(["p:x"]), policy.clone()).await;
        let ended = if refilled { Ended::QuorumMet } else { Ended::QuorumNotMet };
        let elapsed = if refilled { secs(4) } else { secs(1) };
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed), "{policy:?}");
        assert_eq!(models[2].started(), usize::from(refilled));

        // A seat that stays empty may make the quorum impossible, however many sit on the bench.
        let report = ask_by(&models, FanOut::new(AtLeast(2)).bench(["p:x"]), policy).await;
        let elapsed = if refilled { secs(4) } else { secs(1) };
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed));
    }
    // Neither is anybody called when the time of the whole call is up.
    let models = [silent("p:a"), after("p:x", secs(1))];
    let client = builder(&models).fan_out(FanOut::default().bench(["p:x"])).build().unwrap();
    let report = client.fan_out(Call::new("hi").timeouts(Timeouts::new().total(secs(1)))).await.unwrap();
    assert_eq!(trail(&report), ["p:a failed timeout/total @first_token"]);
    assert_eq!(models[1].invoked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quorum_may_come_as_long_as_there_is_somebody_on_the_bench() {
    let (f, a) = (fails_after, after);
    let table = [
        // Policy, the seats, the bench, when it is decided, whether there are enough.
        (AtLeast(2), vec![f("p:a", secs(1)), a("p:b", secs(2))], vec![a("p:x", secs(3))], secs(4), true),
        (AtLeast(2), vec![f("p:a", secs(1)), f("p:b", secs(2))], vec![a("p:x", secs(3))], secs(2), false),
        (AtLeast(2), vec![f("p:a", secs(1)), a("p:b", secs(9))], vec![f("p:x", secs(3))], secs(4), false),
        (
            AtLeast(2),
            vec![f("p:a", secs(1)), f("p:b", secs(2))],
            vec![f("p:x", secs(3)), a("p:y", secs(3)), a("p:z", secs(2))],
            secs(6),
            true,
        ),
        (First, vec![f("p:a", secs(1))], vec![f("p:x", secs(1)), f("p:y", secs(1))], secs(3), false),
        (
            Majority,
            vec![f("p:a", secs(1)), silent("p:b"), a("p:c", secs(1))],
            vec![a("p:x", secs(1))],
            secs(2),
            true,
        ),
        (All, vec![f("p:a", secs(1))], vec![f("p:x", secs(1)), a("p:y", secs(1))], secs(3), true),
    ];
    for (policy, seats, bench, elapsed, met) in table {
        let names = |models: &[ScriptedModel]| -> Vec<String> {
            models.iter().map(|model| model.key().to_owned()).collect()
        };
        let rules = FanOut::new(policy).bench(names(&bench));
        let n = seats.len();
        let models = [seats, bench].concat();
        let report = ask(&models, rules).await;
        let ended = if met { Ended::QuorumMet } else { Ended::QuorumNotMet };
        let shown = format!("{policy:?}: {:?}", trail(&report));
        assert_eq!((report.ended(), report.elapsed()), (ended, elapsed), "{shown}");
        assert_eq!(report.quorum().unwrap().seats, n, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn everyone_unavailable_is_that_with_a_bench_too() {
    let hinted = |delay| Step::error(Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(delay)));
    let models = [("p:a", 30), ("p:x", 20)].map(|(name, delay)| ScriptedModel::new(name).then(hinted(delay)));
    let rules = FanOut::new(First).bench(["p:x"]);
    let client = builder(&models).fan_out(rules).build().unwrap();
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!((report.ended(), report.attempts().len()), (Ended::QuorumNotMet, 2));
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!((report.ended(), report.retry_after()), (Ended::Unavailable, Some(secs(20))));
    assert_eq!(trail(&report), ["p:a preempted_limited", "p:x preempted_limited"]);
}

#[tokio::test(start_paused = true)]
async fn a_substitute_is_given_up_like_anybody() {
    let models = [fails_after("p:a", secs(1)), after("p:b", secs(2)), silent("p:x")];
    for (rules, elapsed, met) in [
        (FanOut::new(AtLeast(2)).cutoff(secs(3)), secs(3), false),
        (FanOut::new(First).grace(ms(500)), ms(2500), true),
        (FanOut::new(First), secs(2), true),
    ] {
        let report = ask(&models, rules.bench(["p:x"])).await;
        assert_eq!(trail(&report)[2], "p:x cancelled @first_token");
        assert_eq!((report.succeeded(), report.elapsed()), (met, elapsed));
    }
}

#[tokio::test(start_paused = true)]
async fn who_sits_on_the_bench_has_a_seat_only_if_told_so() {
    let models = [after("p:a", secs(1)), after("p:x", secs(1)), fails_after("p:f", secs(1))];
    for (rules, expected) in [
        (FanOut::default().bench(["p:x"]), vec!["p:a", "p:f", "p:x"]),
        (FanOut::default().bench(["p:a", "p:x"]), vec!["p:f", "p:a"]),
        (FanOut::default().seats(["p:x", "p:f"]).bench(["p:x"]), vec!["p:x", "p:f", "p:x"]),
        (FanOut::default().seats(["p:f"]), vec!["p:f"]),
    ] {
        let report = ask(&models, rules).await;
        let keys: Vec<_> = report.attempts().iter().map(|attempt| &*attempt.model_key).collect();
        assert_eq!(keys, expected);
    }
    // A call's own rules bring their own bench, or none.
    let client = builder(&models).fan_out(FanOut::default().bench(["p:x"])).build().unwrap();
    let report = client.fan_out(Call::new("hi").fan_out(FanOut::default())).await.unwrap();
    assert!(report.attempts().iter().all(|attempt| attempt.launch == Launch::Panel));
}

#[tokio::test(start_paused = true)]
async fn a_panel_shows_substitutes_as_they_complete() {
    let models = [fails_after("p:a", secs(1)), after("p:b", secs(4)), after("p:x", secs(1))];
    let client = builder(&models).fan_out(FanOut::default().bench(["p:x"])).build().unwrap();
    let mut panel = client.panel("hi").unwrap();
    let mut shown = Vec::new();
    while let Some(attempt) = panel.next().await {
        shown.push(short(attempt));
    }
    assert_eq!(shown, ["p:a failed server @first_token", "p:x success @stream", "p:b success @stream"]);
    assert_eq!(answers(&panel.into_report()), ["p:b", "p:x"]);

    let mut panel = client.panel("hi").unwrap();
    assert_eq!(panel.next().await.map(short).unwrap(), "p:a failed server @first_token");
    let report = panel.into_report();
    let expected = ["p:a failed server @first_token", "p:b cancelled @first_token", "p:x cancelled"];
    assert_eq!(trail(&report), expected, "called, and given up before it began");
    assert_eq!((models[2].invoked(), report.quorum().unwrap().seats), (1, 2));
    assert_eq!(trail(&read(written(&report)).unwrap()), expected);
}

#[tokio::test(start_paused = true)]
async fn substitutes_stand_behind_all_seats_however_few_places_there_are() {
    for places in 1..=4 {
        let models = [
            fails_after("p:a", secs(1)),
            fails_after("p:b", secs(1)),
            after("p:c", secs(1)),
            after("p:x", secs(1)),
            after("p:y", secs(1)),
        ];
        let rules = FanOut::default().bench(["p:x", "p:y"]).concurrency(NonZeroUsize::new(places).unwrap());
        let report = ask(&models, rules.clone()).await;
        let keys: Vec<_> = report.attempts().iter().map(|attempt| &*attempt.model_key).collect();
        assert_eq!(keys, ["p:a", "p:b", "p:c", "p:x", "p:y"], "{places}");
        assert_eq!(answers(&report), ["p:c", "p:x", "p:y"]);
        if places == 1 {
            // All who have a seat have their turn before a substitute.
            let starts: Vec<_> = report.attempts().iter().map(|attempt| attempt.start.as_secs()).collect();
            assert_eq!(starts, [0, 1, 2, 3, 4]);
        }
        // Also when some of them are given up before they begin.
        let report = ask(&models, rules.quorum(AtLeast(3)).cutoff(ms(1500))).await;
        let launches = report.attempts().iter().map(|attempt| attempt.launch);
        assert!(
            launches.clone().take(3).all(|launch| launch == Launch::Panel),
            "{places}: {:?}",
            trail(&report)
        );
        assert!(launches.skip(3).all(|launch| launch == Launch::Failover), "{places}");
    }
}

/// Makes something of a report that it was not.
type Forgery = fn(&mut Value);

#[tokio::test(start_paused = true)]
async fn a_report_that_no_panel_can_have_made_is_refused() {
    let models = [fails_after("p:a", secs(1)), after("p:b", secs(2)), silent("p:c"), after("p:x", secs(1))];
    let good = ask(&models, FanOut::new(AtLeast(2)).bench(["p:x"])).await;
    assert_eq!(good.responses().count(), 2);
    let good = written(&good);
    assert_eq!(good["quorum"], json!({"policy": 2, "required": 2, "seats": 3, "answered": 2}));
    let forged: [(&str, Forgery); 20] = [
        ("an answer more", |json| json["quorum"]["answered"] = json!(3)),
        ("a seat more", |json| json["quorum"]["seats"] = json!(4)),
        ("fewer required", |json| json["quorum"]["required"] = json!(1)),
        ("another policy", |json| json["quorum"]["policy"] = json!("first")),
        ("an unknown policy", |json| json["quorum"]["policy"] = json!("nearly_all")),
        ("more than there are seats", |json| {
            json["quorum"]["policy"] = json!(4);
            json["quorum"]["required"] = json!(4);
            json["ended"] = json!("quorum_not_met");
        }),
        ("none required", |json| {
            json["quorum"]["policy"] = json!(0);
            json["quorum"]["required"] = json!(0);
        }),
        ("no quorum", |json| json["quorum"] = Value::Null),
        ("not met", |json| json["ended"] = json!("quorum_not_met")),
        ("unavailable", |json| json["ended"] = json!("unavailable")),
        ("answered", |json| json["ended"] = json!("answered")),
        ("a failover", |json| json["strategy"] = json!("failover")),
        ("an answer without its attempt", |json| {
            let again = json["responses"][0].clone();
            json["responses"].as_array_mut().unwrap().push(again);
        }),
        ("an attempt without its answer", |json| {
            json["responses"].as_array_mut().unwrap().pop();
        }),
        ("answers that have changed places", |json| json["responses"].as_array_mut().unwrap().swap(0, 1)),
        ("a substitute among the seats", |json| json["attempts"][0]["launch"] = json!("failover")),
        ("a hedge", |json| json["attempts"][3]["launch"] = json!("hedge")),
        ("a primary", |json| json["attempts"][0]["launch"] = json!("primary")),
        ("handed out", |json| json["attempts"][1]["handed_out"] = json!(true)),
        ("a substitute for nobody", |json| {
            json["attempts"][0]["outcome"] = json!("cancelled");
            json["attempts"][0]["error"] = Value::Null;
        }),
    ];
    assert!(read(good.clone()).is_ok());
    for (what, forge) in forged {
        let mut json = good.clone();
        forge(&mut json);
        assert!(read(json).is_err(), "{what}");
    }
    // Nobody was there at all.
    let mut nobody = good;
    nobody["attempts"] = json!([]);
    nobody["responses"] = json!([]);
    nobody["ended"] = json!("quorum_not_met");
    nobody["quorum"] = json!({"policy": "all", "required": 1, "seats": 0, "answered": 0});
    assert!(read(nobody).is_err());
}
