//! A fan-out over sockets: every seat for itself, side by side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use llm_reliability::{Ended, Launch, Report, ResilientClient, StreamMode};
use llm_simulator::{Behaviour, Ended as RequestEnded, Wire};
use llm_tests::{Lab, SHORT, Seen, WIRES, assert_received, other, reached, trail, within};

const SEATS: [&str; 3] = ["throttled", "cut", "good"];

async fn three_seats(wire: Wire, stream: StreamMode) -> (Lab, ResilientClient, Seen, Report) {
    let lab = Lab::start().await;
    lab.simulator.on("throttled", Behaviour::status(429).header("retry-after", "9"));
    lab.simulator.on("cut", Behaviour::answer("Half of it").close_after(1));
    lab.simulator.on("good", Behaviour::answer("All of it"));
    let (observer, seen) = Seen::observer();
    let client = ResilientClient::builder()
        .candidate(lab.candidate(wire, "throttled").stream(stream))
        .candidate(lab.candidate(other(wire), "cut").stream(stream))
        .candidate(lab.candidate(wire, "good").stream(stream))
        .observer(observer)
        .build()
        .unwrap();
    let report = within(client.fan_out("What do you say?")).await.unwrap();
    within(lab.simulator.wait_idle()).await;
    (lab, client, seen, report)
}

#[tokio::test]
async fn one_seat_throttled_one_cut_and_one_good_is_one_answer() {
    for wire in WIRES {
        for (stream, early, late) in
            [(StreamMode::Auto, "first_token", "stream"), (StreamMode::Never, "response", "response")]
        {
            let (lab, client, seen, report) = three_seats(wire, stream).await;
            let expected = [
                format!("throttled deferred_backpressure rate_limited @{early}"),
                format!("cut failed truncated @{late}"),
                format!("good success @{late}"),
            ];
            assert_eq!(trail(&report), expected, "{wire}");
            let mut told = seen.trail();
            told.sort_by_key(|short| SEATS.iter().position(|seat| short.starts_with(seat)));
            assert_eq!(told, expected, "{wire}: the observer sees the same, in the order of their ends");
            assert_eq!(
                (report.ended(), report.succeeded(), report.degraded()),
                (Ended::QuorumMet, true, true)
            );
            let answers: Vec<_> = report.responses().map(|(key, answer)| (&**key, &*answer.text)).collect();
            assert_eq!(answers, [("good", "All of it")]);
            for (ordinal, attempt) in (0..).zip(report.attempts()) {
                assert_eq!((attempt.ordinal, attempt.launch), (ordinal, Launch::Panel));
                assert!(attempt.start + attempt.latency <= report.elapsed());
                assert!(attempt.first_token.is_none_or(|first| first <= attempt.latency));
            }
            assert_received(&lab.simulator, report.attempts(), &SEATS);
            assert_eq!(lab.simulator.received_total(), 3);
            let failures: Vec<_> =
                client.status().await.into_iter().map(|(_, status)| status.failures).collect();
            assert_eq!(failures, [0, 1, 0], "{wire}: only the cut counts");

            // The hint keeps the next one away from that seat, and from no other.
            let report = within(client.fan_out("And now?")).await.unwrap();
            assert_eq!(trail(&report)[0], "throttled preempted_limited");
            assert_eq!(reached(report.attempts(), "throttled"), 0);
            let received = SEATS.map(|seat| lab.simulator.received(seat));
            assert_eq!(received, [1, 2, 2], "{wire}");
        }
    }
}

#[tokio::test]
async fn no_seat_waits_for_another() {
    for wire in WIRES {
        let lab = Lab::start().await;
        lab.simulator.on("silent", Behaviour::stall());
        let (observer, seen) = Seen::observer();
        let silent = llm_reliability::Timeouts::new().first_token(SHORT);
        let client = ResilientClient::builder()
            .candidate(lab.candidate(wire, "silent").timeouts(silent))
            .candidate(lab.candidate(other(wire), "good"))
            .observer(observer)
            .build()
            .unwrap();
        let report = within(client.fan_out("Anyone?")).await.unwrap();
        assert_eq!(
            trail(&report),
            ["silent failed timeout/first_token @first_token", "good success @stream"],
            "{wire}"
        );
        assert_eq!(seen.trail()[0], "good success @stream", "it did not wait for its turn");
        within(lab.simulator.wait_idle()).await;
        assert_eq!(lab.simulator.requests("silent")[0].ended, RequestEnded::Disconnected);
        assert_received(&lab.simulator, report.attempts(), &["silent", "good"]);
    }
}
