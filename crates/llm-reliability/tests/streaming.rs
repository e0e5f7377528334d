//! Handing an answer out while it streams in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use common::{Seen, builder, client, failing, ms, secs, trail};
use futures::StreamExt;
use llm_protocol::testing::{Ending, ScriptedModel, Step};
use llm_protocol::{Clock, Error, ErrorKind, StreamEvent};
use llm_reliability::{
    Candidate, Ended, FailoverStream, Policy, Price, ResilientClient, StreamMode, Timeouts,
};

async fn read(stream: &mut FailoverStream) -> (String, Option<llm_reliability::StreamError>) {
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(StreamEvent::Text(delta)) => text += &delta,
            Ok(_) => {}
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing comes after an error");
                return (text, Some(error));
            }
        }
    }
    (text, None)
}

#[tokio::test(start_paused = true)]
async fn failures_before_the_first_token_move_on_silently() {
    let models = [
        ScriptedModel::new("p:overloaded").then(failing(ErrorKind::Overloaded)),
        ScriptedModel::new("p:silent").then(Step::stall()),
        ScriptedModel::new("p:thinks-and-dies")
            .then(Step::reasoning("hm").then_error(Error::new(ErrorKind::Truncated, ""))),
        ScriptedModel::new("p:good").then(Step::answer("one two three").paced(ms(100))),
        ScriptedModel::new("p:unused"),
    ];
    let mut stream = client(&models).failover_stream("hi").await.unwrap();
    assert_eq!(stream.attempts().len(), 3, "the trail is readable while the answer streams");
    assert_eq!(stream.elapsed(), secs(15) + ms(200), "it returns with the first token");
    let (text, error) = read(&mut stream).await;
    assert_eq!((text.as_str(), error.is_none()), ("one two three", true));
    let report = stream.into_report();
    assert_eq!(
        trail(&report),
        [
            "p:overloaded failed overloaded @first_token",
            "p:silent failed timeout/first_token @first_token",
            "p:thinks-and-dies failed truncated @first_token",
            "p:good success @stream",
        ]
    );
    assert_eq!(report.ended(), Ended::Answered);
    assert_eq!(report.response().unwrap().text, "one two three");
    assert_eq!(models[4].started(), 0);
}

#[tokio::test(start_paused = true)]
async fn reasoning_is_held_back_until_its_answer_is_the_one() {
    let models = [
        ScriptedModel::new("p:a").then(Step::reasoning("wrong track").then_end()),
        ScriptedModel::new("p:b").then(Step::reasoning("right track").then_answer("yes")),
    ];
    let stream = client(&models).failover_stream("hi").await.unwrap();
    let reasoning: String = stream
        .filter_map(async |event| match event.unwrap() {
            StreamEvent::Reasoning(text) => Some(text),
            _ => None,
        })
        .collect()
        .await;
    assert_eq!(reasoning, "right track");
}

