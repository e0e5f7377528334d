//! Probes: never more at a time than there may be, however they end.

use std::collections::BTreeMap;

use crate::audit::{most_at_once, surely_held};
use crate::fleet::{Fleet, Log, until_telling};
use crate::plan::{Plan, Rule, spell};

async fn storm(probes: u32) -> Log {
    let mut fleet = Fleet::start(Plan::new(Rule::Row(1), 15, probes)).await;
    fleet.all_carry_out(&format!("storm {}", spell().as_millis())).await
}

/// What probes held for certain, by the state that let them out: with a transition, all leases from before it end.
fn held(log: &Log) -> BTreeMap<u64, Vec<(u64, u64)>> {
    let ended = log.all_ended();
    let mut held: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for (worker, probe) in log.probes() {
        let ended = ended.get(&(worker, probe.id)).map(|told| told.since);
        held.entry(probe.epoch).or_default().push(surely_held(probe.asked, probe.hold, ended));
    }
    held
}

/// With fewer, nothing could be told of them.
const TELLING: usize = 20;

#[tokio::test]
async fn one_probe_is_out_in_all_workers_together() {
    until_telling(one).await;
}

async fn one() -> bool {
    let held = held(&storm(1).await);
    let all = held.values().flatten().count();
    // Whatever the state: as long as the only probe is out, nobody else decides.
    let most = most_at_once(held.into_values().flatten());
    assert!(most <= 1, "{most} at once");
    all >= TELLING
}

#[tokio::test]
async fn three_probes_are_out_in_all_workers_together() {
    until_telling(three).await;
}

async fn three() -> bool {
    let held = held(&storm(3).await);
    let all = held.values().flatten().count();
    for (epoch, held) in held {
        let most = most_at_once(held);
        assert!(most <= 3, "{most} probes in epoch {epoch}");
    }
    all >= TELLING
}
