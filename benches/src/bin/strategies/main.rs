//! `llm-reliability` beside what it cannot do without and beside keel: what orchestration costs, in memory.

mod floors;
mod keel;
mod models;
mod ours;
mod shared;

use std::process::ExitCode;

fn main() -> ExitCode {
    llm_benches::run(
        "llm-reliability: calls of models that answer at once, in memory; every circuit closed",
        &[floors::group(), ours::group(), keel::group()],
    )
}
