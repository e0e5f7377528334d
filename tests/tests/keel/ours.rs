//! Programs for both breakers, run by ours under paused time.

use std::sync::Arc;
use std::time::Duration;

use circuit_breaker::{Circuit, InProcessBreaker, State, Status, Verdict};
use tokio::time::advance;

use crate::program::{How, KEYS, Program, Seen, Step, eighths};

/// What our breaker makes of a program.
pub(crate) fn by_us(program: &Program) -> Vec<Seen> {
    paused(async {
        let breaker = Arc::new(InProcessBreaker::new(program.settings()));
        let circuits = KEYS.map(|key| Circuit::new(breaker.clone(), key));
        let mut held = Vec::new();
        let mut seen = Vec::new();
        for step in &program.steps {
            let mut admitted = None;
            match *step {
                Step::Admit(key) => {
                    let circuit = circuits.iter().find(|circuit| circuit.key() == key).unwrap();
                    let permit = circuit.admit().await;
                    admitted = Some(permit.is_ok());
                    let is_out = |permit: &circuit_breaker::Permit| permit.key() == key;
                    if !(program.one_at_a_time && held.iter().any(is_out)) {
                        held.extend(permit);
                    }
                }
                Step::End(call, how) if !held.is_empty() => {
                    let permit = held.remove(call % held.len());
                    match how {
                        How::Success => permit.settle(Verdict::Success),
                        How::Failure => permit.settle(Verdict::Failure),
                        How::Neutral => permit.settle(Verdict::Neutral),
                        How::Dropped => drop(permit),
                    }
                }
                Step::End(..) => {}
                Step::Wait(count) => advance(eighths(count)).await,
            }
            let mut status = [const { String::new() }; KEYS.len()];
            for (circuit, status) in circuits.iter().zip(&mut status) {
                in_keels_words(circuit.status().await).clone_into(status);
            }
            seen.push(Seen { admitted, status });
        }
        seen
    })
}

/// An open circuit whose cooldown has passed stays open until a call asks; keel already calls it half-open.
pub(crate) fn in_keels_words(status: Status) -> &'static str {
    match status.state {
        State::Open if status.retry_after == Some(Duration::ZERO) => "half_open",
        state => state.as_str(),
    }
}

pub(crate) fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}
