//! Quorums over sockets: who is given up hangs up, and whose turn does not come is not asked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, select};
use llm_adapters::{OpenAi, OpenAiAdapter};
use llm_protocol::{
    Capabilities, Error, EventStream, HealthStatus, ModelAdapter, Progress, Request, Response, StreamEvent,
    StreamingModelAdapter,
};
use llm_reliability::circuit_breaker::{State, async_trait};
use llm_reliability::{Candidate, Ended, FanOut, Launch, QuorumPolicy, Report, ResilientClient};
use llm_simulator::{Behaviour, Ended as RequestEnded, Wire};
use llm_tests::{Lab, SHORT, Seen, WIRES, assert_received, ms, other, secs, trail, within};
use tokio::sync::watch;

/// An adapter that says when text has come, or waits for that, so that a test needs no clock to have its seats where it
/// wants them.
struct Staged {
    adapter: OpenAiAdapter,
    role: Role,
    text: watch::Sender<bool>,
}

enum Role {
    Tells,
    /// Until there is text, and these have been asked.
    Waits(Arc<Lab>, &'static [&'static str]),
}

#[async_trait]
impl ModelAdapter for Staged {
    fn key(&self) -> &str {
        self.adapter.key()
    }

    fn provider(&self) -> &str {
        self.adapter.provider()
    }

    fn model(&self) -> &str {
        self.adapter.model()
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities::new().with_streaming(self)
    }

    async fn generate(&self, request: &Request, progress: &Progress) -> Result<Response, Error> {
        self.adapter.generate(request, progress).await
    }

    async fn health_check(&self) -> HealthStatus {
        self.adapter.health_check().await
    }
}

#[async_trait]
impl StreamingModelAdapter for Staged {
    async fn stream(&self, request: &Request, progress: &Progress) -> Result<EventStream, Error> {
        if let Role::Waits(lab, asked) = &self.role {
            for model in *asked {
                lab.simulator.wait_received(model, 1).await;
            }
            self.text.subscribe().wait_for(|has_come| *has_come).await.unwrap();
        }
        let streaming = self.adapter.capabilities().streaming().unwrap();
        let events = streaming.stream(request, progress).await?;
        let text = self.text.clone();
        Ok(Box::pin(events.inspect(move |event| {
            if matches!(event, Ok(StreamEvent::Text(_))) {
                text.send_replace(true);
            }
        })))
    }
}

fn staged(lab: &Lab, model: &str, role: Role, text: &watch::Sender<bool>) -> Candidate {
    let base = format!("{}/v1", lab.simulator.base_url());
    let adapter =
        OpenAi::builder(model).key(model).base_url(base).api_key("a key").http_client(lab.http.clone());
    Candidate::from(Staged { adapter: adapter.build().unwrap(), role, text: text.clone() })
}

fn answers(report: &Report) -> Vec<(&str, &str)> {
    report.responses().map(|(key, response)| (&**key, response.text.as_str())).collect()
}

/// How the requests of this model ended, once all have.
async fn endings(lab: &Lab, model: &str) -> Vec<RequestEnded> {
    within(lab.simulator.wait_idle()).await;
    lab.simulator.requests(model).iter().map(|request| request.ended).collect()
}

async fn assert_unblamed(client: &ResilientClient) {
    for (key, status) in client.status().await {
        assert_eq!((status.state, status.failures), (State::Closed, 0), "{key}");
    }
}

/// Four seats: one is silent before its first token, one halts after it, and the last is asked when they have come to
/// that.
async fn four_seats(rules: FanOut) -> (Arc<Lab>, ResilientClient, Seen, Report) {
    let lab = Arc::new(Lab::start().await);
    lab.simulator.on("silent", Behaviour::default().no_first_token());
    lab.simulator.on("halts", Behaviour::answer("Half of it").stall_after(1));
    lab.simulator.on("early", Behaviour::answer("All of it"));
    lab.simulator.on("late", Behaviour::answer("All of it, too"));
    let (text, (observer, seen)) = (watch::Sender::new(false), Seen::observer());
    let waits = Role::Waits(Arc::clone(&lab), &["silent", "early"]);
    let client = ResilientClient::builder()
        .candidate(lab.candidate(WIRES[1], "silent"))
        .candidate(staged(&lab, "halts", Role::Tells, &text))
        .candidate(lab.candidate(WIRES[1], "early"))
        .candidate(staged(&lab, "late", waits, &text))
        .fan_out(rules)
        .observer(observer)
        .build()
        .unwrap();
    let report = within(client.fan_out("What do you say?")).await.unwrap();
    (lab, client, seen, report)
}

