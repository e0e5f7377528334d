//! The contract suites let the in-process backends pass, and find every backend out that breaks a rule.
#![cfg(all(feature = "testing", feature = "in-process"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod breakers;
mod flawed_breaker;
mod flawed_limiter;
mod in_process;
mod lagging;
mod limiters;
mod mocks;
mod remote;
mod rotations;
mod summaries;

use std::panic::AssertUnwindSafe;

use circuit_breaker::testing::contract::{Remark, Summary};
use futures::FutureExt;

fn rules(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.rule).collect()
}

/// Every rule was tried, and held.
fn assert_sound(summary: &Summary, rules: usize) {
    assert!(summary.broken().is_empty() && summary.skipped().is_empty(), "{summary}");
    assert_eq!(summary.passed().len(), rules, "{summary}");
}

async fn panic_message(check: impl Future<Output = Summary>) -> String {
    let panic = AssertUnwindSafe(check).catch_unwind().await.unwrap_err();
    *panic.downcast::<String>().unwrap()
}
