//! `circuit-breaker` beside what it cannot do without and beside other crates: what a check and a success cost.

mod breakers;
mod floors;
mod keys;
mod limiters;
mod shared;

use std::process::ExitCode;

fn main() -> ExitCode {
    let groups = [floors::group(), breakers::group(), keys::group(), limiters::group()];
    llm_benches::run(
        "circuit-breaker: a check, an instant call, and its success; every circuit closed unless said otherwise",
        &groups,
    )
}