#[tokio::test(start_paused = true)]
async fn signs_of_work_are_handed_out_like_all_else() {
    let working = StreamEvent::Working;
    let step = Step::events([working.clone(), working.clone()]).then_text("a").then_event(working.clone());
    let model = ScriptedModel::new("p:a").then(step.then_answer("b"));
    let stream = client(&[model]).failover_stream("hi").await.unwrap();
    let mut events: Vec<_> = stream.map(Result::unwrap).collect().await;
    events.retain(|event| matches!(event, StreamEvent::Working | StreamEvent::Text(_)));
    let text = |text: &str| StreamEvent::Text(text.into());
    assert_eq!(events, [working.clone(), working.clone(), text("a"), working, text("b")]);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_after_the_terminal_marker_takes_nothing_from_the_answer() {
    let whole = || {
        let finish = StreamEvent::Finish(llm_protocol::FinishReason::Stop);
        Step::events([StreamEvent::Text("whole".into()), finish])
    };
    let errors = [ErrorKind::Connection, ErrorKind::Protocol, ErrorKind::RateLimited, ErrorKind::Refusal];
    let failed = errors.map(|kind| whole().then_error(Error::new(kind, "")));
    for step in failed.into_iter().chain([whole().then_panic(), whole().then_event(StreamEvent::Discard)]) {
        let (a, b) = (ScriptedModel::new("p:a").then(step), ScriptedModel::new("p:b"));
        let policy = Policy::default().restart_on_cut(true);
        let client = builder(&[a, b.clone()]).policy(policy).build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report), ["p:a success @stream"]);
        let mut stream = client.failover_stream("hi").await.unwrap();
        let (text, error) = read(&mut stream).await;
        assert_eq!((text.as_str(), error.is_none()), ("whole", true));
        assert_eq!(trail(&stream.into_report()), ["p:a success @stream"]);
        assert_eq!(b.started(), 0);
        assert_eq!(client.status().await[0].1.failures, 0);
    }
    // What the marker itself says stays.
    let step = Step::events([
        StreamEvent::Text("half".into()),
        StreamEvent::Finish(llm_protocol::FinishReason::Error),
    ]);
    let step = step.then_error(Error::new(ErrorKind::Connection, ""));
    let report = client(&[ScriptedModel::new("p:a").then(step)]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @stream"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_up_on_a_reader_who_stays_away_is_not_blamed() {
    let half = || Step::events([StreamEvent::Text("half".into())]);
    let connection = || Error::new(ErrorKind::Connection, "");
    let limits = || Timeouts::new().idle(secs(5)).attempt(secs(600)).total(secs(600));
    for (step, kind) in [
        (half().then_error(connection()), "connection"),
        (half().then_end(), "truncated"),
        // The rest of what had been sent comes first, and then the end.
        (
            half().then_text(" of it").after(ms(1)).then_text(".").after(ms(1)).then_error(connection()),
            "connection",
        ),
        (half().then_error(Error::new(ErrorKind::Server, "")), "server"),
    ] {
        for (pause, away) in [(0, false), (5, false), (7, true), (60, true)] {
            let client =
                builder(&[ScriptedModel::new("p:a").then(step.clone())]).timeouts(limits()).build().unwrap();
            let mut stream = client.failover_stream("hi").await.unwrap();
            while !matches!(stream.next().await.unwrap().unwrap(), StreamEvent::Text(_)) {}
            tokio::time::sleep(secs(pause)).await;
            read(&mut stream).await;
            assert_eq!(trail(&stream.into_report()), [format!("p:a interrupted {kind} @stream")]);
            let blamed = !away || kind == "server";
            assert_eq!(client.status().await[0].1.failures, u32::from(blamed), "{kind} after {pause} s");
        }
    }
    // Who waits is not away, however long it takes.
    let slow =
        Step::answer("half").after(secs(100)).then_text(" of it").after(secs(50)).then_error(connection());
    let limits = || limits().idle(secs(200));
    let client = builder(&[ScriptedModel::new("p:a").then(slow)]).timeouts(limits()).build().unwrap();
    read(&mut client.failover_stream("hi").await.unwrap()).await;
    assert_eq!(client.status().await[0].1.failures, 1);
    // Nor who was only slow, and waits now.
    let slow = half().after(secs(150)).then_error(connection());
    let client = builder(&[ScriptedModel::new("p:a").then(slow)]).timeouts(limits()).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    while !matches!(stream.next().await.unwrap().unwrap(), StreamEvent::Text(_)) {}
    tokio::time::sleep(secs(150)).await;
    read(&mut stream).await;
    assert_eq!((stream.elapsed(), client.status().await[0].1.failures), (secs(300), 1));
}

