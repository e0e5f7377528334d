//! Hedging: what becomes of those who run side by side, however each of them ends, and what is told of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Seen, builder, failing, ms, secs, text, trail};
use futures::{FutureExt, StreamExt};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, FinishReason, StreamEvent};
use llm_reliability::circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Rejection, Settings, Settlement, State, Status, async_trait,
};
use llm_reliability::{
    Attempt, ClientBuilder, Ended, FailoverStream, Hedge, Launch, Lineup, Phase, Policy, Report, Timeouts,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

fn policy() -> Policy {
    Policy::default().hedge(Hedge::after(secs(2)))
}

/// A client that hedges after two seconds, and has a hedge for every call.
fn hedging(models: &[ScriptedModel]) -> ClientBuilder {
    builder(models).policy(policy()).hedge_budget(1.0)
}

fn models<const N: usize>(steps: [Step; N]) -> [ScriptedModel; N] {
    let mut names = ["one:a", "two:b", "three:c", "four:d"].into_iter();
    steps.map(|step| ScriptedModel::new(names.next().unwrap()).then(step))
}

fn late(secs: u64) -> Step {
    Step::answer("one two three").delayed(common::secs(secs))
}

fn cut() -> Step {
    Step::answer("half of").then_end()
}

/// The report, which is the same when it has gone through JSON.
fn both_ways(report: Report) -> Report {
    let json = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    report
}

/// Runs a call over these steps. Nothing is open at its end, and its report can be read again.
async fn run<const N: usize>(steps: [Step; N], policy: Policy) -> Report {
    let models = models(steps);
    let client = hedging(&models).hedge_budget(f64::INFINITY).policy(policy).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert!(models.iter().all(|model| model.in_flight() == 0), "{report:?}");
    both_ways(report)
}

/// When each attempt began, in milliseconds, and why.
fn begun(report: &Report) -> Vec<(u128, Launch)> {
    report.attempts().iter().map(|attempt| (attempt.start.as_millis(), attempt.launch)).collect()
}

#[tokio::test(start_paused = true)]
async fn who_lost_is_gone_before_the_rest_of_the_answer_comes() {
    // The hedge has its first token after 4 s, the first one before or after.
    for (first, loser) in [(3, 1), (9, 0)] {
        let slow =
            |secs| Step::answer("").after(common::secs(secs)).then_answer("one two").paced(common::secs(1));
        let models = models([slow(first), slow(1)]);
        let seen = Seen::default();
        let client = hedging(&models).observer(seen.clone()).build().unwrap();
        let mut call = Box::pin(client.failover("hi"));
        while seen.attempts().is_empty() {
            assert!(call.as_mut().now_or_never().is_none(), "it goes on");
            assert!(models.iter().map(ScriptedModel::open).sum::<usize>() <= 2);
            tokio::time::advance(ms(500)).await;
        }
        assert_eq!(seen.attempts()[0].ordinal, loser);
        assert_eq!(seen.take(), [format!("{} cancelled @first_token", ["one:a", "two:b"][loser as usize])]);
        assert_eq!(models.each_ref().map(ScriptedModel::open), if loser == 0 { [0, 1] } else { [1, 0] });
        both_ways(call.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn losing_says_nothing_of_a_candidate_and_gives_its_probe_back() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
    // Both fail once, and then neither the first one's answer nor the second one's is fast.
    for (first, second, winner) in [(9, 1, 1), (3, 9, 0)] {
        let models = models([failing(ErrorKind::Server), failing(ErrorKind::Server)]);
        let [one, two] = models;
        let models = [one.then(late(first)), two.then(late(second))];
        let client = hedging(&models).breaker_settings(settings.clone()).build().unwrap();
        client.failover("hi").await.unwrap();
        tokio::time::advance(secs(10)).await;
        let report = both_ways(client.failover("hi").await.unwrap());
        assert_eq!(report.attempts().iter().position(Attempt::succeeded), Some(winner));
        let status = client.status().await;
        assert_eq!(status[winner].1.state, State::Closed);
        assert_eq!((status[1 - winner].1.state, status[1 - winner].1.probes), (State::HalfOpen, 0));
        // The place is free: the next one is let through.
        let report = client.failover("hi").await.unwrap();
        assert_eq!(report.attempts()[1 - winner].phase, Some(Phase::FirstToken), "{report:?}");
    }
    // One failure more would open it.
    let settings = Settings::default().failure_threshold(NonZeroU32::new(2).unwrap());
    let model = ScriptedModel::new("one:a").then(failing(ErrorKind::Server)).then(late(9));
    let client = hedging(&[model, ScriptedModel::new("two:b")]).breaker_settings(settings).build().unwrap();
    for _ in 0..5 {
        client.failover("hi").await.unwrap();
        let status = &client.status().await[0].1;
        assert_eq!((status.state, status.failures), (State::Closed, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_winner_that_is_cut_fails_over_to_the_next_and_at_last_to_who_lost() {
    let report = run([late(9), cut(), late(1), late(0)], policy()).await;
    let expected =
        ["one:a cancelled @first_token", "two:b failed truncated @stream", "three:c success @stream"];
    assert_eq!(trail(&report), expected);
    assert_eq!(begun(&report)[2], (2000, Launch::Failover));

    let report = run([cut().delayed(secs(3)), late(9), late(1)], policy()).await;
    let expected =
        ["one:a failed truncated @stream", "two:b cancelled @first_token", "three:c success @stream"];
    assert_eq!(trail(&report), expected);
    assert_eq!(begun(&report)[2], (3000, Launch::Failover));

    // Who lost was well, and is asked again when there is nobody else.
    let report = run([late(9), cut()], policy()).await;
    let expected =
        ["one:a cancelled @first_token", "two:b failed truncated @stream", "one:a success @stream"];
    assert_eq!(trail(&report), expected);
    assert_eq!(begun(&report)[2], (2000, Launch::Retry));
    assert_eq!((report.ended(), report.degraded()), (Ended::Answered, true));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_on_when_the_first_fails_and_is_hedged_after_its_own_delay() {
    let down = || failing(ErrorKind::Overloaded).delayed(ms(2500));
    for (second, trail_, starts) in [
        (1, &["two:b success @stream"][..], &[][..]),
        // In time by its own delay.
        (2, &["two:b success @stream"], &[]),
        (5, &["two:b cancelled @first_token", "three:c success @stream"], &[(4000, Launch::Hedge)]),
    ] {
        let report = run([down(), late(second), late(0)], policy()).await;
        assert_eq!(trail(&report)[0], "one:a failed overloaded @first_token");
        assert_eq!(trail(&report)[1..], *trail_);
        let expected: Vec<_> =
            [(0, Launch::Primary), (2000, Launch::Hedge)].iter().chain(starts).copied().collect();
        assert_eq!(begun(&report), expected);
        assert!(report.degraded());
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_hedge_fails_the_next_goes_out_at_once_if_there_is_a_token() {
    let down = || failing(ErrorKind::Overloaded).delayed(ms(500));
    // Saved up by calls that need none.
    for (saved, expected) in [
        (1, &["one:a success @stream", "two:b failed overloaded @first_token"][..]),
        (
            2,
            &[
                "one:a cancelled @first_token",
                "two:b failed overloaded @first_token",
                "three:c success @stream",
            ],
        ),
    ] {
        let [_, b, c] = models([late(0), down(), late(0)]);
        let a = ScriptedModel::new("one:a").then_times(saved - 1, late(0)).then(late(9));
        let client = hedging(&[a, b, c]).build().unwrap();
        for _ in 1..saved {
            client.failover("hi").await.unwrap();
        }
        let report = both_ways(client.failover("hi").await.unwrap());
        assert_eq!(trail(&report), *expected);
        assert_eq!(begun(&report)[1..], [(2000, Launch::Hedge), (2500, Launch::Hedge)][..expected.len() - 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_the_policy_stops_on_ends_the_call_whoever_has_it() {
    let refusing = |millis| Step::refusal("I would rather not.").delayed(ms(millis));
    let expected = ["one:a cancelled @first_token", "two:b failed refusal @stream"];
    for (steps, expected) in [
        ([late(9), refusing(500), late(0)], expected),
        (
            [refusing(2500), late(9), late(0)],
            ["one:a failed refusal @stream", "two:b cancelled @first_token"],
        ),
    ] {
        let report = run(steps, policy()).await;
        assert_eq!((report.ended(), trail(&report)), (Ended::Stopped, expected.map(str::to_owned).to_vec()));
        assert_eq!(report.elapsed(), ms(2500));
    }
    let report = run([late(9), refusing(500), late(0)], policy().advance_on(ErrorKind::Refusal)).await;
    assert_eq!((report.ended(), trail(&report)[2].as_str()), (Ended::Answered, "three:c success @stream"));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_call_is_up_for_both() {
    for (steps, expected) in [
        ([late(9), late(9)], ["one:a failed timeout/total @first_token", "two:b cancelled @first_token"]),
        (
            [failing(ErrorKind::Server).delayed(ms(2500)), late(9)],
            ["one:a failed server @first_token", "two:b failed timeout/total @first_token"],
        ),
        // The answer of the one that has won is not whole.
        (
            [late(9), late(0).then_stall()],
            ["one:a cancelled @first_token", "two:b failed timeout/total @stream"],
        ),
    ] {
        let models = models(steps);
        let client = hedging(&models).timeouts(Timeouts::new().total(secs(3))).build().unwrap();
        let report = both_ways(client.failover("hi").await.unwrap());
        assert_eq!((report.ended(), report.elapsed()), (Ended::TotalTimeout, secs(3)));
        assert_eq!(trail(&report), expected);
        assert!(models.iter().all(|model| model.in_flight() == 0));
        for (_, status) in client.status().await {
            assert!(status.failures <= 1 && (status.failures == 0 || expected[0].contains("server")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_runs_beside_it_stands_for_a_retry() {
    let retrying = policy().transient_retries(2).backoff(Duration::ZERO, Duration::ZERO);
    let down = |millis| failing(ErrorKind::Server).delayed(ms(millis));
    // Before the delay there is nobody: the retry has a delay of its own.
    let [a, b] = [ScriptedModel::new("one:a").then(down(1500)).then(late(9)), ScriptedModel::new("two:b")];
    let client = hedging(&[a, b]).policy(retrying.clone()).build().unwrap();
    let report = both_ways(client.failover("hi").await.unwrap());
    assert_eq!(begun(&report), [(0, Launch::Primary), (1500, Launch::Retry), (3500, Launch::Hedge)]);
    assert_eq!(trail(&report)[1..], ["one:a cancelled @first_token", "two:b success @stream"]);

    let report = run([down(2500), late(1)], retrying.clone()).await;
    assert_eq!(begun(&report), [(0, Launch::Primary), (2000, Launch::Hedge)]);
    assert_eq!(trail(&report), ["one:a failed server @first_token", "two:b success @stream"]);

    // When both have failed, the one that did so last is asked again, and then the next.
    let report = run([down(2500), down(1000), late(0)], retrying.clone()).await;
    let retries = [(3000, Launch::Retry), (4000, Launch::Retry), (5000, Launch::Failover)];
    assert_eq!(begun(&report)[2..], retries, "{report:?}");
    assert!(report.attempts()[1..4].iter().all(|attempt| &*attempt.model_key == "two:b"));
    let report = run([down(3500), down(1000)], retrying).await;
    assert_eq!(report.attempts()[2].launch, Launch::Retry);
    assert_eq!((&*report.attempts()[2].model_key, begun(&report)[2].0), ("one:a", 3500));
}

async fn rest(stream: &mut FailoverStream) -> Vec<StreamEvent> {
    let mut events: Vec<_> = stream.filter_map(async |event| event.ok()).collect().await;
    events.retain(|event| matches!(event, StreamEvent::Text(_) | StreamEvent::Discard));
    events
}

fn words(words: &[&str]) -> Vec<StreamEvent> {
    words.iter().map(|word| StreamEvent::Text((*word).into())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_handed_out_from_the_first_token_of_whoever_has_it() {
    let slow = |secs, text| Step::answer(text).delayed(common::secs(secs));
    for (first, second, at, order) in [
        (9, 1, 3, ["one:a cancelled @first_token", "two:b success @stream"]),
        (3, 9, 3, ["one:a success @stream", "two:b cancelled @first_token"]),
    ] {
        let models = models([slow(first, "first one"), slow(second, "second one")]);
        let client = hedging(&models).build().unwrap();
        let mut stream = client.failover_stream("hi").await.unwrap();
        let (winner, loser) = if first > second { (1, 0) } else { (0, 1) };
        assert_eq!(
            (stream.elapsed(), models[loser].in_flight(), models[winner].in_flight()),
            (secs(at), 0, 1)
        );
        let lost: Vec<_> = stream.attempts().iter().map(ToString::to_string).collect();
        assert_eq!(lost, [order[loser]], "it is in the trail before the first token is handed out");
        assert_eq!(rest(&mut stream).await, words(&[["first ", "second "][winner], "one"]));
        let ordinals: Vec<_> = stream.attempts().iter().map(|attempt| attempt.ordinal).collect();
        assert_eq!(ordinals, [0, 1], "in the order in which they began");
        let report = both_ways(stream.into_report());
        assert_eq!((trail(&report), report.ended()), (order.map(str::to_owned).to_vec(), Ended::Answered));
        assert_eq!(report.attempts()[winner].first_token, Some(secs(if winner == 0 { 3 } else { 1 })));

        // Its reader goes away after the first word.
        let mut stream = client.failover_stream("hi").await.unwrap();
        stream.next().await.unwrap().unwrap();
        let report = both_ways(stream.into_report());
        assert_eq!(report.ended(), Ended::Interrupted);
        let handed_out: Vec<_> = report.attempts().iter().map(|attempt| attempt.handed_out).collect();
        assert_eq!(handed_out, [winner == 0, winner == 1]);
        assert!(trail(&report).iter().all(|attempt| attempt.contains("cancelled")));
        assert!(models.iter().all(|model| model.in_flight() == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_starts_anew_after_a_hedge_was_cut_and_nobody_is_hedged_then() {
    let models = models([late(9), cut(), Step::answer("late").delayed(secs(9)), late(0)]);
    let client = hedging(&models).hedge_budget(f64::INFINITY).policy(policy().restart_on_cut(true));
    let client = client.build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    let mut expected = words(&["half ", "of"]);
    expected.push(StreamEvent::Discard);
    expected.extend(words(&["late"]));
    assert_eq!(rest(&mut stream).await, expected);
    let report = both_ways(stream.into_report());
    assert_eq!(
        trail(&report),
        ["one:a cancelled @first_token", "two:b interrupted truncated @stream", "three:c success @stream"]
    );
    assert_eq!((begun(&report)[2], report.elapsed()), ((2000, Launch::Failover), secs(11)));

    // Without that it ends as a cut, and who lost does not take over.
    let client = hedging(&models[..2]).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert_eq!(rest(&mut stream).await, words(&["half ", "of"]));
    let report = both_ways(stream.into_report());
    assert_eq!((report.ended(), text(&report)), (Ended::Interrupted, ""));
    assert_eq!(report.partial().unwrap().text, "half of");
}

/// In flight by the client's own count, which an order is shown.
fn counting(models: &[ScriptedModel]) -> (ClientBuilder, Arc<Mutex<Vec<usize>>>) {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let show = Arc::clone(&shown);
    let order = move |lineup: &mut Lineup<'_>| {
        *show.lock() = lineup.listed().map(|standing| standing.in_flight()).collect();
    };
    (hedging(models).order(order), shown)
}

#[tokio::test(start_paused = true)]
async fn a_call_may_be_dropped_at_every_poll_of_a_race() {
    for streamed in [false, true] {
        let mut polls = 0;
        loop {
            let slow = |secs| late(secs).prepared_after(ms(60)).connected_after(ms(60)).paced(ms(120));
            let down = failing(ErrorKind::Overloaded).delayed(ms(300));
            let models = models([slow(9), slow(1).then_end(), down, slow(0)]);
            let seen = Seen::default();
            let (client, shown) = counting(&models);
            let client = client.observer(seen.clone()).build().unwrap();
            let done = if streamed {
                let call = async { client.failover_stream("hi").await.unwrap().collect::<Vec<_>>().await };
                dropped(call, polls).await
            } else {
                dropped(client.failover("hi"), polls).await
            };
            assert!(models.iter().all(|model| model.in_flight() == 0), "after {polls} polls");
            let attempts = seen.attempts();
            let asked: usize = models.iter().map(ScriptedModel::invoked).sum();
            assert_eq!(attempts.iter().filter(|attempt| attempt.phase.is_some()).count(), asked, "{polls}");
            let mut ordinals: Vec<_> = attempts.iter().map(|attempt| attempt.ordinal).collect();
            ordinals.sort_unstable();
            assert!(
                ordinals.into_iter().eq(0..u32::try_from(attempts.len()).unwrap()),
                "each once: {attempts:?}"
            );
            let raced = attempts.iter().any(|attempt| attempt.launch == Launch::Hedge);

            // What was not used is there for the next call: a token for each of the two, less the hedges so far.
            client.failover("again").await.unwrap();
            assert_eq!(*shown.lock(), [0; 4], "after {polls} polls");
            let hedges = seen.attempts().iter().filter(|attempt| attempt.launch == Launch::Hedge).count();
            assert_eq!(hedges, if raced { 2 } else { 1 }, "after {polls} polls");
            if done {
                break;
            }
            polls += 1;
            assert!(polls < 1000, "it never ends");
        }
        assert!(polls > 50, "dropped at {polls} points only");
    }
}

/// A store that thinks for a second about the second candidate.
struct Thinking;

#[async_trait]
impl Breaker for Thinking {
    async fn acquire(&self, key: &str, _: &Ask) -> Result<Admission, Rejection> {
        if key == "two:b" {
            tokio::time::sleep(secs(1)).await;
        }
        Ok(Admission::closed(1))
    }

    fn settle(&self, _: &str, _: Option<LeaseId>, _: Admission, _: Settlement) {}

    fn abandon(&self, _: &str, _: LeaseId, _: Option<Admission>) {}

    async fn status(&self, _: &str) -> Status {
        Status::default()
    }

    async fn flush(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_was_given_up_before_it_was_sent_costs_nothing() {
    for dropped in [false, true] {
        let a = ScriptedModel::new("one:a").then_times(19, Step::default());
        let a = a.then(Step::delay(ms(2500))).then(late(9));
        let b = ScriptedModel::new("two:b");
        let client = builder(&[a, b.clone()]).policy(policy()).breaker(Arc::new(Thinking)).build().unwrap();
        // Twenty calls pay for one.
        for _ in 0..19 {
            client.failover("hi").await.unwrap();
        }
        if dropped {
            assert!(tokio::time::timeout(ms(2300), client.failover("hi")).await.is_err());
        } else {
            let report = client.failover("hi").await.unwrap();
            assert_eq!(trail(&report), ["one:a success @stream", "two:b cancelled"]);
        }
        assert_eq!(b.invoked(), 0);
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), ["one:a cancelled @first_token", "two:b success @stream"], "{dropped}");
    }
}

/// Polls a call so often, moving time on in between, and drops it then. Says whether it had ended by itself.
async fn dropped<T>(call: impl Future<Output = T>, polls: usize) -> bool {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        tokio::time::advance(ms(50)).await;
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_report_that_no_race_can_have_made_is_refused() {
    let report = run([failing(ErrorKind::Server).delayed(ms(2500)), late(5), late(0)], policy()).await;
    let json = serde_json::to_value(&report).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut json = json.clone();
        change(&mut json);
        let read = serde_json::from_value::<Report>(json);
        assert!(read.is_err(), "{:?}", trail(&read.unwrap()));
    };
    let forge = |at: usize, key: &'static str, value: Value| {
        refused(&move |json| json["attempts"][at][key] = value.clone());
    };
    // [failed primary, cancelled hedge, successful hedge]
    forge(0, "launch", json!("hedge"));
    forge(2, "launch", json!("primary"));
    forge(2, "launch", json!("panel"));
    forge(1, "ordinal", json!(2));
    forge(2, "outcome", json!("cancelled"));
    forge(0, "outcome", json!("success"));
    forge(2, "model_key", json!("two:b"));
    for ended in ["exhausted", "stopped", "total_timeout", "unavailable", "interrupted", "quorum_met"] {
        refused(&|json| json["ended"] = json!(ended));
    }
    // Cancelled, and nobody beside it.
    refused(&|json| {
        json["attempts"][1]["launch"] = json!("failover");
        json["attempts"][2]["launch"] = json!("failover");
    });
    // A second answer, with all that belongs to it, and one after which another was asked.
    refused(&|json| {
        let answer = json["attempts"][2].clone();
        json["attempts"][1] = answer;
        json["attempts"][1]["model_key"] = json!("two:b");
        json["attempts"][1]["ordinal"] = json!(1);
    });
    refused(&|json| {
        let mut later = json["attempts"][0].clone();
        later["model_key"] = json!("four:d");
        later["ordinal"] = json!(3);
        later["launch"] = json!("failover");
        json["attempts"].as_array_mut().unwrap().push(later);
    });
}

#[tokio::test(start_paused = true)]
async fn candidates_that_were_waited_for_are_hedged_too() {
    let settings = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
    let [one, two] = models([failing(ErrorKind::Server), failing(ErrorKind::Server)]);
    let models = [one.then(late(9)), two.then(late(0))];
    let policy = policy().wait_when_unavailable(secs(60));
    let client = hedging(&models).breaker_settings(settings).policy(policy).build().unwrap();
    client.failover("hi").await.unwrap();
    let report = client.failover("hi").await.unwrap();
    let expected = [
        "one:a preempted_open",
        "two:b preempted_open",
        "one:a cancelled @first_token",
        "two:b success @stream",
    ];
    assert_eq!(trail(&report), expected);
    assert_eq!(begun(&report)[2..], [(10_000, Launch::Retry), (12_000, Launch::Hedge)]);
    both_ways(report);
}

/// A step that does anything, at a multiple of ten milliseconds.
fn anything(random: &mut fastrand::Rng) -> Step {
    let mut pause = || ms(10 * random.u64(0..400));
    let [early, later, between] = [pause(), pause(), pause()];
    let kinds =
        [ErrorKind::Server, ErrorKind::RateLimited, ErrorKind::ContextLength, ErrorKind::Authentication];
    let error = Error::new(kinds[random.usize(..4)], "");
    let answer = || Step::answer("one two").delayed(early);
    let step = match random.u8(..12) {
        0 => Step::error(error).delayed(early),
        1 => Step::refusal("no").delayed(early),
        2 => Step::stall(),
        3 => answer().after(later).then_end(),
        4 => answer().after(later).then_error(error),
        5 => answer().then_stall(),
        6 => Step::reasoning("hm").after(later).then_answer("well"),
        7 => Step::empty(FinishReason::Stop).delayed(early),
        _ => answer().after(between).then_text("three"),
    };
    if random.bool() { step.connected_after(ms(10 * random.u64(0..100))) } else { step }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_two_are_asked_at_most_and_the_report_agrees() {
    let (mut raced, mut ends) = (0, std::collections::BTreeSet::new());
    for seed in 0..250 {
        let mut random = fastrand::Rng::with_seed(seed);
        let models = models(std::array::from_fn::<_, 4, _>(|_| anything(&mut random)));
        let policy = Policy::default()
            .hedge(Hedge::after(ms(10 * random.u64(1..300))))
            .restart_on_cut(random.bool())
            .transient_retries(random.u32(..2))
            .backoff(Duration::ZERO, Duration::ZERO)
            .wait_when_unavailable(secs(random.u64(..2)));
        let limits = Timeouts::new().first_token(secs(5)).idle(secs(3)).total(secs(random.u64(2..20)));
        let cooldown = if random.bool() { ms(800) } else { secs(120) };
        let seen = Seen::default();
        let (client, shown) = counting(&models);
        let client = client.hedge_budget(f64::INFINITY).policy(policy).timeouts(limits);
        let settings = Settings::default().failure_threshold(NonZeroU32::new(2).unwrap()).cooldown(cooldown);
        let client = client.observer(seen.clone()).breaker_settings(settings).build().unwrap();
        // Several in a row, so that circuits open and hints are kept.
        for _ in 0..6 {
            let mut report = None;
            let call = async {
                if random.bool() {
                    return client.failover("hi").await.unwrap();
                }
                let mut stream = client.failover_stream("hi").await.unwrap();
                let patience = if random.bool() { usize::MAX } else { random.usize(..6) };
                (&mut stream).take(patience).for_each(async |_| {}).await;
                stream.into_report()
            };
            let mut call = Box::pin(call);
            while report.is_none() {
                report = call.as_mut().now_or_never();
                let at_once: usize = models.iter().map(ScriptedModel::in_flight).sum();
                assert!(at_once <= 2, "{seed}: {at_once} at once");
                tokio::time::advance(ms(10)).await;
            }
            let report = both_ways(report.unwrap());
            assert!(models.iter().all(|model| model.in_flight() == 0), "{seed}: {report:?}");
            let told: Vec<_> = report.attempts().iter().map(ToString::to_string).collect();
            let mut heard = seen.take();
            let mut sorted = told.clone();
            heard.sort();
            sorted.sort();
            assert_eq!(heard, sorted, "{seed}");
            raced += usize::from(report.attempts().iter().any(|attempt| attempt.launch == Launch::Hedge));
            ends.insert(format!("{:?}", report.ended()));
        }
        client.failover("hi").await.unwrap();
        assert_eq!(*shown.lock(), [0; 4], "{seed}");
    }
    assert!(raced > 250 && ends.len() >= 6, "{raced} races, {ends:?}");
}
