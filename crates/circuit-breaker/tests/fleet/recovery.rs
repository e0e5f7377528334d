//! A worker that dies with the probe: another takes over when the hold has passed, and not before.

use std::collections::BTreeSet;

use crate::entry::{Entry, Grant, Span};
use crate::fleet::{Fleet, Log, WORKERS};
use crate::plan::{Plan, Rule};

const HOLD: u64 = 500_000;
/// What a machine may need, beyond all reason, to schedule some worker that asks all the time.
const SLACK: u64 = 10_000_000;

#[tokio::test]
async fn a_probe_of_a_killed_worker_goes_to_another_after_its_hold() {
    let mut fleet = Fleet::start(Plan::new(Rule::Row(3), 100, 1)).await;
    fleet.tell_all(&format!("hammer {} 4", HOLD / 1000));
    fleet.trip(0, 3).await;
    let (mut dead, mut seen) = (BTreeSet::new(), BTreeSet::new());
    while dead.len() < 2 {
        let (worker, probe) = fleet.until("the next probe", |log| unseen(log, &seen)).await;
        seen.insert((worker, probe.id));
        fleet.kill(worker);
        dead.insert(worker);
    }
    // Whoever has it next says that all is well, unless too late.
    let alive: Vec<usize> = (0..WORKERS).filter(|worker| !dead.contains(worker)).collect();
    let next_or_through = |log: &Log, seen: &BTreeSet<_>| match unseen(log, seen) {
        Some(next) => Some(Some(next)),
        None => alive.iter().all(|worker| went_through(log, *worker, &seen_until(log, seen))).then_some(None),
    };
    while let Some((worker, probe)) = fleet.until("calls", |log| next_or_through(log, &seen)).await {
        seen.insert((worker, probe.id));
        fleet.tell(worker, &format!("end {} success", probe.id));
    }

    let log = fleet.log();
    let mut probes = log.probes();
    probes.sort_by_key(|(_, probe)| probe.asked.since);
    assert!(probes.len() > dead.len());
    for pair in probes.windows(2) {
        let [(_, one), (_, next)] = pair else { unreachable!() };
        assert!(is_after_hold(one, next) || is_after_hold(next, one), "{next:?} while {one:?} was out");
        assert!(next.asked.since <= one.asked.until + HOLD + SLACK, "{next:?} long after {one:?}");
    }
}

/// A probe that nothing was done about yet.
fn unseen(log: &Log, seen: &BTreeSet<(usize, u64)>) -> Option<(usize, Grant)> {
    log.probes().into_iter().find(|(worker, probe)| !seen.contains(&(*worker, probe.id)))
}

/// The last probe that went out.
fn seen_until(log: &Log, seen: &BTreeSet<(usize, u64)>) -> Span {
    let known = log.probes().into_iter().filter(|(worker, probe)| seen.contains(&(*worker, probe.id)));
    known.map(|(_, probe)| probe.asked).max_by_key(|asked| asked.until).unwrap()
}

fn went_through(log: &Log, worker: usize, after: &Span) -> bool {
    let call = |entry: &&Entry| matches!(entry, Entry::Granted(call) if !call.probe && call.asked.since > after.until);
    log.of(worker).iter().any(call)
}

/// The one may have got its lease when the other's had expired.
const fn is_after_hold(one: &Grant, next: &Grant) -> bool {
    next.asked.until >= one.asked.since + HOLD
}
