//! What hedging does for the first token, and what it costs: a simulation in virtual time, the same for the same seed.

mod simulation;
mod stages;
mod tables;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;

/// Simulates calls with and without hedging, in ordinary times and while everyone is slow.
#[derive(Debug, Parser)]
struct Options {
    /// What all randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many calls the ordinary times have.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..))]
    calls: u32,
}

fn main() -> ExitCode {
    let Options { seed, calls } = Options::parse();
    let printed = tables::text(seed, calls).and_then(|text| Ok(stdout().write_all(text.as_bytes())?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
