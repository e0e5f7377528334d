//! Windows are of all workers: failures of which none saw enough open the circuit for all.

use circuit_breaker::State;

use crate::entry::Why;
use crate::fleet::{Fleet, WORKERS};
use crate::plan::{Plan, Rule};

#[tokio::test]
async fn calls_of_all_workers_are_in_one_window() {
    opens_together(Rule::Calls(40, 16)).await;
}

#[tokio::test]
async fn calls_of_all_workers_are_in_one_span_of_time() {
    opens_together(Rule::Time(120_000, 16)).await;
}

/// Each has one call that goes well and one that fails: half of sixteen.
async fn opens_together(rule: Rule) {
    let mut fleet = Fleet::start(Plan::new(rule, 60_000, 1)).await;
    for worker in 0..WORKERS {
        for id in [1, 2] {
            assert!(!fleet.ask(worker, id, 60_000).await.unwrap().probe);
        }
    }
    for worker in 0..WORKERS {
        fleet.end(worker, 1, "success").await;
    }
    for worker in 0..WORKERS - 1 {
        fleet.end(worker, 2, "failure").await;
    }
    let before = fleet.snapshot().await;
    assert_eq!((before.status.state, before.counts.calls, before.counts.failures), (State::Closed, 15, 7));
    let last = fleet.end(WORKERS - 1, 2, "failure").await;
    assert_eq!(fleet.snapshot().await.status.state, State::Open);
    for worker in 0..WORKERS {
        let mut id = 10;
        while let Ok(grant) = fleet.ask(worker, id, 60_000).await {
            // At most as long as what it knows may be old.
            assert!(!grant.probe && grant.asked.since <= last.until + 251_000, "{grant:?} after {last:?}");
            id += 1;
        }
        assert_eq!(fleet.ask(worker, id, 60_000).await, Err(Why::Open));
    }
}

/// Where shares decide, the last of all probes does: a result makes no room for another probe.
#[tokio::test]
async fn so_many_probes_go_out_in_all() {
    let mut fleet = Fleet::start(Plan::new(Rule::Calls(20, 3), 50, 3)).await;
    fleet.trip(7, 3).await;
    for worker in 0..3 {
        fleet.probe(worker, 1, 60_000).await;
    }
    for ended in 0..3 {
        for worker in 0..WORKERS {
            assert_eq!(fleet.ask(worker, 2, 60_000).await, Err(Why::ProbesTaken), "when {ended} have ended");
        }
        // One of three that fails is no half.
        fleet.end(ended, 1, if ended == 0 { "failure" } else { "success" }).await;
    }
    assert_eq!(fleet.snapshot().await.status.state, State::Closed);
    for worker in 0..WORKERS {
        assert!(!fleet.ask(worker, 3, 60_000).await.unwrap().probe);
    }
}