#[tokio::test]
async fn who_is_not_waited_for_hangs_up() {
    for grace in [ms(0), ms(1)] {
        let (lab, client, seen, report) =
            four_seats(FanOut::new(QuorumPolicy::AtLeast(2)).grace(grace)).await;
        let expected = [
            "silent cancelled @first_token",
            "halts cancelled @stream",
            "early success @stream",
            "late success @stream",
        ];
        assert_eq!(trail(&report), expected);
        assert_eq!(answers(&report), [("early", "All of it"), ("late", "All of it, too")]);
        assert_eq!((report.ended(), report.degraded()), (Ended::QuorumMet, false));
        let mut told = seen.trail();
        told.sort_by_key(|line| expected.iter().position(|other| other == line));
        assert_eq!(told, expected);
        for (model, ended) in [
            ("silent", RequestEnded::Disconnected),
            ("halts", RequestEnded::Disconnected),
            ("early", RequestEnded::Completed),
            ("late", RequestEnded::Completed),
        ] {
            assert_eq!(endings(&lab, model).await, [ended], "{model}");
        }
        assert_received(&lab.simulator, report.attempts(), &["silent", "halts", "early", "late"]);
        assert_unblamed(&client).await;
    }
}

#[tokio::test]
async fn when_enough_cannot_come_the_rest_hangs_up() {
    let lab = Arc::new(Lab::start().await);
    lab.simulator.on("halts", Behaviour::answer("Half of it").stall_after(1));
    lab.simulator.on("down", Behaviour::status(500));
    let text = watch::Sender::new(false);
    let client = ResilientClient::builder()
        .candidate(staged(&lab, "halts", Role::Tells, &text))
        .candidate(staged(&lab, "down", Role::Waits(Arc::clone(&lab), &["halts"]), &text))
        .fan_out(FanOut::new(QuorumPolicy::Majority))
        .build()
        .unwrap();
    let report = within(client.fan_out("What do you say?")).await.unwrap();
    assert_eq!(trail(&report), ["halts cancelled @stream", "down failed server @first_token"]);
    assert_eq!((report.ended(), report.responses().count()), (Ended::QuorumNotMet, 0));
    assert_eq!(endings(&lab, "halts").await, [RequestEnded::Disconnected]);
}

#[tokio::test]
async fn the_first_is_enough_and_who_has_no_place_is_never_asked() {
    let lab = Arc::new(Lab::start().await);
    lab.simulator.on("halts", Behaviour::answer("Half of it").stall_after(1));
    lab.simulator.on("good", Behaviour::answer("All of it"));
    let text = watch::Sender::new(false);
    let client = ResilientClient::builder()
        .candidate(staged(&lab, "halts", Role::Tells, &text))
        .candidate(staged(&lab, "good", Role::Waits(Arc::clone(&lab), &["halts"]), &text))
        .candidate(lab.candidate(WIRES[0], "third"))
        .candidate(lab.candidate(WIRES[1], "fourth"))
        .fan_out(FanOut::new(QuorumPolicy::First).concurrency(NonZeroUsize::new(2).unwrap()))
        .build()
        .unwrap();
    let report = within(client.fan_out("What do you say?")).await.unwrap();
    assert_eq!(
        trail(&report),
        ["halts cancelled @stream", "good success @stream", "third cancelled", "fourth cancelled"]
    );
    assert_eq!(answers(&report), [("good", "All of it")]);
    assert_eq!(endings(&lab, "halts").await, [RequestEnded::Disconnected]);
    assert_eq!(lab.simulator.received_total(), 2);
    assert_unblamed(&client).await;
}

