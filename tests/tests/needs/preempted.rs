//! Breaker and limiter are handed in, asked before anything is sent, and shared by whoever else has them.

use std::num::NonZeroU64;
use std::sync::Arc;

use llm_reliability::circuit_breaker::{Breaker, InProcessBreaker, InProcessLimiter, Limits, Rate, Settings};
use llm_reliability::{ClientBuilder, Report, ResilientClient};
use llm_simulator::Behaviour;
use llm_tests::{Lab, Strategy, WIRES, ask, other, secs, trail};

/// The three strategies.
const ALL: [Option<Strategy>; 3] = [Some(Strategy::Failover), Some(Strategy::FailoverStream), None];

async fn call(client: &ResilientClient, strategy: Option<Strategy>) -> Report {
    match strategy {
        Some(strategy) => ask(client, strategy, "Well?").await.report,
        None => client.fan_out("Well?").await.unwrap(),
    }
}

#[tokio::test]
async fn who_is_open_or_full_is_not_sent_anything_by_any_strategy() {
    for strategy in ALL {
        for wire in WIRES {
            let lab = Lab::start().await;
            lab.simulator.on("open", Behaviour::status(500));
            let once = Limits::default().requests(Rate::new(NonZeroU64::MIN, secs(86_400)));
            let breaker = Settings::default().failure_threshold(std::num::NonZeroU32::MIN);
            let models = ["open", "full", "rescue"];
            let candidates = [lab.candidate(wire, "open"), lab.candidate(other(wire), "full")];
            let builder = ResilientClient::builder()
                .candidates(candidates)
                .candidate(lab.candidate(wire, "rescue"))
                .breaker(Arc::new(InProcessBreaker::new(breaker)))
                .limiter(Arc::new(InProcessLimiter::default().limits_for("full", once)));
            let client = builder.build().unwrap();
            call(&client, strategy).await;
            let before = models.map(|model| lab.simulator.received(model));
            assert_eq!((before[0], before[1]), (1, 1), "{strategy:?} {wire}");

            let report = call(&client, strategy).await;
            let expected = ["open preempted_open", "full preempted_limited", "rescue success @stream"];
            assert_eq!(trail(&report), expected, "{strategy:?} {wire}");
            assert!(report.attempts()[..2].iter().all(|attempt| attempt.phase.is_none()));
            assert!(report.attempts()[..2].iter().all(|attempt| attempt.retry_after().is_some()));
            let after = models.map(|model| lab.simulator.received(model));
            assert_eq!(after, [1, 1, before[2] + 1], "{strategy:?} {wire}: and neither is asked");
        }
    }
}

#[tokio::test]
async fn who_shares_a_breaker_knows_what_the_others_found_out() {
    for strategy in ALL {
        for wire in WIRES {
            let lab = Lab::start().await;
            lab.simulator.on("asked", Behaviour::status(503));
            let breaker: Arc<dyn Breaker> = Arc::new(InProcessBreaker::default());
            let worker = |builder: ClientBuilder| {
                builder.candidate(lab.candidate(wire, "asked")).breaker(Arc::clone(&breaker)).build().unwrap()
            };
            let workers = [(); 3].map(|()| worker(ResilientClient::builder()));
            for worker in &workers {
                assert_eq!(call(worker, strategy).await.attempts()[0].outcome.as_str(), "failed");
            }
            for worker in &workers {
                let report = call(worker, strategy).await;
                assert_eq!(trail(&report), ["asked preempted_open"], "{strategy:?} {wire}: one failure each");
            }
            assert_eq!(lab.simulator.received("asked"), 3);
        }
    }
}
