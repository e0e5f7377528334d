//! One worker opens the circuit for all, and as many probes as there may be close it for all.

use crate::audit::let_through;
use crate::entry::{Entry, Grant, Span, Why};
use crate::fleet::{Fleet, Log, WORKERS, until_telling};
use crate::plan::{Plan, Rule, STALE};

const COOLDOWN: u64 = 1_000_000;
/// By how much a worker's clock may be slower than the server's while something gets stale.
const SLACK: u64 = 1000;

#[tokio::test]
async fn one_worker_opens_for_all_and_one_probe_closes_for_all() {
    until_telling(|| opens_and_closes(1)).await;
}

#[tokio::test]
async fn one_worker_opens_for_all_and_three_probes_go_out() {
    until_telling(|| opens_and_closes(3)).await;
}

async fn opens_and_closes(probes: usize) -> bool {
    let plan = Plan::new(Rule::Row(3), COOLDOWN / 1000, u32::try_from(probes).unwrap());
    let mut fleet = Fleet::start(plan).await;
    (0..WORKERS - 1).for_each(|worker| fleet.tell(worker, "hammer 60000 4"));
    // One that calls so seldom that it never knows, and has to ask each time.
    fleet.tell(WORKERS - 1, &format!("hammer 60000 {}", STALE.as_millis() + 10));
    fleet.until_each("calls", |entries| calls_after(entries, 0) >= 2).await;
    let trip = fleet.trip(0, 3).await;

    let out = fleet.until("probes", |log| Some(log.probes()).filter(|out| out.len() >= probes)).await;
    // When all have asked again and again, there would be more if there were to be more.
    let last = out.iter().map(|(_, probe)| probe.asked.until).max().unwrap();
    fleet.until_each("refusals", |entries| refused_after(entries, last, Why::ProbesTaken) >= 2).await;
    let out = fleet.log().probes();
    assert_eq!(out.len(), probes, "{out:?}");
    for (worker, probe) in &out {
        let early = probe.asked.until < trip.since + COOLDOWN;
        assert!(!early, "worker {worker} probed too early, after {trip:?}: {probe:?}");
    }

    let (worker, probe) = out[0];
    fleet.tell(worker, &format!("end {} success", probe.id));
    let closed = fleet.until("the verdict", |log| log.ended(worker, probe.id)).await;
    fleet.until_each("calls again", |entries| calls_after(entries, closed.until) >= 2).await;
    let log = fleet.log();
    assert_eq!(log.probes().len(), probes, "nobody probes what is closed");
    nobody_went_through(&log, trip, closed)
}

/// What a worker knows when it lets a call through is not older than the staleness, and so not from before the trip.
fn nobody_went_through(log: &Log, trip: Span, closed: Span) -> bool {
    let stale = trip.until + u64::try_from(STALE.as_micros()).unwrap() + SLACK;
    let calls: Vec<Grant> = log.grants().into_iter().map(|(_, grant)| grant).collect();
    let through = let_through(&calls, stale, closed.since);
    assert!(through.is_empty(), "after {trip:?}, and before {closed:?}: {through:?}");
    let refused = (0..WORKERS).map(|worker| refused_after(&log.of(worker), stale, Why::Open)).sum::<usize>();
    refused > 0
}

fn calls_after(entries: &[&Entry], after: u64) -> usize {
    let calls =
        |entry: &&&Entry| matches!(entry, Entry::Granted(grant) if !grant.probe && grant.asked.since > after);
    entries.iter().filter(calls).count()
}

fn refused_after(entries: &[&Entry], after: u64, reason: Why) -> usize {
    let refused = |entry: &&&Entry| matches!(entry, Entry::Refused { asked, why } if *why == reason && asked.since > after);
    entries.iter().filter(refused).count()
}
