//! Starting anew when an answer is cut that is being handed out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use common::{Seen, builder, failing, ms, secs, trail};
use futures::{FutureExt, Stream, StreamExt};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{Error, ErrorKind, Request, ResponseBuilder, Started, StreamEvent, Tool};
use llm_reliability::circuit_breaker::{Settings, State};
use llm_reliability::{
    Call, Candidate, Ended, FailoverStream, Launch, Policy, Price, Report, ResilientClient, StreamError,
    StreamMode, Timeouts,
};

fn restarting() -> Policy {
    Policy::default().restart_on_cut(true)
}

fn client(models: &[ScriptedModel]) -> ResilientClient {
    builder(models).policy(restarting()).build().unwrap()
}

/// What a reader has at the end: how often it had to start anew, the answer it holds, and the error, if there was one.
struct Read {
    discards: usize,
    answer: ResponseBuilder,
    error: Option<StreamError>,
}

impl Read {
    fn new() -> Self {
        Self { discards: 0, answer: ResponseBuilder::default(), error: None }
    }

    fn take(&mut self, item: Result<StreamEvent, StreamError>) {
        assert!(self.error.is_none(), "nothing comes after an error");
        match item {
            Ok(event) => {
                self.discards += usize::from(event == StreamEvent::Discard);
                self.answer.absorb(&event);
            }
            Err(error) => self.error = Some(error),
        }
    }

    fn text(&self) -> &str {
        &self.answer.response().text
    }

    fn kind(&self) -> Option<ErrorKind> {
        self.error.as_ref()?.error.as_ref().map(Error::kind)
    }
}

async fn read(stream: &mut FailoverStream) -> Read {
    let mut read = Read::new();
    while let Some(item) = stream.next().await {
        read.take(item);
    }
    read
}

/// Streams to the end. What the report says has to fit what the reader holds.
async fn stream(client: &ResilientClient, call: impl Into<Call>) -> (Read, Report) {
    let mut stream = client.failover_stream(call).await.unwrap();
    let read = read(&mut stream).await;
    let report = stream.into_report();
    assert_eq!(read.error.is_none(), report.succeeded());
    let held = report.response().or(report.partial());
    assert_eq!(held.map_or("", |held| &held.text), read.text());
    let ordinals: Vec<_> = report.attempts().iter().map(|attempt| attempt.ordinal).collect();
    assert_eq!(ordinals, (0..u32::try_from(ordinals.len()).unwrap()).collect::<Vec<_>>());
    let json = serde_json::to_value(&report).unwrap();
    let back: Report = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(back).unwrap(), json);
    (read, report)
}

fn cut() -> Step {
    Step::answer("half an answer").then_end()
}