#[tokio::test]
async fn the_provider_never_has_more_requests_than_there_are_places() {
    for wire in WIRES {
        for places in [1, 2, 3, 8] {
            let lab = Lab::start().await;
            // Long enough to run into the next, if it were there.
            lab.simulator.on("asked", Behaviour::answer("and on ".repeat(10)).token_delay(ms(1)));
            let rules = FanOut::default().seats(["asked"; 8]).concurrency(NonZeroUsize::new(places).unwrap());
            let client = ResilientClient::builder()
                .candidate(lab.candidate(wire, "asked"))
                .fan_out(rules)
                .build()
                .unwrap();
            let mut most = 0;
            let watched = lab.simulator.wait_until(|simulator| {
                most = most.max(simulator.open_requests());
                false
            });
            let report = match select(pin!(within(client.fan_out("Go on."))), pin!(watched)).await {
                Either::Left((report, _)) => report.unwrap(),
                Either::Right(_) => unreachable!("it waits for nothing"),
            };
            assert_eq!(report.responses().count(), 8);
            assert_eq!(lab.simulator.received("asked"), 8);
            assert!((1..=places).contains(&most), "{most} at once, with {places} places");
        }
    }
}

#[tokio::test]
async fn a_seat_that_fails_is_taken_by_a_substitute() {
    for wire in WIRES {
        let lab = Lab::start().await;
        lab.simulator.on("throttled", Behaviour::status(429));
        lab.simulator.on("cut", Behaviour::answer("Half of it").close_after(1));
        lab.simulator.on("down", Behaviour::status(500));
        let names = ["throttled", "cut", "good", "down", "first", "second", "unneeded"];
        let client = ResilientClient::builder()
            .candidates(names.map(|name| lab.candidate(if name == "cut" { other(wire) } else { wire }, name)))
            .fan_out(FanOut::new(QuorumPolicy::All).bench(["down", "first", "second", "unneeded"]))
            .build()
            .unwrap();
        let report = within(client.fan_out("What do you say?")).await.unwrap();
        let mut lines = trail(&report);
        // Which of the two seats it was that was free first is a matter of the network.
        lines[3..].sort();
        assert_eq!(
            lines,
            [
                "throttled deferred_backpressure rate_limited @first_token",
                "cut failed truncated @stream",
                "good success @stream",
                "down failed server @first_token",
                "first success @stream",
                "second success @stream",
            ],
            "{wire}"
        );
        let launches = report.attempts().iter().map(|attempt| attempt.launch);
        assert_eq!(launches.filter(|launch| *launch == Launch::Failover).count(), 3);
        let quorum = report.quorum().unwrap();
        assert_eq!((quorum.seats, quorum.answered, report.degraded()), (3, 3, true));
        within(lab.simulator.wait_idle()).await;
        assert_received(&lab.simulator, report.attempts(), &names);
        assert_eq!(lab.simulator.received("unneeded"), 0);
    }
}

#[tokio::test]
async fn at_the_cutoff_everyone_hangs_up() {
    for wire in WIRES {
        let mut cutoff = SHORT;
        // Whether both have been asked by then is a matter of the machine: a slow one has more time.
        while !cut_off(wire, cutoff).await {
            cutoff *= 2;
            assert!(cutoff < secs(6), "{wire}: nobody was asked");
        }
    }
}

/// Whether both seats had been asked when it was over.
async fn cut_off(wire: Wire, cutoff: Duration) -> bool {
    let lab = Lab::start().await;
    lab.simulator.on("silent", Behaviour::keep_alives_only(ms(1)));
    lab.simulator.on("talks", Behaviour::answer("and on ".repeat(100_000)).token_delay(ms(1)));
    let names = ["silent", "talks"];
    let client = ResilientClient::builder()
        .candidates(names.map(|name| lab.candidate(wire, name)))
        .fan_out(FanOut::default().cutoff(cutoff))
        .build()
        .unwrap();
    let report = within(client.fan_out("What do you say?")).await.unwrap();
    let lines = trail(&report);
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(" cancelled")), "{wire}: {lines:?}");
    assert_eq!((report.ended(), report.degraded()), (Ended::QuorumNotMet, false));
    assert_unblamed(&client).await;
    let mut asked = true;
    for name in names {
        let endings = endings(&lab, name).await;
        assert!(endings.len() <= 1 && endings.iter().all(|ended| *ended == RequestEnded::Disconnected));
        asked &= !endings.is_empty();
    }
    asked
}
