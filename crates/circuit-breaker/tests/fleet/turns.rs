//! A rotation: no turn is given twice, and none is left out.

use crate::entry::Entry;
use crate::fleet::{Fleet, WORKERS};
use crate::plan::{Plan, Rule};

/// Each of four in every worker takes so many.
const TURNS: u64 = 100;

#[tokio::test]
async fn turns_of_all_workers_are_unique_and_without_gaps() {
    let mut fleet = Fleet::start(Plan::new(Rule::Row(3), 1000, 1)).await;
    let log = fleet.all_carry_out(&format!("turns {TURNS}")).await;
    let mut all: Vec<u64> = vec![];
    for (worker, entry) in &log.0 {
        if let Entry::Turns(turns) = entry {
            assert!(turns.is_sorted_by(|a, b| a < b), "worker {worker} was given {turns:?}");
            all.extend(turns);
        }
    }
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..WORKERS as u64 * 4 * TURNS), "{all:?}");
}
