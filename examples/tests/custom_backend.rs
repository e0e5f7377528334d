//! The example `custom_backend`: its backend keeps to the contract, and its story is the one it tells.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::testing::contract::{BreakerHarness, BreakerPlan, Pace, check_breaker};
use circuit_breaker::{Breaker, Circuit, State, Verdict, async_trait};
use tokio::time::{Instant, advance};

#[path = "../src/bin/custom_backend/backend.rs"]
mod backend;
#[path = "../src/bin/custom_backend/row.rs"]
mod row;
#[path = "../src/bin/custom_backend/table.rs"]
mod table;

use backend::TableBreaker;
use row::Rules;
use table::Table;

struct Harness;

fn rules(plan: &BreakerPlan) -> Rules {
    Rules {
        failures: plan.failures.get(),
        cooldown: plan.cooldown,
        probes: plan.probes.map_or(usize::MAX, |probes| probes.get() as usize),
        hold: plan.hold.unwrap_or(Duration::from_secs(3600)),
    }
}

#[async_trait]
impl BreakerHarness for Harness {
    async fn breaker(&self, plan: &BreakerPlan) -> Option<Arc<dyn Breaker>> {
        Some(TableBreaker::start(Arc::default(), rules(plan)))
    }

    async fn pair(&self, plan: &BreakerPlan) -> Option<[Arc<dyn Breaker>; 2]> {
        let table = Arc::new(Table::default());
        Some([0, 1].map(|_| TableBreaker::start(Arc::clone(&table), rules(plan))))
    }

    fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(1))
    }
}

#[tokio::test(start_paused = true)]
async fn the_backend_keeps_to_the_contract() {
    let summary = check_breaker(&Harness).await;
    let skipped: Vec<_> = summary.skipped().iter().map(|skip| &*skip.reason).collect();
    assert_eq!(skipped, ["it never answers at once"], "{summary}");
}

const RULES: Rules =
    Rules { failures: 3, cooldown: Duration::from_secs(10), probes: 1, hold: Duration::from_secs(1) };

/// A thousand calls a second go well, on as many keys as `keys`, until those of the first key fail.
#[tokio::test(start_paused = true)]
async fn a_busy_service_that_fails_is_noticed_at_once() {
    for keys in [1, 200] {
        let breaker = TableBreaker::start(Arc::default(), RULES);
        let circuits: Vec<_> =
            (0..keys).map(|key| Circuit::new(Arc::clone(&breaker), format!("key {key}"))).collect();
        for turn in 0..3000 {
            let circuit = circuits[turn % keys].clone();
            tokio::spawn(async move { circuit.admit().await.unwrap().settle(Verdict::Success) });
            advance(Duration::from_millis(1)).await;
        }
        let (began, mut sent) = (Instant::now(), 0);
        while let Ok(permit) = circuits[0].admit().await {
            permit.settle(Verdict::Failure);
            sent += 1;
            assert!(
                sent < 10,
                "among {keys} keys, {sent} failures in {:?} have not opened it",
                began.elapsed()
            );
        }
    }
}

/// A worker that panics would count nothing any more.
#[tokio::test(start_paused = true)]
async fn a_cooldown_without_end_is_one() {
    let rules = Rules { failures: 1, cooldown: Duration::MAX, ..RULES };
    let circuit = Circuit::new(TableBreaker::start(Arc::default(), rules), "key");
    circuit.admit().await.unwrap().settle(Verdict::Failure);
    circuit.breaker().flush().await;
    assert_eq!(circuit.status().await.state, State::Open);
    advance(Duration::from_secs(24 * 3600)).await;
    assert!(circuit.admit().await.is_err());
}

#[test]
fn three_workers_share_a_circuit() {
    let output = Command::new(env!("CARGO_BIN_EXE_custom_backend")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = told.lines().skip(1).map(|line| line[9..].split(", try").next().unwrap()).collect();
    let expected = [
        "ann     closed     delivered",
        "ann     closed     the server is down",
        "bob     closed     the server is down",
        "cem     open       the server is down",
        "ann     open       not sent: circuit open",
        "bob     open       not sent: circuit open",
        "bob     half-open  goes out as the probe, and is never heard of again",
        "cem     half-open  not sent: circuit half-open, its probes are out",
        "cem     closed     delivered, as the probe",
        "bob     closed     a call from before the outage has failed, which changes nothing",
        "ann     closed     delivered",
    ];
    assert_eq!(lines, expected, "{told}");
}
