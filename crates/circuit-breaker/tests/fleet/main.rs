//! Eight worker processes on one Redis, and an auditor that goes through what they did.
//!
//! # What is certain
//!
//! Every step of a worker lies between two answers of the server to `TIME`: one that it had before the step began, and one
//! that it asked for after the step had ended. All of them come from one clock, so the steps of all workers can be
//! compared, and a worker that was not scheduled for a while has wider spans, but none that are wrong. The auditor
//! counts only what follows from the spans:
//!
//! - a lease is held *at least* from the end of the span in which it was granted to the beginning of the one in which it
//!   was given back, or to the beginning of the former and its hold, if that is earlier;
//! - a call was let through too late if the span of its asking *begins* too late, and too early if it *ends* too early;
//! - what went out at a limited rate is added up over every interval in which calls were certainly admitted, less what they
//!   may have given back by then at most.
//!
//! So a violation that is shorter than two round trips may be missed once, and no slow machine makes up another. The store
//! itself is not looked into: what counts is what callers were allowed to do.
//!
//! # Workers
//!
//! A worker is this program again, for the one test that is called `worker`, which does nothing unless its environment
//! says that it is one: a target with a harness of its own could not be listed and filtered as others are. It takes
//! orders from its standard input, and ends when that does, so none survives the auditor.
//!
//! `FLEET_SECONDS=60` makes the parts that are random last so long.
#![cfg(all(feature = "redis", feature = "testing", unix))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests count as production code for these"
)]

mod audit;
mod entry;
mod fleet;
mod freezing;
mod limiting;
mod opening;
mod plan;
mod probing;
mod process;
mod recovery;
mod turns;
mod windows;

/// Not a test but what the workers of the others run.
#[test]
fn worker() {
    if let Some(plan) = plan::Plan::from_environment() {
        process::run(&plan);
    }
}