#[tokio::test(start_paused = true)]
async fn the_next_candidate_takes_over_whatever_cut_the_answer() {
    let half = || Step::answer("half an answer");
    let malformed = Error::new(ErrorKind::Protocol, "not JSON");
    for (step, kind) in [
        (half().then_end(), "truncated"),
        (half().then_stall(), "timeout/idle"),
        (half().then_error(malformed), "protocol"),
        (half().then_error(Error::new(ErrorKind::Overloaded, "")), "overloaded"),
        (half().then_error(Error::new(ErrorKind::Connection, "")), "connection"),
        (half().then_error(Error::new(ErrorKind::RateLimited, "")), "rate_limited"),
        (half().then_event(StreamEvent::Discard), "protocol"),
        (half().then_panic(), "other"),
    ] {
        let seen = Seen::default();
        let models =
            [ScriptedModel::new("p:a").then(step), ScriptedModel::new("p:b").then(Step::answer("the whole"))];
        let client = builder(&models).policy(restarting()).observer(seen.clone()).build().unwrap();
        let (read, report) = stream(&client, "hi").await;
        assert_eq!((read.discards, read.text()), (1, "the whole"), "{kind}");
        assert_eq!(trail(&report), [&format!("p:a interrupted {kind} @stream"), "p:b success @stream"]);
        assert_eq!(seen.take(), trail(&report));
        assert_eq!((report.ended(), report.degraded()), (Ended::Answered, true));
        assert_eq!(report.response(), Some(read.answer.response()));
        assert_eq!(report.attempts()[0].partial().unwrap().text, "half an answer");
        assert!(report.attempts()[0].fallback_eligible);
        assert_eq!(report.attempts()[1].launch, Launch::Failover);
        assert_eq!(report.into_result().unwrap().text, "the whole");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_policy_a_cut_is_the_end() {
    let models = [ScriptedModel::new("p:a").then(cut()), ScriptedModel::new("p:b")];
    for policy in [Policy::default(), restarting().restart_on_cut(false)] {
        let client = builder(&models).policy(policy).build().unwrap();
        let (read, report) = stream(&client, "hi").await;
        assert_eq!((read.discards, read.text(), models[1].started()), (0, "half an answer", 0));
        assert_eq!(report.ended(), Ended::Interrupted);
        assert!(!report.attempts()[0].fallback_eligible);
    }
    // It may be asked for with a single call.
    let client = builder(&models).build().unwrap();
    let (read, _) = stream(&client, Call::new("hi").policy(restarting())).await;
    assert_eq!(read.text(), "ok");
}

async fn events(models: &[ScriptedModel]) -> Vec<StreamEvent> {
    client(models).failover_stream("hi").await.unwrap().map(|event| event.unwrap()).collect().await
}

#[tokio::test(start_paused = true)]
async fn the_new_answer_comes_from_its_beginning_and_nothing_is_replayed() {
    let started = Started { model_id: Some("b-2026".into()), ..Started::default() };
    let answer = Step::events([StreamEvent::Started(started)])
        .then_reasoning("let me see")
        .after(secs(3))
        .then_answer("a b");
    let models = [ScriptedModel::new("p:a").then(cut()), ScriptedModel::new("p:b").then(answer)];
    let alone = events(&models[1..]).await;
    assert!(matches!(alone[..2], [StreamEvent::Started(_), StreamEvent::Reasoning(_)]));
    let both = events(&models).await;
    let (old, new) = both.split_at(both.len() - alone.len());
    assert_eq!(new, alone);
    let words = [
        StreamEvent::Text("half ".into()),
        StreamEvent::Text("an ".into()),
        StreamEvent::Text("answer".into()),
    ];
    assert_eq!(old[old.len() - 4..], [&words[..], &[StreamEvent::Discard]].concat());
    // Both were asked the same: none was shown what the other had said.
    assert_eq!(models[0].calls()[0].request, models[1].calls()[1].request);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_discarded_before_there_is_something_in_its_place() {
    let models = [
        ScriptedModel::new("p:cut").then(cut()),
        ScriptedModel::new("p:thinks-and-dies").then(Step::reasoning("hm hm").then_end()),
        ScriptedModel::new("p:silent").then(Step::stall()),
        ScriptedModel::new("p:empty").then(Step::empty(llm_protocol::FinishReason::Stop)),
        ScriptedModel::new("p:declines").then(failing(ErrorKind::BadRequest)),
    ];
    let client = client(&models);
    let (read, report) = stream(&client, "hi").await;
    assert_eq!((read.discards, read.text()), (0, "half an answer"));
    assert_eq!(read.error.as_ref().unwrap().ended, Ended::Interrupted);
    assert_eq!(read.kind(), Some(ErrorKind::Truncated), "what cut it, not what came of the others");
    assert_eq!(
        trail(&report),
        [
            "p:cut interrupted truncated @stream",
            "p:thinks-and-dies failed truncated @first_token",
            "p:silent failed timeout/first_token @first_token",
            "p:empty empty @stream",
            "p:declines failed bad_request @first_token",
        ]
    );
    assert_eq!(report.partial().unwrap().text, "half an answer");
    assert_eq!((report.ended(), report.elapsed()), (Ended::Interrupted, secs(15)));
}

#[tokio::test(start_paused = true)]
async fn it_may_happen_several_times_and_every_candidate_has_one_turn() {
    let models = [
        ScriptedModel::new("p:down").then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:a").then(cut()),
        ScriptedModel::new("p:b").then(Step::answer("another half").then_end()),
        ScriptedModel::new("p:c").then(Step::answer("the whole")),
        ScriptedModel::new("p:unused"),
    ];
    let (read, report) = stream(&client(&models), "hi").await;
    assert_eq!((read.discards, read.text()), (2, "the whole"));
    assert_eq!(
        trail(&report),
        [
            "p:down failed server @first_token",
            "p:a interrupted truncated @stream",
            "p:b interrupted truncated @stream",
            "p:c success @stream",
        ]
    );
    let parts: Vec<_> = report.attempts().iter().filter_map(|attempt| attempt.partial()).collect();
    assert_eq!(
        parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>(),
        ["half an answer", "another half"]
    );
    let received: Vec<_> = models.iter().map(ScriptedModel::started).collect();
    assert_eq!(received, [1, 1, 1, 1, 0]);

    let (read, report) = stream(&client(&models[1..3]), "hi").await;
    assert_eq!((read.discards, read.text(), report.ended()), (1, "another half", Ended::Interrupted));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_or_may_not_take_over_is_in_the_trail() {
    let tool = || Request::from("hi").tool(Tool::new("now", serde_json::json!({"type": "object"})));
    let hinted = Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(60));
    let models = [
        ScriptedModel::new("p:cut").with_tools().then_times(2, failing(ErrorKind::BadRequest)).then(cut()),
        ScriptedModel::new("p:open").with_tools().then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:limited").with_tools().then(Step::error(hinted)),
        ScriptedModel::new("p:plain"),
    ];
    let once = Settings::default().failure_threshold(NonZeroU32::MIN);
    let client = builder(&models).policy(restarting()).breaker_settings(once).build().unwrap();
    for _ in 0..2 {
        client.failover(tool()).await.unwrap();
    }
    let (read, report) = stream(&client, tool()).await;
    assert_eq!((read.discards, read.kind()), (0, Some(ErrorKind::Truncated)));
    assert_eq!(
        trail(&report),
        [
            "p:cut interrupted truncated @stream",
            "p:open preempted_open",
            "p:limited preempted_limited",
            "p:plain preempted_unsupported unsupported",
        ]
    );
    assert_eq!(report.retry_after(), None, "somebody was there");
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_stops_on_is_final() {
    let refused = || {
        Step::answer("Well, ")
            .then_event(StreamEvent::Refusal(String::new()))
            .finishing(llm_protocol::FinishReason::ContentFilter)
    };
    for (step, policy, asked) in [
        (refused(), restarting(), 0),
        (refused(), Policy::keel().restart_on_cut(true), 1),
        (Step::answer("x").then_error(Error::new(ErrorKind::Other, "")), restarting(), 1),
        (
            Step::answer("x").then_error(Error::new(ErrorKind::Other, "")),
            restarting().stop_on(ErrorKind::Other),
            0,
        ),
    ] {
        let models = [ScriptedModel::new("p:a").then(step), ScriptedModel::new("p:b")];
        let client = builder(&models).policy(policy).build().unwrap();
        let (read, report) = stream(&client, "hi").await;
        assert_eq!((read.discards, models[1].started()), (asked, asked));
        assert_eq!(report.attempts()[0].fallback_eligible, asked == 1);
    }
    // It stops there on the way, too.
    let models = [
        ScriptedModel::new("p:a").then(cut()),
        ScriptedModel::new("p:b").then(Step::refusal("I would rather not.")),
        ScriptedModel::new("p:c"),
    ];
    let (read, report) = stream(&client(&models), "hi").await;
    assert_eq!((read.text(), report.ended(), models[2].started()), ("half an answer", Ended::Interrupted, 0));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_call_covers_the_restart() {
    let silent = || ScriptedModel::new("p:silent").then(Step::stall());
    let models = [ScriptedModel::new("p:cut").then(cut().delayed(secs(2))), silent()];
    let call = || Call::new("hi").timeouts(Timeouts::new().total(secs(10)));
    let (read, report) = stream(&client(&models), call()).await;
    assert_eq!((read.discards, read.text()), (0, "half an answer"));
    assert_eq!(read.kind(), Some(ErrorKind::Truncated));
    assert_eq!((report.ended(), report.elapsed()), (Ended::Interrupted, secs(10)));
    assert_eq!(
        trail(&report),
        ["p:cut interrupted truncated @stream", "p:silent failed timeout/total @first_token"]
    );
    // A cut by the call's own clock leaves no time for anyone.
    let models = [ScriptedModel::new("p:slow").then(Step::answer("half an").then_stall()), silent()];
    let (_, report) = stream(&client(&models), call()).await;
    assert_eq!(trail(&report), ["p:slow interrupted timeout/total @stream"]);
    assert_eq!(report.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn those_who_take_over_are_retried_like_others_and_the_one_that_was_cut_is_not() {
    let models = [
        ScriptedModel::new("p:a").then(cut()),
        ScriptedModel::new("p:b").then(failing(ErrorKind::Overloaded)).then(Step::answer("the whole")),
    ];
    let policy = restarting().transient_retries(1).backoff(ms(100), ms(100));
    let client = builder(&models).policy(policy).build().unwrap();
    let (read, report) = stream(&client, "hi").await;
    assert_eq!((read.discards, read.text()), (1, "the whole"));
    let launches: Vec<_> = report.attempts().iter().map(|attempt| attempt.launch).collect();
    assert_eq!(launches, [Launch::Primary, Launch::Failover, Launch::Retry]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_whole_takes_over_as_well() {
    let whole =
        Candidate::from(ScriptedModel::new("p:b").then(Step::delay(secs(20)))).stream(StreamMode::Never);
    let client = ResilientClient::builder()
        .candidate(ScriptedModel::new("p:a").then(cut()))
        .candidate(whole)
        .policy(restarting())
        .build()
        .unwrap();
    let (read, report) = stream(&client, "hi").await;
    assert_eq!((read.discards, read.text()), (1, "ok"));
    assert_eq!(trail(&report), ["p:a interrupted truncated @stream", "p:b success @response"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_discarded_is_not_what_the_caller_was_left_with() {
    for mode in [StreamMode::Never, StreamMode::Auto] {
        let second =
            Candidate::from(ScriptedModel::new("p:b").then(Step::answer("another one"))).stream(mode);
        let client = ResilientClient::builder()
            .candidate(ScriptedModel::new("p:a").then(cut()))
            .candidate(second)
            .policy(restarting())
            .build()
            .unwrap();
        // Given up right after `Discard`, and after something had come in place of what was discarded.
        for events in [0, 1] {
            let mut stream = client.failover_stream("hi").await.unwrap();
            while stream.next().await.unwrap().unwrap() != StreamEvent::Discard {}
            for _ in 0..events {
                assert!(matches!(
                    stream.next().await.unwrap().unwrap(),
                    StreamEvent::Started(_) | StreamEvent::Text(_)
                ));
            }
            let report = stream.into_report();
            let attempts = report.attempts();
            assert_eq!(attempts[0].to_string(), "p:a interrupted truncated @stream");
            assert_eq!((attempts[1].outcome.as_str(), attempts[1].handed_out), ("cancelled", true));
            assert_eq!((report.ended(), report.partial()), (Ended::Interrupted, None));
            let back: Report = serde_json::from_value(serde_json::to_value(&report).unwrap()).unwrap();
            assert_eq!((back.partial(), back.attempts()[1].handed_out), (None, true));
            assert_eq!(back.attempts()[0].partial().unwrap().text, "half an answer");
            let error = report.into_result().unwrap_err();
            assert!(std::error::Error::source(&error).is_none(), "nothing cut the answer that it was given");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trail_usage_cost_and_time_are_readable_while_it_starts_anew() {
    let usage = StreamEvent::Usage(llm_protocol::Usage {
        input_tokens: Some(10),
        output_tokens: Some(2),
        ..llm_protocol::Usage::default()
    });
    let price = Price::new("USD", "1".parse().unwrap(), "1".parse().unwrap());
    let candidates = [
        ScriptedModel::new("p:a").then(Step::events([usage]).then_text("half").then_end()),
        ScriptedModel::new("p:b").then(failing(ErrorKind::Server)),
        ScriptedModel::new("p:c").then(Step::answer("one two").delayed(secs(5))),
    ]
    .map(|model| Candidate::from(model).price(price.clone()));
    let client = ResilientClient::builder().candidates(candidates).policy(restarting()).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    while let Some(Some(_)) = stream.next().now_or_never() {}
    let so_far: Vec<_> = stream.attempts().iter().map(ToString::to_string).collect();
    assert_eq!(so_far, ["p:a interrupted truncated @stream", "p:b failed server @first_token"]);
    assert_eq!((stream.usage().total(), stream.cost()[0].total.to_string()), (Some(12), "0.000012".into()));
    tokio::time::advance(secs(3)).await;
    assert_eq!(stream.elapsed(), secs(3));
    let rest = read(&mut stream).await;
    assert_eq!((rest.discards, rest.text()), (1, "one two"));
    assert_eq!((stream.attempts().len(), stream.usage().total()), (3, Some(24)));
    assert_eq!(stream.elapsed(), secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stays_away_in_between_holds_it_against_nobody() {
    let models = [
        ScriptedModel::new("p:a").then(cut()),
        ScriptedModel::new("p:b").then(Step::stall()),
        ScriptedModel::new("p:c").then(Step::answer("the whole").delayed(secs(5))),
    ];
    let client = client(&models);
    let call = Call::new("hi").timeouts(Timeouts::new().total(secs(600)));
    let mut stream = client.failover_stream(call).await.unwrap();
    while let Some(Some(_)) = stream.next().now_or_never() {}
    tokio::time::advance(secs(300)).await;
    let rest = read(&mut stream).await;
    assert_eq!((rest.discards, rest.text()), (1, "the whole"));
    assert_eq!(
        trail(&stream.into_report()),
        [
            "p:a interrupted truncated @stream",
            "p:b failed timeout/first_token @first_token",
            "p:c success @stream",
        ]
    );
    assert_eq!(client.status().await[1].1.failures, 0, "nobody waited for it");

    // Nor that a provider hung up which nobody listened to.
    let gone = || Error::new(ErrorKind::Connection, "");
    let later = Step::reasoning("hm").after(secs(1)).then_error(gone());
    let at_once = Step::error(gone()).delayed(secs(1));
    for (step, pause, failures) in [(&later, 100, 0), (&later, 10, 1), (&at_once, 100, 0), (&at_once, 10, 1)]
    {
        let second = ScriptedModel::new("p:b").then(step.clone());
        let client = self::client(&[models[0].clone(), second, ScriptedModel::new("p:c")]);
        let mut stream = client.failover_stream("hi").await.unwrap();
        while let Some(Some(_)) = stream.next().now_or_never() {}
        tokio::time::advance(secs(pause)).await;
        assert_eq!(read(&mut stream).await.text(), "ok");
        assert_eq!(trail(&stream.into_report())[1], "p:b failed connection @first_token");
        assert_eq!(client.status().await[1].1.failures, failures, "{pause}");
    }

    // What has come meanwhile is there.
    let models = [models[0].clone(), models[2].clone()];
    let mut stream =
        common::builder(&models).policy(restarting()).build().unwrap().failover_stream("hi").await.unwrap();
    while let Some(Some(_)) = stream.next().now_or_never() {}
    tokio::time::advance(secs(100)).await;
    assert_eq!(read(&mut stream).await.text(), "the whole");
}

/// Polls the stream this often, moving time on in between, and says how far it was read.
async fn poll(stream: &mut FailoverStream, polls: usize) -> (Read, bool) {
    let mut read = Read::new();
    for _ in 0..polls {
        match std::pin::Pin::new(&mut *stream).poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(item)) => read.take(item),
            Poll::Ready(None) => return (read, true),
            Poll::Pending => tokio::time::advance(ms(50)).await,
        }
    }
    (read, false)
}

#[tokio::test(start_paused = true)]
async fn it_may_be_given_up_at_every_poll_and_every_attempt_shows() {
    let slow = |step: Step| step.prepared_after(ms(60)).connected_after(ms(60)).delayed(ms(120));
    let policy = restarting().transient_retries(1).backoff(ms(100), ms(100));
    // With a hint, so that the pause is the same every time.
    let failing = || Step::error(Error::new(ErrorKind::Server, "").with_retry_after(ms(100)));
    let (mut endings, mut polls, mut done) = (Vec::new(), 0, false);
    while !done {
        for reported in [true, false] {
            let models = [
                ScriptedModel::new("p:a").then(cut().paced(ms(30))),
                ScriptedModel::new("p:b").then(slow(failing())).then(slow(cut().paced(ms(30)))),
                ScriptedModel::new("p:c").then(slow(Step::answer("the whole").paced(ms(60)))),
            ];
            let seen = Seen::default();
            let client = builder(&models).policy(policy.clone()).observer(seen.clone()).build().unwrap();
            let mut stream = client.failover_stream("hi").await.unwrap();
            let read;
            (read, done) = poll(&mut stream, polls).await;
            let place = format!("after {polls} polls");
            let before = stream.attempts().len();
            if reported {
                let report = stream.into_report();
                assert_eq!(seen.take(), trail(&report), "{place}");
                assert!(report.attempts().len() <= before + 1, "{place}: the trail had been up to date");
                let ordinals: Vec<_> = report.attempts().iter().map(|attempt| attempt.ordinal).collect();
                assert_eq!(ordinals, (0..u32::try_from(ordinals.len()).unwrap()).collect::<Vec<_>>());
                assert_eq!(report.succeeded(), read.answer.is_finished(), "{place}");
                // An answer that was still coming in is given up with its stream, and nothing before it is left.
                let given_up = trail(&report).last().unwrap().ends_with("cancelled @stream");
                let held = report.response().or(report.partial()).map(|held| held.text.as_str());
                assert_eq!(held, (!given_up).then(|| read.text()), "{place}");
                endings.push(trail(&report).join(", "));
            } else {
                drop(stream);
                assert_eq!(seen.take().join(", "), *endings.last().unwrap(), "{place}");
            }
            assert!(models.iter().all(|model| model.in_flight() == 0), "{place}: a call is still out");
        }
        polls += 1;
        assert!(polls < 500, "it never ends");
    }
    endings.dedup();
    let (first, second) = ("p:a interrupted truncated @stream", "p:b interrupted truncated @stream");
    let failed = "p:b failed server @first_token";
    let expected = [
        "p:a cancelled @stream".to_owned(),
        format!("{first}, p:b cancelled @prepare"),
        format!("{first}, p:b cancelled @connect"),
        format!("{first}, p:b cancelled @first_token"),
        // During the pause before the retry nothing is under way.
        format!("{first}, {failed}"),
        format!("{first}, {failed}, p:b cancelled @prepare"),
        format!("{first}, {failed}, p:b cancelled @connect"),
        format!("{first}, {failed}, p:b cancelled @first_token"),
        format!("{first}, {failed}, p:b cancelled @stream"),
        format!("{first}, {failed}, {second}, p:c cancelled @prepare"),
        format!("{first}, {failed}, {second}, p:c cancelled @connect"),
        format!("{first}, {failed}, {second}, p:c cancelled @first_token"),
        format!("{first}, {failed}, {second}, p:c cancelled @stream"),
        format!("{first}, {failed}, {second}, p:c success @stream"),
    ];
    assert_eq!(endings, expected);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_on_the_way_gives_its_slot_back() {
    let settings = Settings::default().failure_threshold(NonZeroU32::new(2).unwrap()).cooldown(secs(10));
    let models = [
        ScriptedModel::new("p:a").then_times(2, failing(ErrorKind::BadRequest)).then(cut()),
        ScriptedModel::new("p:b").then_times(2, failing(ErrorKind::Server)).then(Step::stall()),
    ];
    let client = builder(&models).policy(restarting()).breaker_settings(settings).build().unwrap();
    for _ in 0..2 {
        client.failover("hi").await.unwrap();
    }
    assert_eq!(client.status().await[1].1.state, State::Open);
    tokio::time::advance(secs(10)).await;
    for reported in [true, false] {
        let mut stream = client.failover_stream("hi").await.unwrap();
        while let Some(Some(_)) = stream.next().now_or_never() {}
        assert_eq!(client.status().await[1].1.probes, 1, "the probe is out");
        if reported {
            let report = stream.into_report();
            assert_eq!(trail(&report)[1], "p:b cancelled @first_token");
            assert_eq!(report.partial().unwrap().text, "half an answer");
        } else {
            drop(stream);
        }
        let status = client.status().await[1].1;
        assert_eq!((status.probes, status.state), (0, State::HalfOpen));
    }
}

#[tokio::test(start_paused = true)]
async fn who_lost_to_a_hedge_takes_over_when_that_is_cut() {
    let slow = ScriptedModel::new("p:a").then(Step::delay(ms(9000))).then(Step::answer("whole"));
    let cut = ScriptedModel::new("p:b").then(Step::answer("half").then_end());
    let hedge = llm_reliability::Hedge::after(ms(1000));
    let policy = Policy::default().restart_on_cut(true).hedge(hedge);
    let client = builder(&[slow, cut]).policy(policy).hedge_budget(1.0).build().unwrap();
    let mut stream = client.failover_stream("hi").await.unwrap();
    let mut answer = llm_protocol::ResponseBuilder::default();
    while let Some(event) = stream.next().await {
        answer.absorb(&event.unwrap());
    }
    assert_eq!(answer.response().text, "whole");
    let trail = ["p:a cancelled @first_token", "p:b interrupted truncated @stream", "p:a success @stream"];
    assert_eq!(common::trail(&stream.into_report()), trail);
}
