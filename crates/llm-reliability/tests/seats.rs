//! Who has a seat: by key, several of one model, and such as cannot be sat on or that break.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cloned_ref_to_slice_refs, reason = "one model or several, it reads the same")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::fan_out::{after, answers, ask, ask_with, fails_after, silent};
use common::{Seen, builder, failing, ms, secs, trail};
use llm_protocol::testing::{ScriptedModel, Step};
use llm_protocol::{
    Capabilities, Error, ErrorKind, HealthStatus, ModelAdapter, Progress, Request, Response, Stage, Tool,
};
use llm_reliability::QuorumPolicy::{All, AtLeast, First, Majority};
use llm_reliability::circuit_breaker::{
    InProcessLimiter, Limits, RejectReason, Settings, State, async_trait,
};
use llm_reliability::{
    Attempt, Call, Candidate, Ended, FanOut, Hedge, InputError, Observer, Outcome, Policy, QuorumPolicy,
    ResilientClient,
};

#[tokio::test(start_paused = true)]
async fn several_seats_of_one_model_are_asked_each() {
    let steps = [failing(ErrorKind::Server), Step::answer("one"), Step::answer("two").delayed(secs(1))];
    let [a, b, c] = steps;
    let models = [ScriptedModel::new("p:a").then(a).then(b).then(c), after("p:b", secs(2))];
    let rules = FanOut::new(AtLeast(2)).seats(["p:a", "p:b", "p:a", "p:a"]).grace(secs(9));
    let report = ask(&models, rules).await;
    assert_eq!(answers(&report), ["p:b", "one", "two"]);
    assert_eq!((models[0].started(), models[1].started()), (3, 1));
    assert_eq!((report.quorum().unwrap().seats, report.elapsed()), (4, secs(2)));
}

#[tokio::test(start_paused = true)]
async fn seats_of_one_model_share_its_circuit() {
    // Three failures in a row open it: all three have been asked by then, and count.
    let model = ScriptedModel::new("p:a")
        .then_times(3, failing(ErrorKind::Server).delayed(secs(1)))
        .then(Step::answer("back").delayed(secs(1)));
    let rules = FanOut::default().seats(["p:a"; 3]);
    let client = builder(&[model.clone()]).fan_out(rules).build().unwrap();
    client.fan_out("hi").await.unwrap();
    let status = &client.status().await[0].1;
    assert_eq!((status.state, status.failures), (State::Open, 3));
    assert_eq!(client.fan_out("hi").await.unwrap().ended(), Ended::Unavailable);

    // One probe at a time: one seat has it, the others are passed over, and it decides.
    tokio::time::advance(secs(120)).await;
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!(trail(&report), ["p:a success @stream", "p:a preempted_open", "p:a preempted_open"]);
    let probes_taken = |attempt: &&Attempt| {
        matches!(attempt.outcome, Outcome::PreemptedOpen { reason: RejectReason::ProbesTaken, .. })
    };
    assert_eq!(report.attempts().iter().filter(probes_taken).count(), 2);
    assert_eq!(client.status().await[0].1.state, State::Closed);
    assert_eq!(model.started(), 4);
    assert_eq!(answers(&client.fan_out("hi").await.unwrap()), ["back"; 3]);
}

