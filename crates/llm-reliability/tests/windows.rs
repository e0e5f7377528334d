//! What a candidate can carry: context windows, filters and refusals, and what a request needs that it may lack.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Seen, assert_goes_both_ways, assert_received, builder, failing, letters, ms, secs, trail};
use futures::StreamExt;
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{
    Capabilities, Error, ErrorKind, FinishReason, HealthStatus, Image, Message, ModelAdapter, Progress,
    Request, Response, ResponseFormat, Tool,
};
use llm_reliability::circuit_breaker::{Mode, Settings, State, Status, async_trait};
use llm_reliability::{
    Call, Candidate, Ended, LeastInFlight, Lineup, Outcome, Policy, ResilientClient, RoundRobin, StreamMode,
};
use parking_lot::Mutex;

/// Models from `p:a` on with these windows, in thousands; none is known where it is 0.
fn windowed(windows: &[u64], step: impl Fn() -> Step) -> Vec<ScriptedModel> {
    let model = |(id, window): (char, &u64)| {
        let model = ScriptedModel::new(&format!("p:{id}")).then(step());
        if *window > 0 { model.with_context_window(*window * 1000) } else { model }
    };
    ('a'..).zip(windows).map(model).collect()
}

fn too_long() -> Step {
    failing(ErrorKind::ContextLength)
}

