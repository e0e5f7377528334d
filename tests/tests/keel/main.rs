//! keel's own circuit breaker beside ours with the preset of its name: the same programs, run by both.
//!
//! The two answer alike, down to the moment, as long as results come before their circuit opens or closes. They are
//! known to differ in these ways, each of which has a test in `differences.rs`:
//!
//! - A result that comes late, after its circuit was opened or closed, changes nothing here. keel counts it for the state
//!   it comes upon: a success closes an open circuit, a failure restarts its cooldown, and either counts after a recovery.
//! - keel counts results without an admission, and several for one. Here a result needs a permit, and uses it up.
//! - What may be known of keys is bounded here: in their number, in how long a key is remembered of which nothing is
//!   heard, and in how long a call may take whose result counts. keel remembers everything.
//! - Reading says less here about a circuit whose cooldown has passed: it stays open, for another zero seconds, until a
//!   call asks. keel already calls it half-open.
//!
//! keel's breaker is installed below the target folder, so that this needs Python and, the first time, the network.

#![cfg(feature = "long")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod calls;
mod differences;
mod ours;
mod program;
mod programs;

use llm_tests::python::Python;
use serde_json::Value;

/// A Python with keel's breaker in it.
static KEEL: Python =
    Python::new("keel", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keel"), env!("CARGO_TARGET_TMPDIR"));

/// Has keel do these jobs, by the real clock; its own stands still.
fn keel(jobs: &[Value]) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(KEEL.run(jobs))
}