#[tokio::test(start_paused = true)]
async fn a_cut_after_the_first_token_is_an_interruption_and_never_a_replay() {
    let cuts = [
        (Step::answer("half an answer").then_end(), "truncated"),
        (Step::answer("half an answer").then_stall(), "timeout/idle"),
        (Step::answer("half an answer").then_error(Error::new(ErrorKind::Server, "")), "server"),
        (Step::answer("half an answer").then_error(Error::new(ErrorKind::RateLimited, "")), "rate_limited"),
        (Step::answer("half an answer").then_panic(), "other"),
    ];
    for (step, kind) in cuts {
        let (a, b) = (ScriptedModel::new("p:a").then(step), ScriptedModel::new("p:b"));
        let client = client(&[a, b.clone()]);
        let mut stream = client.failover_stream("hi").await.unwrap();
        let (text, error) = read(&mut stream).await;
        assert_eq!(text, "half an answer");
        let error = error.expect("a cut is never a clean end");
        assert_eq!(error.ended, Ended::Interrupted);
        assert_eq!(error.error.unwrap().model_key(), Some("p:a"));
        let report = stream.into_report();
        assert_eq!(trail(&report), [format!("p:a interrupted {kind} @stream")]);
        assert_eq!(
            (report.ended(), report.succeeded(), report.response()),
            (Ended::Interrupted, false, None)
        );
        assert_eq!(report.partial().unwrap().text, "half an answer");
        assert_eq!(b.started(), 0);
        // The breaker follows the kind, not the outcome.
        let failures = client.status().await[0].1.failures;
        assert_eq!(failures, u32::from(!matches!(kind, "rate_limited" | "other")), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_answering_is_an_error_and_a_report() {
    let mut stream = client(&[ScriptedModel::new("p:a").then(failing(ErrorKind::Server))])
        .failover_stream("hi")
        .await
        .unwrap();
    let (text, error) = read(&mut stream).await;
    let error = error.unwrap();
    assert_eq!((text.as_str(), error.ended), ("", Ended::Exhausted));
    assert_eq!(error.to_string(), "no candidate answered: server: scripted");
    assert_eq!(stream.into_report().ended(), Ended::Exhausted);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_whole_is_handed_out_all_the_same() {
    let whole =
        Candidate::from(ScriptedModel::new("p:a").then(Step::answer("all of it"))).stream(StreamMode::Never);
    let client = ResilientClient::builder().candidate(whole).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    assert_eq!(read(&mut stream).await.0, "all of it");
    assert_eq!(trail(&stream.into_report()), ["p:a success @response"]);
}

#[tokio::test(start_paused = true)]
async fn the_idle_clock_stands_still_while_nobody_reads() {
    let limits = llm_reliability::Timeouts::new().idle(secs(5));
    let patient = builder(&[ScriptedModel::new("p:a").then(Step::answer("one two").paced(ms(10)))])
        .timeouts(limits)
        .build()
        .unwrap();
    let mut stream = patient.failover_stream("hi").await.unwrap();
    tokio::time::sleep(secs(30)).await;
    assert_eq!(read(&mut stream).await.0, "one two");
}

#[tokio::test(start_paused = true)]
async fn usage_and_cost_are_readable_while_it_streams() {
    let price = Price::new("USD", "1".parse().unwrap(), "1".parse().unwrap());
    let candidate = Candidate::from(ScriptedModel::new("p:a").then(Step::answer("one two"))).price(price);
    let client = ResilientClient::builder().candidate(candidate).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    while stream.usage().is_unknown() {
        assert!(stream.cost().is_empty());
        stream.next().await.unwrap().unwrap();
    }
    assert!(stream.attempts().is_empty(), "its attempt is still under way");
    assert_eq!(stream.usage().total(), Some(12));
    assert_eq!(stream.cost()[0].total.to_string(), "0.000012");
    read(&mut stream).await;
    assert_eq!((stream.usage().total(), stream.attempts().len()), (Some(12), 1));
}

#[tokio::test(start_paused = true)]
async fn a_reader_may_stop_at_the_terminal_marker() {
    let seen = Seen::default();
    let models =
        [ScriptedModel::new("p:a").then_times(3, failing(ErrorKind::Server)).then(Step::answer("back"))];
    let client = builder(&models).observer(seen.clone()).build().unwrap();
    for _ in 0..3 {
        client.failover("hi").await.unwrap();
    }
    tokio::time::advance(secs(120)).await;
    seen.take();
    let mut stream = client.failover_stream("hi").await.unwrap();
    while !matches!(stream.next().await.unwrap().unwrap(), StreamEvent::Finish(_)) {}
    drop(stream);
    assert_eq!(seen.take(), ["p:a success @stream"]);
    let status = client.status().await[0].1;
    assert_eq!(status.state, llm_reliability::circuit_breaker::State::Closed, "the probe has succeeded");

    let mut stream = client.failover_stream("hi").await.unwrap();
    while !matches!(stream.next().await.unwrap().unwrap(), StreamEvent::Finish(_)) {}
    let report = stream.into_report();
    assert_eq!((report.ended(), report.response().unwrap().text.as_str()), (Ended::Answered, "back"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_vendor_calls_failed_is_no_success() {
    let failed = || Step::answer("half").finishing(llm_protocol::FinishReason::Error);
    let report = client(&[ScriptedModel::new("p:a").then(failed())]).failover("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a failed server @stream"]);
    let mut stream = client(&[ScriptedModel::new("p:a").then(failed())]).failover_stream("hi").await.unwrap();
    let (text, error) = read(&mut stream).await;
    assert_eq!((text.as_str(), error.unwrap().ended), ("half", Ended::Interrupted));
    assert_eq!(trail(&stream.into_report()), ["p:a interrupted server @stream"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_declines_halfway_has_declined() {
    let declining = || {
        let events = [
            StreamEvent::Text("Well, ".into()),
            StreamEvent::Refusal(String::new()),
            StreamEvent::Finish(llm_protocol::FinishReason::ContentFilter),
        ];
        [ScriptedModel::new("p:a").then(Step::events(events)), ScriptedModel::new("p:b")]
    };
    let report = client(&declining()).failover("hi").await.unwrap();
    assert_eq!(
        (trail(&report), report.ended()),
        (vec!["p:a failed refusal @stream".to_owned()], Ended::Stopped)
    );
    let mut stream = client(&declining()).failover_stream("hi").await.unwrap();
    let (text, error) = read(&mut stream).await;
    assert_eq!((text.as_str(), error.unwrap().ended), ("Well, ", Ended::Interrupted));
    assert_eq!(trail(&stream.into_report()), ["p:a interrupted refusal @stream"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_stands_still_when_it_is_over() {
    let mut stream =
        client(&[ScriptedModel::new("p:a").then(Step::delay(secs(2)))]).failover_stream("hi").await.unwrap();
    read(&mut stream).await;
    tokio::time::advance(secs(600)).await;
    assert_eq!(stream.elapsed(), secs(2));
    assert_eq!(stream.into_report().elapsed(), secs(2));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_ends_the_request_and_is_visible() {
    let a = ScriptedModel::new("p:a").then(Step::answer("one two").then_stall());
    let seen = Seen::default();
    let client = builder(&[a.clone()]).observer(seen.clone()).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(a.open(), 1);
    drop(stream);
    assert_eq!((a.open(), a.calls()[0].ending), (0, Ending::Dropped));
    assert_eq!(seen.take(), ["p:a cancelled @stream"]);

    let stream = client.failover_stream("hi").await.unwrap();
    let report = stream.into_report();
    assert_eq!((report.ended(), a.open()), (Ended::Interrupted, 0));
    assert_eq!(trail(&report), ["p:a cancelled @stream"]);
    assert_eq!(client.status().await[0].1.failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_error_says_which_clock() {
    let a = ScriptedModel::new("p:a").then(Step::answer("x").then_stall());
    let mut stream = client(&[a]).failover_stream("hi").await.unwrap();
    let (_, error) = read(&mut stream).await;
    assert_eq!(error.unwrap().error.unwrap().kind(), ErrorKind::Timeout(Clock::Idle));
}