/// Whom a failover asks, and a stream after it.
async fn asked(client: &ResilientClient, models: &[ScriptedModel], seen: &Seen) -> String {
    let report = client.failover("hi").await.unwrap();
    assert_goes_both_ways(&report);
    let mut stream = client.failover_stream("hi").await.unwrap();
    while stream.next().await.is_some() {}
    let streamed = stream.into_report();
    assert_eq!(streamed.ended(), report.ended());
    assert_eq!(letters(streamed.attempts()), letters(report.attempts()), "a stream goes the same way");
    assert_received(models, &seen.attempts());
    letters(report.attempts())
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_too_long_goes_to_larger_windows_first() {
    for (windows, expected) in [
        // Larger ones, then the rest, each in the usual order.
        (&[8, 4, 32, 0, 16][..], "acebd"),
        // Each failure looks at those who are left anew.
        (&[8, 16, 12, 32, 0], "abdce"),
        (&[8, 32, 16, 64], "abdc"),
        // As large is not larger.
        (&[8, 8, 9], "acb"),
        (&[32, 8, 16], "abc"),
        // Who does not know its own window changes nothing.
        (&[0, 4, 32], "abc"),
        (&[0, 8, 4, 16], "abdc"),
        // Nor does who knows of nobody else's.
        (&[8, 0, 0], "abc"),
        (&[8], "a"),
    ] {
        let (models, seen) = (windowed(windows, too_long), Seen::default());
        let client = builder(&models).observer(seen.clone()).build().unwrap();
        assert_eq!(asked(&client, &models, &seen).await, expected, "{windows:?}");
        let failed = seen.attempts().iter().all(|attempt| attempt.fallback_eligible);
        assert!(failed, "it is the request that is too long");
        let untouched = client.status().await.iter().all(|(_, status)| *status == Status::default());
        assert!(untouched, "and nobody's circuit pays for it");
    }
}

#[tokio::test(start_paused = true)]
async fn only_that_failure_looks_at_windows() {
    for kind in [ErrorKind::TooLarge, ErrorKind::BadRequest, ErrorKind::Server, ErrorKind::RateLimited] {
        let (models, seen) = (windowed(&[8, 4, 32], || failing(kind)), Seen::default());
        let client = builder(&models).observer(seen.clone()).build().unwrap();
        assert_eq!(asked(&client, &models, &seen).await, "abc", "{kind:?}");
    }
    // Others that fail on the way leave the order as it has become.
    let windows = [8, 4, 32, 16];
    let models = [
        windowed(&windows, too_long).remove(0),
        windowed(&windows, too_long).remove(1),
        windowed(&windows, || failing(ErrorKind::Server)).remove(2),
        windowed(&windows, || Step::empty(FinishReason::Stop)).remove(3),
    ];
    let seen = Seen::default();
    let client = builder(&models).observer(seen.clone()).build().unwrap();
    assert_eq!(asked(&client, &models, &seen).await, "acdb");
}

#[tokio::test(start_paused = true)]
async fn the_larger_window_answers() {
    let models = [
        windowed(&[8], || Step::prepare_error(Error::new(ErrorKind::ContextLength, "counted"))).remove(0),
        ScriptedModel::new("p:b").with_context_window(4000),
        ScriptedModel::new("p:c").with_context_window(32_000).then(Step::answer("all of it")),
    ];
    let (client, seen) = (builder(&models), Seen::default());
    let report = client.observer(seen.clone()).build().unwrap().failover("hi").await.unwrap();
    // Also when it shows before anything is sent.
    assert_eq!(trail(&report), ["p:a failed context_length @prepare", "p:c success @stream"]);
    assert_eq!(models[1].invoked(), 0);
    assert_received(&models, &seen.attempts());
    // A policy that stops on it stops.
    let stopping = Policy::default().stop_on(ErrorKind::ContextLength);
    let report = common::client(&models).failover(Call::new("hi").policy(stopping)).await.unwrap();
    assert_eq!((letters(report.attempts()), report.ended()), ("a".into(), Ended::Stopped));
}

#[tokio::test(start_paused = true)]
async fn windows_come_before_priorities_and_before_the_order_of_the_call() {
    let (models, seen) = (windowed(&[8, 4, 16, 32], too_long), Seen::default());
    let rotating = builder(&models).order(RoundRobin::default()).observer(seen.clone()).build().unwrap();
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(letters(rotating.failover("hi").await.unwrap().attempts()));
    }
    // Each in turn. After a, with 8, comes c with 16, and after that d with 32.
    assert_eq!(lines, ["acdb", "bacd", "cdab", "dacb"]);
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn who_was_retried_before_and_who_is_waited_for_are_sorted_too() {
    let flaky = |model: ScriptedModel| model.then(failing(ErrorKind::Server)).then(too_long());
    let models = [
        flaky(ScriptedModel::new("p:a").with_context_window(8000)),
        ScriptedModel::new("p:b").with_context_window(4000).then(too_long()),
        ScriptedModel::new("p:c").with_context_window(16_000).then(too_long()),
    ];
    let policy = Policy::default().transient_retries(1).backoff(ms(1), ms(1));
    let seen = Seen::default();
    let client = builder(&models).policy(policy).observer(seen.clone()).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(letters(report.attempts()), "aacb");
    assert_received(&models, &seen.attempts());

    let models = windowed(&[8, 4, 16], || failing(ErrorKind::Server));
    let models: Vec<_> = models.into_iter().map(|model| model.then(too_long())).collect();
    let seen = Seen::default();
    let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
    let policy = Policy::default().wait_when_unavailable(secs(20));
    let client = builder(&models).breaker_settings(once).policy(policy).observer(seen.clone());
    let client = client.build().unwrap();
    assert_eq!(letters(client.failover("hi").await.unwrap().attempts()), "abc");
    let report = client.failover("hi").await.unwrap();
    assert_eq!((letters(report.attempts()), report.elapsed()), ("abcacb".into(), secs(10)));
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_cut_for_want_of_room_is_taken_over_by_a_larger_window() {
    let full = Error::new(ErrorKind::ContextLength, "the window is full");
    let models: Vec<_> = windowed(&[8, 4, 32], || Step::answer("half of").then_error(full.clone()));
    let seen = Seen::default();
    let policy = Policy::default().restart_on_cut(true);
    let client = builder(&models).policy(policy).observer(seen.clone()).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(letters(report.attempts()), "acb");
    let mut stream = client.failover_stream("hi").await.unwrap();
    while stream.next().await.is_some() {}
    assert_eq!(letters(stream.into_report().attempts()), "acb");
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn a_filter_moves_on_and_a_refusal_stops_unless_the_policy_says_otherwise() {
    let (stopped, went_on) = (("a".to_owned(), Ended::Stopped), ("ab".to_owned(), Ended::Answered));
    let filters = [
        Step::empty(FinishReason::ContentFilter),
        failing(ErrorKind::ContentFilter),
        Step::prepare_error(Error::new(ErrorKind::ContentFilter, "not that")),
    ];
    let refusals = [
        Step::refusal("I would rather not."),
        Step::refusal("No.").finishing(FinishReason::Stop),
        failing(ErrorKind::Refusal),
    ];
    for (steps, kind, by_default) in
        [(filters, ErrorKind::ContentFilter, &went_on), (refusals, ErrorKind::Refusal, &stopped)]
    {
        for step in steps {
            for (policy, expected) in [
                (Policy::default(), by_default),
                (Policy::default().stop_on(kind), &stopped),
                (Policy::default().stop_on(kind).stop_on(kind).advance_on(kind), &went_on),
                (Policy::keel(), &went_on),
                (Policy::keel().stop_on(kind), &stopped),
                // It stops on other things.
                (Policy::robust(), &went_on),
                (Policy::robust().stop_on(kind), &stopped),
                (Policy::default().advance_on(kind), &went_on),
                // Neither is ever tried again.
                (Policy::default().advance_on(kind).transient_retries(3), &went_on),
            ] {
                let models = [ScriptedModel::new("p:a").then(step.clone()), ScriptedModel::new("p:b")];
                let seen = Seen::default();
                let client = builder(&models).policy(policy.clone()).observer(seen.clone()).build().unwrap();
                let report = client.failover("hi").await.unwrap();
                assert_eq!((letters(report.attempts()), report.ended()), *expected, "{kind:?} {policy:?}");
                let failed = report.attempts()[0].error().unwrap();
                assert_eq!((failed.kind(), failed.blames_model()), (kind, false));
                assert_goes_both_ways(&report);
                let mut stream = client.failover_stream("hi").await.unwrap();
                while stream.next().await.is_some() {}
                assert_eq!(letters(stream.into_report().attempts()), expected.0, "{kind:?} {policy:?}");
                assert_eq!(client.status().await[0].1, Status::default(), "no fault of the model's");
                assert_received(&models, &seen.attempts());
            }
        }
    }
}

/// Requests that need something, and what it is called.
fn needs() -> Vec<(Request, &'static str)> {
    let hi = || Request::from("hi");
    let schema = || serde_json::json!({"type": "object"});
    let image = Image::Url { url: "https://example.com/cat.png".into() };
    vec![
        (hi().tool(Tool::new("now", schema())), "tools"),
        (Request::new([Message::user("hi"), Message::tool("1", "now", "noon")]), "tools"),
        (hi().response_format(ResponseFormat::JsonObject), "json_object"),
        (hi().response_format(ResponseFormat::json_schema("answer", schema())), "json_schema"),
        (Request::new([Message::user("look").image(image)]), "images"),
    ]
}

/// A model that honours all but this.
fn all_but(key: &str, missing: &str) -> ScriptedModel {
    let model = ScriptedModel::new(key);
    let model = if missing == "tools" { model } else { model.with_tools() };
    let model = if missing == "json_object" { model } else { model.with_json_object() };
    let model = if missing == "json_schema" { model } else { model.with_json_schema() };
    if missing == "images" { model } else { model.with_images() }
}

#[tokio::test(start_paused = true)]
async fn who_lacks_what_is_needed_is_passed_over_and_its_circuit_never_asked() {
    for (request, missing) in needs() {
        // One after the other, all at once, and as a stream.
        let models = [all_but("p:a", missing), all_but("p:b", "nothing"), all_but("p:c", missing)];
        let seen = Seen::default();
        let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
        let client = builder(&models).breaker_settings(once).observer(seen.clone()).build().unwrap();
        let report = client.failover(request.clone()).await.unwrap();
        assert_eq!(trail(&report), ["p:a preempted_unsupported unsupported", "p:b success @stream"]);
        let passed_over = &report.attempts()[0];
        assert!(passed_over.error().unwrap().message().contains(missing), "{missing}: {passed_over:?}");
        assert!(passed_over.fallback_eligible && passed_over.phase.is_none() && report.degraded());
        assert_goes_both_ways(&report);
        let stream = client.failover_stream(request.clone()).await.unwrap();
        assert_eq!(trail(&stream.into_report())[0], "p:a preempted_unsupported unsupported");
        let panel = client.fan_out(request.clone()).await.unwrap();
        assert_eq!(panel.responses().map(|(key, _)| &**key).collect::<Vec<_>>(), ["p:b"]);
        assert_received(&models, &seen.attempts());
        assert_eq!((models[0].invoked(), models[2].invoked()), (0, 0), "{missing}");

        // Nobody is left: it is exhausted, and waiting is no way out.
        let alone = builder(&models[..1]).policy(Policy::default().wait_when_unavailable(secs(60)));
        let report = alone.build().unwrap().failover(request.clone()).await.unwrap();
        assert_eq!((report.ended(), report.retry_after()), (Ended::Exhausted, None));
        assert_eq!(report.elapsed(), secs(0));
        // Held open or not makes no difference: the circuit is not asked.
        client.set_mode("p:a", Mode::ForcedOpen).await.unwrap();
        let report = client.failover(request).await.unwrap();
        assert_eq!(trail(&report)[0], "p:a preempted_unsupported unsupported", "{missing}");
    }
    // A request that needs nothing goes to whoever is first.
    let models = [ScriptedModel::new("p:a"), all_but("p:b", "nothing")];
    let report =
        common::client(&models).failover(Request::from("hi").temperature(0.5).seed(1)).await.unwrap();
    assert_eq!(trail(&report), ["p:a success @stream"]);
}

#[tokio::test(start_paused = true)]
async fn who_lacks_something_does_not_take_the_probe_of_an_open_circuit() {
    for (request, missing) in needs() {
        let models = [all_but("p:a", missing).then(failing(ErrorKind::Server)).then(Step::answer("back"))];
        let once = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
        let client = builder(&models).breaker_settings(once).build().unwrap();
        client.failover("hi").await.unwrap();
        tokio::time::advance(secs(10)).await;
        for _ in 0..3 {
            let report = client.failover(request.clone()).await.unwrap();
            assert_eq!(trail(&report), ["p:a preempted_unsupported unsupported"]);
            let status = client.status().await[0].1;
            assert_eq!((status.state, status.probes), (State::Open, 0), "nobody has asked it");
        }
        let report = client.failover("hi").await.unwrap();
        assert_eq!((report.succeeded(), client.status().await[0].1.state), (true, State::Closed));
        assert_eq!((models[0].started(), models[0].open()), (2, 0));
    }
}

/// A model that tells what it can do so often, and panics from then on.
struct Moody(ScriptedModel, AtomicUsize);

impl Moody {
    fn telling(model: ScriptedModel, tells: usize) -> Candidate {
        Candidate::new(Arc::new(Self(model, AtomicUsize::new(tells))))
    }
}

#[async_trait]
impl ModelAdapter for Moody {
    fn key(&self) -> &str {
        self.0.key()
    }

    fn provider(&self) -> &str {
        self.0.provider()
    }

    fn model(&self) -> &str {
        self.0.model()
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let left = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.expect("it will not say");
        self.0.capabilities()
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        self.0.generate(request, progress).await
    }

    async fn health_check(&self) -> HealthStatus {
        self.0.health_check().await
    }
}

#[tokio::test(start_paused = true)]
async fn capabilities_that_panic_are_a_failure_like_others() {
    // At once, and when its window is looked at.
    for (tells, expected, started) in
        [(0, "p:m failed other", 0), (2, "p:m failed context_length @first_token", 1)]
    {
        let moody = ScriptedModel::new("p:m").with_context_window(64_000).then(too_long());
        let models = windowed(&[16, 8, 32], too_long);
        let (seen, counts) = (Seen::default(), Arc::<Mutex<Vec<usize>>>::default());
        let watch = Arc::clone(&counts);
        let client = ResilientClient::builder()
            .candidate(Moody::telling(moody.clone(), tells))
            .candidates(models.clone())
            .order(move |lineup: &mut Lineup<'_>| {
                *watch.lock() = lineup.listed().map(|each| each.in_flight()).collect();
            })
            .observer(seen.clone());
        let client = client.build().unwrap();
        let report = client.failover("hi").await.unwrap();
        assert_eq!(trail(&report)[0], expected);
        assert_eq!(letters(report.attempts()), "macb", "its window is as good as unknown");
        assert!(matches!(report.attempts()[0].outcome, Outcome::Failed(_)));
        assert_goes_both_ways(&report);
        let streamed = client.failover_stream("hi").await.unwrap().into_report();
        assert_eq!(letters(streamed.attempts()), "macb");
        client.fan_out("hi").await.unwrap();
        client.failover("hi").await.unwrap();
        assert_eq!((*counts.lock()).clone(), [0; 4], "nothing is left on the count");
        assert_eq!((moody.started(), moody.open()), (started, 0));
        assert_received(&models, &seen.attempts());
    }
}

#[tokio::test(start_paused = true)]
async fn who_panics_before_it_is_asked_has_received_nothing() {
    // The way to stream is looked up after the admission.
    let moody = ScriptedModel::new("p:m").then(too_long());
    let client = ResilientClient::builder().candidate(Moody::telling(moody.clone(), 1)).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(report.ended(), Ended::Exhausted);
    assert_received(&[moody], report.attempts());
}

#[tokio::test(start_paused = true)]
async fn whose_capabilities_panic_has_an_unknown_window_to_others() {
    // Nobody asks it before its turn but for its window, and then it is neither larger nor first.
    let moody = ScriptedModel::new("p:m").with_context_window(64_000).then(Step::answer("never"));
    let models = windowed(&[8, 32], too_long);
    let seen = Seen::default();
    let client = ResilientClient::builder()
        .candidate(models[0].clone())
        .candidate(Moody::telling(moody.clone(), 0))
        .candidate(models[1].clone())
        .order(LeastInFlight)
        .observer(seen.clone())
        .build()
        .unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(letters(report.attempts()), "abm");
    assert_eq!((report.ended(), moody.invoked()), (Ended::Exhausted, 0));
    assert_received(&models, &seen.attempts());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_streamed_goes_the_same_way() {
    let models = windowed(&[8, 4, 32], too_long);
    let candidates = models.iter().cloned().map(|model| Candidate::from(model).stream(StreamMode::Never));
    let client = ResilientClient::builder().candidates(candidates).build().unwrap();
    let report = client.failover("hi").await.unwrap();
    assert_eq!(letters(report.attempts()), "acb");
    assert_eq!(trail(&report)[0], "p:a failed context_length @response");
    assert_received(&models, report.attempts());
}
