//! A worker that stands still for longer than its lease, and goes on as if nothing had been: what it says is too late.

use circuit_breaker::State;

use crate::fleet::Fleet;
use crate::plan::{Plan, Rule};

/// A probe's hold that passes while its worker is frozen, in milliseconds.
const SHORT: u64 = 150;
const LONG: u64 = 60_000;

async fn fleet(rule: Rule, probes: u32) -> Fleet {
    Fleet::start(Plan::new(rule, 50, probes)).await
}

/// Freezes a worker, with orders to end these calls when it goes on.
async fn freeze(fleet: &mut Fleet, worker: usize, ids: std::ops::Range<u64>, verdict: &str) {
    fleet.freeze(worker).await;
    ids.for_each(|id| fleet.tell(worker, &format!("end {id} {verdict}")));
}

/// Lets it go on, and waits until the verdicts have arrived.
async fn thaw(fleet: &mut Fleet, worker: usize, ids: std::ops::Range<u64>) {
    fleet.thaw(worker);
    for id in ids {
        fleet.until("a late verdict", |log| log.ended(worker, id)).await;
    }
}

#[tokio::test]
async fn a_late_verdict_does_not_count_for_the_probe_of_another() {
    for verdict in ["success", "failure"] {
        let mut fleet = fleet(Rule::Row(3), 1).await;
        fleet.trip(1, 3).await;
        let mine = fleet.probe(0, 1, SHORT).await;
        freeze(&mut fleet, 0, 1..2, verdict).await;
        let other = fleet.probe(1, 2, LONG).await;
        assert_eq!(other.epoch, mine.epoch);
        thaw(&mut fleet, 0, 1..2).await;
        let after = fleet.snapshot().await;
        assert_eq!((after.status.state, after.epoch), (State::HalfOpen, mine.epoch), "after a {verdict}");
        assert_eq!(after.status.probes, 1, "after a {verdict}");
        fleet.end(1, 2, "success").await;
        assert_eq!(fleet.snapshot().await.status.state, State::Closed);
    }
}

#[tokio::test]
async fn a_late_failure_does_not_open_what_another_closed() {
    let mut fleet = fleet(Rule::Row(3), 1).await;
    fleet.trip(1, 3).await;
    fleet.probe(0, 1, SHORT).await;
    freeze(&mut fleet, 0, 1..2, "failure").await;
    fleet.probe(1, 2, LONG).await;
    fleet.end(1, 2, "success").await;
    let before = fleet.snapshot().await;
    thaw(&mut fleet, 0, 1..2).await;
    let after = fleet.snapshot().await;
    assert_eq!((after.status.state, after.epoch), (State::Closed, before.epoch));
}

/// Where probes hold nothing, the state that let them out is all that tells them apart.
#[tokio::test]
async fn a_late_verdict_of_an_earlier_recovery_does_not_count() {
    for verdict in ["success", "failure"] {
        let mut fleet = fleet(Rule::Row(3), 0).await;
        fleet.trip(1, 3).await;
        fleet.probe(0, 1, LONG).await;
        freeze(&mut fleet, 0, 1..2, verdict).await;
        fleet.probe(1, 2, LONG).await;
        fleet.end(1, 2, "failure").await;
        fleet.probe(1, 3, LONG).await;
        let before = fleet.snapshot().await;
        thaw(&mut fleet, 0, 1..2).await;
        let after = fleet.snapshot().await;
        assert_eq!((after.status.state, after.epoch), (State::HalfOpen, before.epoch), "after a {verdict}");
    }
}

#[tokio::test]
async fn late_failures_in_a_row_do_not_open_a_circuit_that_has_recovered() {
    late_failures(Rule::Row(3), 3).await;
}

#[tokio::test]
async fn late_failures_do_not_enter_the_window_of_a_circuit_that_has_recovered() {
    late_failures(Rule::Calls(20, 3), 8).await;
    late_failures(Rule::Time(60_000, 3), 8).await;
}

/// Calls that a closed circuit admitted fail after it has opened and closed again.
async fn late_failures(rule: Rule, failures: u64) {
    let mut fleet = fleet(rule, 1).await;
    let late = 10..10 + failures;
    for id in late.clone() {
        assert!(!fleet.ask(0, id, LONG).await.unwrap().probe);
    }
    freeze(&mut fleet, 0, late.clone(), "failure").await;
    fleet.trip(1, 3).await;
    fleet.probe(2, 1, LONG).await;
    fleet.end(2, 1, "success").await;
    let before = fleet.snapshot().await;
    assert_eq!(before.status.state, State::Closed);
    thaw(&mut fleet, 0, late).await;
    let after = fleet.snapshot().await;
    assert_eq!((after.status.state, after.epoch, after.counts), (State::Closed, before.epoch, before.counts));
}