#[tokio::test(start_paused = true)]
async fn seats_of_one_model_share_its_limits() {
    let two = Limits::default().in_flight(NonZeroU32::new(2).unwrap());
    let limiter = Arc::new(InProcessLimiter::default().limits_for("p:a", two));
    let model = after("p:a", secs(1));
    let client = builder(&[model.clone()]).limiter(limiter).build().unwrap();
    for policy in [AtLeast(2), All, First] {
        let call = Call::new("hi").fan_out(FanOut::new(policy).seats(["p:a"; 3]));
        let report = client.fan_out(call).await.unwrap();
        assert_eq!(trail(&report)[2], "p:a preempted_limited", "{policy:?}");
        // The third was passed over for the whole of the call: a seat is asked a single time.
        assert_eq!(answers(&report).len(), if policy == First { 1 } else { 2 });
    }
    assert_eq!((model.started(), model.open()), (6, 0), "each call found both places free");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_nobody_waits_for_decides_nothing() {
    let one = Settings::default().failure_threshold(NonZeroU32::MIN).cooldown(secs(10));
    let sick = ScriptedModel::new("p:b").then(failing(ErrorKind::Server)).then(Step::stall());
    let models = [after("p:a", secs(1)), sick];
    let rules = FanOut::new(First).grace(secs(1));
    let client = builder(&models).breaker_settings(one).fan_out(rules).build().unwrap();
    client.fan_out("hi").await.unwrap();
    assert_eq!(client.status().await[1].1.state, State::Open);
    for probe in 2..6 {
        tokio::time::advance(secs(10)).await;
        let report = client.fan_out("hi").await.unwrap();
        assert_eq!(trail(&report)[1], "p:b cancelled @first_token");
        let status = &client.status().await[1].1;
        assert_eq!((status.state, status.probes), (State::HalfOpen, 0), "the place is free again");
        assert_eq!(models[1].started(), probe);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sat_is_refused_before_anybody_is_asked() {
    let unknown = |key: &str| InputError::UnknownCandidate(key.into());
    let nobody: [&str; 0] = [];
    let table = [
        (FanOut::default().seats(["p:a", "p:x"]), Some(unknown("p:x"))),
        (FanOut::default().bench(["p:b", "p:y"]), Some(unknown("p:y"))),
        (FanOut::default().seats(["p:x"]).bench(["p:y"]), Some(unknown("p:y"))),
        (FanOut::default().seats(nobody), Some(InputError::NoCandidates)),
        (FanOut::new(AtLeast(0)).seats(nobody), Some(InputError::NoCandidates)),
        (FanOut::default().bench(["p:a", "p:b", "p:c"]), Some(InputError::NoCandidates)),
        (FanOut::default().seats(["p:a"; 2]), None),
        (FanOut::new(AtLeast(3)), None),
    ];
    let quorums = [
        // A quorum, how many seats there are for it, how many are wanted.
        (FanOut::new(AtLeast(0)), 3, 0),
        (FanOut::new(AtLeast(4)), 3, 4),
        (FanOut::new(AtLeast(usize::MAX)), 3, usize::MAX),
        (FanOut::new(AtLeast(3)).seats(["p:a", "p:b"]), 2, 3),
        // A substitute takes a seat and adds none.
        (FanOut::new(AtLeast(3)).bench(["p:c"]), 2, 3),
    ];
    let shown = |error: &InputError| error.to_string();
    let refused = |seats: usize, required: usize| format!("{required} of {seats} answers cannot be a quorum");
    let quorums = quorums.into_iter().map(|(rules, seats, required)| (rules, Some(refused(seats, required))));
    let table = table.into_iter().map(|(rules, error)| (rules, error.as_ref().map(shown)));
    for (rules, error) in table.chain(quorums) {
        let models = ["p:a", "p:b", "p:c"].map(ScriptedModel::new);
        let built = builder(&models).fan_out(rules.clone()).build().map(drop);
        assert_eq!(built.err().as_ref().map(shown), error, "{rules:?}");

        let seen = Seen::default();
        let client = builder(&models).observer(seen.clone()).build().unwrap();
        let call = || Call::new("hi").fan_out(rules.clone());
        assert_eq!(client.fan_out(call()).await.err().as_ref().map(shown), error, "{rules:?}");
        assert_eq!(client.panel(call()).err().as_ref().map(shown), error, "{rules:?}");
        if error.is_some() {
            assert!(models.iter().all(|model| model.invoked() == 0) && seen.take().is_empty());
            // Who asks otherwise does not need it.
            assert!(client.failover(call()).await.unwrap().succeeded());
        }
        let empty = Call::new("").fan_out(rules);
        assert_eq!(client.fan_out(empty).await.unwrap_err(), InputError::EmptyRequest);
    }
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_a_call_stand_in_place_of_the_clients() {
    let models = [1, 2, 3, 4, 5].map(|at| after(&format!("p:{at}"), secs(at)));
    let rules = FanOut::new(AtLeast(2)).seats(["p:3", "p:2", "p:1"]).grace(secs(9)).cutoff(secs(20));
    let client = builder(&models).fan_out(rules.clone()).build().unwrap();
    let all = client.fan_out("hi").await.unwrap();
    assert_eq!((answers(&all), all.elapsed()), (vec!["p:3", "p:2", "p:1"], secs(3)));
    // All of them: neither the seats nor the grace of the client are taken over.
    let call = Call::new("hi").fan_out(FanOut::new(Majority));
    let most = client.fan_out(call).await.unwrap();
    assert_eq!((most.attempts().len(), most.elapsed()), (5, secs(3)));
    let call = Call::new("hi").fan_out(rules.quorum(First));
    let first = client.fan_out(call).await.unwrap();
    assert_eq!((first.quorum().unwrap().policy, answers(&first).len()), (QuorumPolicy::First, 3));
    assert_eq!(client.fan_out("hi").await.unwrap().attempts().len(), 3, "the client's own still hold");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_twice_hedged_or_waited_for() {
    let policy = Policy::default()
        .transient_retries(5)
        .retry_timeouts(true)
        .wait_out_backpressure(secs(60))
        .backoff(ms(1), ms(1))
        .hedge(Hedge::after(ms(1)))
        .wait_when_unavailable(secs(60));
    let hinted = Step::error(Error::new(ErrorKind::RateLimited, "").with_retry_after(secs(1)));
    let models = [
        fails_after("p:a", secs(1)),
        ScriptedModel::new("p:b").then(hinted),
        after("p:c", secs(2)),
        silent("p:d"),
    ];
    let report = ask_with(&models, builder(&models).policy(policy.clone()).hedge_budget(1.0), "hi").await;
    assert_eq!((report.attempts().len(), report.elapsed()), (4, secs(15)));
    assert!(models.iter().all(|model| model.started() == 1));
    let throttled = &models[1..2];
    let client = builder(throttled).policy(policy).build().unwrap();
    client.fan_out("hi").await.unwrap();
    let report = client.fan_out("hi").await.unwrap();
    assert_eq!((report.ended(), report.elapsed()), (Ended::Unavailable, Duration::ZERO));
}

/// Panics wherever it is told to.
struct Broken {
    says_nothing_of_itself: bool,
    panics_when_dropped: bool,
}

struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("an adapter that cannot even be dropped");
    }
}

#[async_trait]
impl ModelAdapter for Broken {
    fn key(&self) -> &'static str {
        "p:broken"
    }

    fn provider(&self) -> &'static str {
        "p"
    }

    fn model(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities<'_> {
        assert!(!self.says_nothing_of_itself, "it does not know");
        Capabilities::new()
    }

    async fn generate(&self, _: &Request, progress: &Progress) -> Result<Response, Error> {
        progress.enter(Stage::Sent);
        let _trap = self.panics_when_dropped.then(|| Trap);
        std::future::pending().await
    }

    async fn health_check(&self) -> HealthStatus {
        HealthStatus::new("p:broken", Duration::ZERO, Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_panics_takes_nothing_from_the_others() {
    for (says_nothing_of_itself, outcome) in [(true, "failed other"), (false, "cancelled @response")] {
        let broken = Candidate::from(Broken { says_nothing_of_itself, panics_when_dropped: true });
        let models = [ScriptedModel::new("p:panics").then(Step::panic()), after("p:good", secs(1))];
        let seen = Seen::default();
        let observer = seen.clone();
        let observer = move |attempt: &Attempt| {
            observer.on_attempt(attempt);
            panic!("an observer that cannot look");
        };
        let client = ResilientClient::builder()
            .candidate(broken)
            .candidates(models)
            .limiter(Arc::new(InProcessLimiter::default()))
            .estimate_cost(|_| panic!("an estimate that nobody can make"))
            .observer(observer)
            .fan_out(FanOut::new(First))
            .build()
            .unwrap();
        let report = client.fan_out("hi").await.unwrap();
        let expected =
            [&format!("p:broken {outcome}"), "p:panics failed other @first_token", "p:good success @stream"];
        assert_eq!((trail(&report), report.ended()), (expected.map(str::to_owned).into(), Ended::QuorumMet));
        let mut told = seen.take();
        told.sort_by_key(|short| expected.iter().position(|line| line == short));
        assert_eq!(told, expected);
        assert!(client.status().await.iter().all(|(_, status)| status.failures == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_cannot_carry_the_request_is_passed_over() {
    let models = [after("p:plain", secs(1)), after("p:tools", secs(2)).with_tools()];
    let request = || Request::from("hi").tool(Tool::new("now", serde_json::json!({"type": "object"})));
    let report = ask_with(&models, builder(&models).fan_out(FanOut::new(First)), request()).await;
    assert_eq!(trail(&report), ["p:plain preempted_unsupported unsupported", "p:tools success @stream"]);
    assert_eq!(models[0].invoked(), 0);
    let report = ask_with(&models, builder(&models).fan_out(FanOut::new(AtLeast(2))), request()).await;
    assert_eq!((report.ended(), report.elapsed()), (Ended::QuorumNotMet, Duration::ZERO));
}
