//! Hedging: when a second candidate is asked beside a slow one, how often, and when that is left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::{builder, failing, ms, secs, text, trail};
use futures::future::join_all;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{ErrorKind, Request, ToolCall};
use llm_reliability::circuit_breaker::{Mode, Settings};
use llm_reliability::{
    Call, Candidate, ClientBuilder, Ended, Hedge, Launch, Policy, Report, ResilientClient, StreamMode,
    Timeouts,
};

/// A client whose every call pays for a hedge of its own.
fn hedging(models: &[ScriptedModel], delay: Duration) -> ClientBuilder {
    builder(models).policy(Policy::default().hedge(Hedge::after(delay))).hedge_budget(1.0)
}

/// A model whose first token takes as long as the request says, in milliseconds; without a number it fails.
fn obedient(name: &str) -> ScriptedModel {
    ScriptedModel::new(name).respond_with(|request: &Request| match request.messages[0].text().parse() {
        Ok(millis) => Step::answer("here").delayed(ms(millis)),
        Err(_) => failing(ErrorKind::Server),
    })
}

/// A call whose first candidate takes so many milliseconds.
async fn take(client: &ResilientClient, millis: u64) -> Report {
    client.failover(millis.to_string()).await.unwrap()
}

/// When the hedges of a call began.
fn hedges(report: &Report) -> Vec<Duration> {
    let hedges = report.attempts().iter().filter(|attempt| attempt.launch == Launch::Hedge);
    hedges.map(|attempt| attempt.start).collect()
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_time_is_not_hedged_and_one_tick_later_it_is() {
    for (millis, hedged) in [(0, false), (1, false), (1999, false), (2000, false), (2001, true), (9000, true)]
    {
        let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b"));
        let client = hedging(&[a.clone(), b.clone()], secs(2)).build().unwrap();
        let report = take(&client, millis).await;
        assert_eq!((b.invoked(), report.attempts().len()), if hedged { (1, 2) } else { (0, 1) }, "{millis}");
        assert_eq!(report.elapsed(), if hedged { secs(2) } else { ms(millis) }, "{millis}");
        assert_eq!((a.in_flight(), b.in_flight(), report.degraded()), (0, 0, false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_starts_at_exactly_the_delay_and_the_first_token_wins() {
    let primary = ["one:a success @stream", "two:b cancelled @first_token"];
    let hedge = ["one:a cancelled @first_token", "two:b success @stream"];
    // When the first has its first token, and how long the second takes.
    for (first, second, won, elapsed) in [
        (2500, 1000, primary, 2500),
        (2999, 1000, primary, 2999),
        // A draw is the first one's.
        (3000, 1000, primary, 3000),
        (3001, 1000, hedge, 3000),
        (9000, 0, hedge, 2000),
        (9000, 6999, hedge, 8999),
    ] {
        let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b").then(Step::delay(ms(second))));
        let client = hedging(&[a.clone(), b.clone()], secs(2)).build().unwrap();
        let report = take(&client, first).await;
        assert_eq!((trail(&report), report.elapsed()), (won.map(str::to_owned).to_vec(), ms(elapsed)));
        assert_eq!(text(&report), if won == primary { "here" } else { "ok" });
        assert_eq!((report.ended(), report.degraded()), (Ended::Answered, false));
        let [first, second] = report.attempts() else { panic!("{report:?}") };
        assert_eq!((first.launch, first.ordinal, first.start), (Launch::Primary, 0, Duration::ZERO));
        assert_eq!((second.launch, second.ordinal, second.start), (Launch::Hedge, 1, secs(2)));
        assert_eq!((a.in_flight(), b.in_flight()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_token_for_the_caller_is_in_time() {
    let call = ToolCall { id: "1".into(), name: "look".into(), arguments: "{}".into() };
    for (step, hedged) in [
        (Step::reasoning("hm").after(secs(3)).then_answer("well"), true),
        (Step::answer("later").prepared_after(secs(3)), true),
        (Step::answer("later").connected_after(secs(3)), true),
        (Step::answer("one two three").paced(ms(900)), false),
        (Step::tool_calls([call]).paced(ms(900)), false),
    ] {
        let b = ScriptedModel::new("two:b");
        let client = hedging(&[ScriptedModel::new("one:a").then(step.clone()), b.clone()], secs(2));
        client.build().unwrap().failover("hi").await.unwrap();
        assert_eq!(b.started(), usize::from(hedged), "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn candidates_that_do_not_stream_are_hedged_by_their_whole_answer() {
    for whole in [
        |model: ScriptedModel| model.without_streaming().into(),
        |model| Candidate::from(model).stream(StreamMode::Never),
    ] as [fn(ScriptedModel) -> Candidate; 2]
    {
        let a = ScriptedModel::new("one:a").then(Step::answer("one two three").paced(secs(1)));
        let b = ScriptedModel::new("two:b").then(Step::delay(ms(500)));
        let client = ResilientClient::builder()
            .candidates([a.clone(), b].map(whole))
            .policy(Policy::default().hedge(Hedge::after(secs(2))))
            .hedge_budget(1.0)
            .build()
            .unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), ["one:a cancelled @response", "two:b success @response"]);
        assert_eq!((report.elapsed(), a.open()), (ms(2500), 0));
        assert!(report.attempts().iter().all(|attempt| attempt.first_token.is_none()));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_last_runs_alone() {
    let a = obedient("one:a");
    let report = take(&hedging(&[a], secs(2)).build().unwrap(), 5000).await;
    assert_eq!((trail(&report), report.elapsed()), (vec!["one:a success @stream".to_owned()], secs(5)));

    let failed = ScriptedModel::new("one:a").then(failing(ErrorKind::Server));
    let report = take(&hedging(&[failed, obedient("two:b")], secs(2)).build().unwrap(), 5000).await;
    assert_eq!(trail(&report), ["one:a failed server @first_token", "two:b success @stream"]);
    assert_eq!(report.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_takes_over_is_hedged_from_its_own_beginning() {
    let a = ScriptedModel::new("one:a").then(failing(ErrorKind::Server).delayed(ms(1500)));
    let report = take(
        &hedging(&[a, obedient("two:b"), ScriptedModel::new("three:c")], secs(2)).build().unwrap(),
        9000,
    )
    .await;
    assert_eq!(hedges(&report), [ms(3500)]);
    assert_eq!(report.elapsed(), ms(3500));
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_policy_of_its_own() {
    let models = [obedient("one:a"), ScriptedModel::new("two:b")];
    let plain = builder(&models).hedge_budget(1.0).build().unwrap();
    let call = |policy| Call::new("5000").policy(policy);
    let hedge = Policy::default().hedge(Hedge::after(secs(2)));
    assert_eq!(hedges(&take(&plain, 5000).await), []);
    assert_eq!(hedges(&plain.failover(call(hedge.clone())).await.unwrap()), [secs(2)]);
    assert_eq!(hedges(&take(&plain, 5000).await), []);

    let client = builder(&models).hedge_budget(1.0).policy(hedge.clone()).build().unwrap();
    assert_eq!(hedges(&client.failover(call(hedge.clone().hedge(None))).await.unwrap()), []);
    assert_eq!(hedges(&client.failover(call(hedge.hedge(Hedge::after(secs(1))))).await.unwrap()), [secs(1)]);
    assert_eq!(hedges(&take(&client, 5000).await), [secs(2)]);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_hedge_when_the_time_of_the_call_is_up() {
    let models = [obedient("one:a"), ScriptedModel::new("two:b")];
    let client = hedging(&models, secs(2)).timeouts(Timeouts::new().total(secs(2))).build().unwrap();
    let report = take(&client, 9000).await;
    assert_eq!(trail(&report), ["one:a failed timeout/total @first_token"]);
    assert_eq!((report.ended(), models[1].invoked()), (Ended::TotalTimeout, 0));
}

/// A client that hedges after a second, and has the budget that is the default.
fn thrifty(share: Option<f64>) -> (ResilientClient, ScriptedModel) {
    let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b"));
    let client = builder(&[a, b.clone()]).policy(Policy::default().hedge(Hedge::after(secs(1))));
    let client = share.into_iter().fold(client, ClientBuilder::hedge_budget);
    (client.build().unwrap(), b)
}

async fn fast(client: &ResilientClient, calls: usize) {
    for _ in 0..calls {
        assert_eq!(take(client, 100).await.attempts().len(), 1);
    }
}

/// How many of so many slow calls are hedged.
async fn slow(client: &ResilientClient, calls: usize) -> usize {
    let mut hedged = 0;
    for _ in 0..calls {
        hedged += hedges(&take(client, 3000).await).len();
    }
    hedged
}

#[tokio::test(start_paused = true)]
async fn the_budget_starts_empty_and_twenty_calls_pay_for_one() {
    // Every call pays its share before it may be hedged.
    for (before, late, hedged) in [(0, 12, 0), (18, 1, 0), (19, 1, 1), (37, 2, 1), (38, 2, 2)] {
        let (client, _) = thrifty(None);
        fast(&client, before).await;
        assert_eq!(slow(&client, late).await, hedged, "{late} after {before}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_pays_once_whomever_it_asks_and_also_before_a_delay_is_known() {
    let models = ["one:a", "two:b", "three:c"].map(obedient);
    let fixed = Policy::default().hedge(Hedge::after(secs(1)));
    let settings = Settings::default().failure_threshold(NonZeroU32::MAX);
    let client = builder(&models).policy(fixed).breaker_settings(settings).build().unwrap();
    for _ in 0..9 {
        assert_eq!(client.failover("nobody").await.unwrap().attempts().len(), 3);
        fast(&client, 1).await;
    }
    assert_eq!(slow(&client, 1).await, 0, "it is the nineteenth");
    assert_eq!(slow(&client, 1).await, 1);

    let observed = Policy::default().hedge(Hedge::observed(0.95));
    let client = builder(&models).policy(observed).build().unwrap();
    fast(&client, 20).await;
    assert_eq!(slow(&client, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_saved_up_is_ten_at_most() {
    let (client, b) = thrifty(None);
    fast(&client, 1000).await;
    // Few enough that not everyone counts as slow.
    assert_eq!(slow(&client, 12).await, 10);
    // Nor is there more for those that come all at once.
    fast(&client, 1000).await;
    let before = b.started();
    join_all((0..50).map(|_| take(&client, 3000))).await;
    assert_eq!(b.started() - before, 10);
}

#[tokio::test(start_paused = true)]
async fn over_a_long_run_no_more_than_the_share_are_hedged() {
    // One call in six is late: hardly few enough that not everyone counts as slow, and three times the budget.
    for (share, calls, most) in
        [(None, 3000, 150), (Some(0.05), 3000, 150), (Some(0.01), 3000, 30), (Some(0.1), 3000, 300)]
    {
        let (client, b) = thrifty(share);
        for _ in 0..calls / 6 {
            fast(&client, 5).await;
            slow(&client, 1).await;
        }
        assert_eq!(b.started(), most, "{share:?}");
    }
    // Whatever the calls are like: always late, in bursts, at once.
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (client, b) = thrifty(None);
        let mut calls = 0;
        while calls < 2000 {
            let (burst, late) = (random.usize(1..60), random.f64());
            let times = (0..burst).map(|_| if random.f64() < late { random.u64(1001..5000) } else { 500 });
            let times: Vec<_> = times.collect();
            join_all(times.into_iter().map(|millis| take(&client, millis))).await;
            calls += burst;
            assert!(20 * b.started() <= calls, "{seed}: {} of {calls}", b.started());
        }
        assert!(b.started() > 0, "{seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_nothing_has_no_hedges_and_a_whole_one_has_them_for_every_call() {
    for (share, hedged) in
        [(0.0, 0), (-1.0, 0), (f64::NAN, 0), (0.0004, 0), (1.0, 30), (7.0, 30), (f64::INFINITY, 30)]
    {
        let (client, b) = thrifty(Some(share));
        for _ in 0..30 {
            fast(&client, 9).await;
            slow(&client, 1).await;
        }
        assert_eq!(b.started(), hedged, "{share}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_was_not_sent_costs_nothing() {
    let (a, c) = (obedient("one:a"), ScriptedModel::new("three:c"));
    let client = builder(&[a, ScriptedModel::new("two:b"), c.clone()])
        .policy(Policy::default().hedge(Hedge::after(secs(1))))
        .build()
        .unwrap();
    client.set_mode("two:b", Mode::ForcedOpen).await.unwrap();
    // There is one token, with which the next after it goes out at once.
    fast(&client, 19).await;
    let report = take(&client, 3000).await;
    assert_eq!(
        trail(&report),
        ["one:a cancelled @first_token", "two:b preempted_open", "three:c success @stream"]
    );
    assert_eq!(hedges(&report), [secs(1), secs(1)]);
    assert_eq!(slow(&client, 1).await, 0, "that one was sent");

    // With nobody after it, it is there for the next call.
    client.set_mode("three:c", Mode::ForcedOpen).await.unwrap();
    fast(&client, 18).await;
    assert_eq!(trail(&take(&client, 3000).await)[0], "one:a success @stream");
    client.set_mode("two:b", Mode::Automatic).await.unwrap();
    assert_eq!(trail(&take(&client, 3000).await)[1], "two:b success @stream");
    assert_eq!(c.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_everyone_is_slow_nobody_is_hedged_until_few_are() {
    // Whether hedges come later than what they are beside, or hardly earlier.
    for second in [2500, 20_000] {
        let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b").then(Step::delay(ms(second))));
        let client = hedging(&[a, b.clone()], secs(1)).build().unwrap();
        fast(&client, 64).await;
        assert_eq!(slow(&client, 200).await, 12, "12 of the last 64 are few, and the next is not");
        fast(&client, 51).await;
        assert_eq!(slow(&client, 1).await, 0, "13 of the last 64, itself included");
        fast(&client, 51).await;
        assert_eq!(slow(&client, 1).await, 1, "what was 64 calls ago is forgotten");
        assert_eq!(b.started(), 13);
    }
    // The same when they come at once.
    let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b").then(Step::delay(ms(2500))));
    let client = hedging(&[a, b.clone()], secs(1)).hedge_budget(f64::INFINITY).build().unwrap();
    join_all((0..200).map(|_| take(&client, 3000))).await;
    assert_eq!(b.started(), 12);
}

#[tokio::test(start_paused = true)]
async fn while_hedges_are_fast_not_everyone_is_slow() {
    let (a, b) = (obedient("one:a"), ScriptedModel::new("two:b").then_times(100, Step::default()));
    let b = b.then(Step::delay(secs(20)));
    let client = hedging(&[a, b], secs(1)).hedge_budget(1.0).build().unwrap();
    assert_eq!(slow(&client, 100).await, 100, "only the first is slow, and another is there");
    // Then the other is slow too: it takes nine of sixteen to tell.
    assert_eq!(slow(&client, 100).await, 9);
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_is_observed_is_told_from_twenty_first_tokens_and_never_guessed() {
    for (share, samples, percentile) in [(0.95, 20, 19), (0.9, 20, 18), (0.99, 100, 99), (0.96, 25, 24)] {
        let policy = Policy::default().hedge(Hedge::observed(share));
        let client =
            builder(&[obedient("one:a"), ScriptedModel::new("two:b")]).policy(policy).hedge_budget(1.0);
        let client = client.build().unwrap();
        for sample in 1..samples {
            assert_eq!(hedges(&take(&client, sample * 10).await), [], "{share}: {sample}");
        }
        assert_eq!(hedges(&take(&client, samples * 10).await), [], "{share}: not known yet");
        assert_eq!(hedges(&take(&client, 60_000).await), [ms(percentile * 10)], "{share}");
    }
}

/// A client that hedges the slowest twentieth, and knows that 100 ms are usual.
async fn observing() -> ResilientClient {
    let policy = Policy::default().hedge(Hedge::observed(0.95));
    let limits = Timeouts::new().first_token(secs(600)).attempt(secs(600)).total(secs(600));
    let settings = Settings::default().failure_threshold(NonZeroU32::MAX);
    let client = builder(&[obedient("one:a"), ScriptedModel::new("two:b").then(Step::delay(ms(400)))]);
    let client = client.policy(policy).hedge_budget(1.0).timeouts(limits).breaker_settings(settings);
    let client = client.build().unwrap();
    fast(&client, 20).await;
    client
}

#[tokio::test(start_paused = true)]
async fn who_lost_to_a_hedge_is_known_to_have_taken_no_less() {
    let client = observing().await;
    // Two of 22 are more than a twentieth.
    assert_eq!(hedges(&take(&client, 9000).await), [ms(100)]);
    assert_eq!(hedges(&take(&client, 9000).await), [ms(100)]);
    assert_eq!(hedges(&take(&client, 9000).await), [ms(500)]);
    assert_eq!(hedges(&take(&client, 500).await), []);
}

#[tokio::test(start_paused = true)]
async fn who_ran_out_of_time_took_as_long_as_there_was() {
    let client = observing().await;
    let limit = Timeouts::new().first_token(ms(700));
    let call = Call::new("9000").timeouts(limit).policy(Policy::default());
    for _ in 0..2 {
        let report = client.failover(call.clone()).await.unwrap();
        assert_eq!(trail(&report)[0], "one:a failed timeout/first_token @first_token");
    }
    assert_eq!(hedges(&take(&client, 9000).await), [ms(700)]);
    // Who failed at once was not fast.
    assert!(client.failover("never").await.unwrap().attempts()[0].error().is_some());
    assert_eq!(hedges(&take(&client, 9000).await), [ms(700)]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_the_measure_until_it_has_lasted() {
    let client = observing().await;
    fast(&client, 300).await;
    // Half of what is remembered, and half of ten minutes.
    let mut hedged = 0;
    for _ in 0..300 {
        hedged += hedges(&take(&client, 1000).await).len();
    }
    assert_eq!(hedged, 12);
    assert_eq!(hedges(&take(&client, 5000).await), [], "everyone is as slow as before");
    // Ten minutes on it is how things are: a second is in time, and what is slower is hedged then.
    for _ in 0..370 {
        assert_eq!(hedges(&take(&client, 1000).await), []);
    }
    assert_eq!(hedges(&take(&client, 5000).await), [secs(1)]);
    for _ in 0..30 {
        assert_eq!(hedges(&take(&client, 1000).await), []);
    }
}
